"""The samples are what they are said to be: trained, whole, and judged on data they have not seen."""

import gzip
import importlib.metadata

import pytest
import torch

from core import Cut, SparsityPlan, load_workload
from core.sensitivity.measuring.measurement import Measurement
from core.workload.discovery import find_targets
from core.workload.loading import GROUP, sample_names
from sample_models import fashion_mnist, shakespeare
from sample_models.weights import FOLDER, with_weights

# name: weight targets, heads, examples to judge, calibration, training
SAMPLES = {
    "fashion-resnet": (22, 0, 10_000, 2_000, 18_000),
    "fashion-vit": (26, 16, 10_000, 2_000, 18_000),
    "tiny-gpt": (26, 16, None, None, None),
}


@pytest.fixture(scope="module")
def loaded():
    """Each sample, loaded (and so checked, with its splits) when first asked for."""
    cache = {}
    return lambda name: cache.setdefault(name, load_workload(name))


def test_every_installed_sample_is_tested_here():
    ours = [p.name for p in importlib.metadata.entry_points(group=GROUP) if p.value.startswith("sample_models.")]
    assert sorted(ours) == sorted(SAMPLES)
    assert set(SAMPLES) <= set(sample_names())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_loads_by_its_name_with_its_targets(loaded, name):
    workload = loaded(name)
    targets, _ = find_targets(workload.model)
    weights, heads, *sizes = SAMPLES[name]
    assert workload.name == name
    assert sum(t.granularity == "weight" for t in targets) == weights
    assert sum(t.granularity == "head" for t in targets) == heads
    for examples, n in zip((workload.evaluation, workload.calibration, workload.training), sizes, strict=True):
        assert n is None or len(examples) == n
    assert workload.sweep_examples <= len(workload.evaluation)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_example_of_a_sample_has_two_roles(loaded, name):
    workload = loaded(name)
    judged, calibration, training = (
        e.example_hashes() for e in (workload.evaluation, workload.calibration, workload.training)
    )
    assert not judged & calibration
    assert not judged & training
    assert not calibration & training


@pytest.mark.parametrize("name", SAMPLES)
def test_every_cut_of_a_sample_changes_its_outputs(loaded, name):
    """No silent no-op: each layer and each head is really on the way from input to output."""
    workload = loaded(name)
    with Measurement(workload, None, 4) as measurement:
        for target in measurement.targets:
            sparsity = 0.9 if target.granularity == "weight" else None
            cut = Cut(target.name, target.granularity, sparsity)
            if target.name in ("stage2.0", "stage3.0"):  # blocks that change the shape cannot be skipped
                continue
            assert measurement.measure(SparsityPlan((cut,))).state == "measured", target.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("fashion-resnet", lambda metric: metric >= 0.92),
        ("fashion-vit", lambda metric: metric >= 0.89),
        ("tiny-gpt", lambda metric: metric < 5.2),
    ],
)
def test_every_sample_is_as_good_as_promised_on_all_its_examples(loaded, name, reached):
    n = len(loaded(name).evaluation)
    with Measurement(loaded(name), None, n, part="whole") as measurement:
        estimate = measurement.dense()
    assert estimate.n == n
    assert reached(estimate.value), estimate


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_gives_the_same_weights_every_time(loaded, name):
    again = load_workload(name).model.state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in loaded(name).model.state_dict().items())


def test_a_language_model_cannot_see_what_it_has_to_guess(loaded):
    model = loaded("tiny-gpt").model
    codes = loaded("tiny-gpt").evaluation.inputs[0][:2]
    changed = codes.clone()
    changed[:, 40:] = (changed[:, 40:] + 1) % 96
    with torch.inference_mode():
        before, after = model(codes), model(changed)
    assert torch.equal(before[:, :40], after[:, :40])
    assert not torch.equal(before[:, 40:], after[:, 40:])


def test_passages_ask_for_the_character_that_follows():
    inputs, labels = shakespeare.passages("evaluation", 64)
    assert torch.equal(inputs.flatten()[1:], labels.flatten()[:-1])
    assert (inputs.min() >= 0) & (inputs.max() < len(shakespeare.VOCABULARY)) & (len(shakespeare.VOCABULARY) == 96)


def test_images_are_normalised_and_of_ten_even_classes():
    images, labels = fashion_mnist.images_and_labels("t10k")
    assert images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(labels).tolist() == [1000] * 10
    assert abs(images.mean()) < 0.02
    assert abs(images.std() - 1) < 0.02


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"not gzip", "not a complete gzip file"),
        (gzip.compress(b"\0\0\x08\x01" + (9).to_bytes(4, "big") + b"123", mtime=0), "should hold 9 bytes, holds 3"),
        (gzip.compress(b"\0\0\x0d\x01" + (0).to_bytes(4, "big"), mtime=0), "not an IDX file of unsigned bytes"),
        (gzip.compress(b"\0" * 5000, mtime=0)[:-9], "not a complete gzip file"),
    ],
)
def test_a_damaged_data_file_is_explained(tmp_path, content, word):
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(ValueError, match=word):
        fashion_mnist.read_idx(tmp_path / "x.gz")


def test_weights_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"train it again: python -m sample_models\.train tiny-gpt"):
        with_weights(torch.nn.Linear(2, 2), "tiny-gpt")


def test_weights_and_licences_lie_beside_the_code():
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == set(SAMPLES)
    for module in (fashion_mnist, shakespeare):
        assert (module.FOLDER / "LICENSE").is_file()
