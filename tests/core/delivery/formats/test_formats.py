"""Every format holds every sample, masked and shrunk, as a fresh process reads it without our classes, or says why."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from core import Cut, Examples, SparsityPlan, Workload, load_workload, perplexity
from core.delivery.formats import registry
from core.delivery.formats.facts import ALWAYS, FORMATS, checked_formats
from core.delivery.formats.registry import REGISTRY, check_formats, write_formats
from core.delivery.formats.subject import CannotHoldError, Subject, subject_of
from core.delivery.shrunk import shrunk_workload
from core.errors import SecateurError
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.measurement import Measurement
from tests.core.delivery.branching import Branching

SAMPLES = ("fashion-resnet", "fashion-vit", "tiny-gpt")
EXAMPLES = 12
OURS = [name for name, facts in FORMATS.items() if facts.needs is None]  # of engines: test_engine_files.py


def few_cuts(measurement):
    """Half of one coupled group, one head if there is one, nine tenths of the largest weight."""
    structure = measurement.structure()
    weights = [target for target in measurement.targets if target.granularity == "weight"]
    heads = [target.name for target in structure.targets if target.granularity == "head"]
    return SparsityPlan(
        (
            Cut(next(iter(structure.groups)), "channel", 0.5),
            Cut(max(weights, key=lambda target: target.n_weights).name, "weight", 0.9),
            *(Cut(head, "head") for head in heads[:1]),
        )
    )


def subject_for(workload, form, plan_of=few_cuts, opset=None):
    with Measurement(workload, None, min(EXAMPLES, len(workload.evaluation))) as measurement:
        plan = plan_of(measurement)
        if form == "shrunk":
            model = shrunk_workload(measurement, plan).model
        else:
            model = pruned_copy(workload.model, measurement.maker.cut_tensors(plan)).eval()
        return subject_of(measurement, model, opset)


def test_facts_and_functions_are_of_the_same_formats():
    assert tuple(REGISTRY) == tuple(FORMATS)
    assert ALWAYS in FORMATS
    assert len({facts.path for facts in FORMATS.values()}) == len(FORMATS)


@pytest.fixture(
    scope="module", params=[(name, form) for name in SAMPLES for form in ("masked", "shrunk")], ids="-".join
)
def sample(request):
    name, form = request.param
    return subject_for(load_workload(name), form)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_every_format_holds_every_sample_or_says_why_not(sample, name, tmp_path):
    before = {key: tensor.clone() for key, tensor in sample.model.state_dict().items()}
    if name == "huggingface":
        with pytest.raises(CannotHoldError, match=r"the format huggingface cannot hold .* is not a Hugging Face model"):
            write_formats(sample, [name], tmp_path)
        assert not any(tmp_path.iterdir())
        return
    written, refused = write_formats(sample, [name], tmp_path)
    assert not refused
    assert written[name]["files"] == [FORMATS[name].path]
    if name in ("safetensors", "pt2"):
        assert written[name]["difference"] == 0.0  # the same bits
    assert written[name]["difference"] <= FORMATS[name].tolerance
    assert all(torch.equal(before[key], tensor) for key, tensor in sample.model.state_dict().items())
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1.5 * state_bytes(sample) + 2e5


def state_bytes(subject):
    return sum(tensor.nbytes for tensor in subject.model.state_dict().values())


SLOW_PT2 = pytest.param("pt2", marks=pytest.mark.slow)  # a process that imports torch.export takes its time


@pytest.mark.process
@pytest.mark.parametrize("name", ["safetensors", SLOW_PT2, "onnx", "int8", "onnx-int8"])
@pytest.mark.parametrize("fixture", ["conv", "tied_lm"])
def test_small_models_are_held_and_a_change_in_memory_is_seen(request, fixture, name, tmp_path):
    workload = request.getfixturevalue(fixture)
    subject = subject_for(workload, "masked", lambda m: SparsityPlan.uniform(m.targets, 0.5))
    written, _ = write_formats(subject, [name], tmp_path)
    assert written[name]["difference"] <= FORMATS[name].tolerance
    with torch.no_grad():
        last = list(subject.model.parameters())[-1]
        last += 1
    with pytest.raises(SecateurError, match=rf"the format {name} is not what was exported: .*; export it again"):
        check_formats(subject, [name], tmp_path)


@pytest.mark.process
@pytest.mark.cold
def test_processes_that_have_imported_nothing_read_every_format(conv, tmp_path):
    subject = subject_for(conv, "masked", lambda m: SparsityPlan.uniform(m.targets, 0.5))
    names = [name for name in OURS if name not in ("huggingface", "compressed")]  # for which this net is too small
    assert list(write_formats(subject, names, tmp_path)[0]) == names


class Wide(nn.Module):
    """One layer, large enough that a bitmask pays."""

    def __init__(self, sparsity):
        super().__init__()
        self.fc = nn.Linear(100, 121)
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            self.fc.weight *= torch.rand(self.fc.weight.shape, generator=generator) >= sparsity
            self.fc.weight[0, 0] = -0.0  # a zero that has a bit

    def forward(self, x):
        return self.fc(x)


@pytest.mark.process
def test_a_compressed_graph_stores_a_bit_per_weight_and_what_stays(tmp_path):
    import onnx
    from onnx import numpy_helper

    torch.manual_seed(0)
    model = Wide(0.9).eval()
    subject = Subject(model, ((torch.randn(5, 100),), (torch.randn(3, 100),)))
    written, _ = write_formats(subject, ["onnx", "compressed"], tmp_path)
    n, stays = 12100, int((model.fc.weight.view(torch.int32) != 0).sum())
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "model.compressed.onnx").graph.initializer}
    (bits,) = [array for name, array in stored.items() if name.endswith(".bits")]
    (values,) = [array for name, array in stored.items() if name.endswith(".values")]
    assert (bits.nbytes, values.nbytes) == ((n + 7) // 8, 4 * (stays + 1))
    sizes = [(tmp_path / FORMATS[name].path).stat().st_size for name in ("onnx", "compressed")]
    assert sizes[0] - sizes[1] == pytest.approx(4 * n - bits.nbytes - values.nbytes, abs=1500)
    assert written["compressed"]["difference"] == written["onnx"]["difference"]  # the same weights, bit for bit


def test_a_graph_without_zeros_is_not_compressed(tmp_path):
    subject = Subject(Wide(0.0).eval(), ((torch.randn(5, 100),), (torch.randn(3, 100),)))
    with pytest.raises(CannotHoldError, match=r"format compressed .* none of its weights has enough zeros"):
        write_formats(subject, ["compressed"], tmp_path)
    assert not any(tmp_path.iterdir())
    written, refused = write_formats(subject, ["compressed"], tmp_path, optional=["compressed"])
    assert not written
    assert refused["compressed"].endswith("take the format onnx")


@pytest.mark.process
@pytest.mark.parametrize("opset", [18, 21])
def test_an_opset_is_the_one_that_was_asked_for(opset, tmp_path):
    subject = Subject(Wide(0.9).eval(), ((torch.randn(5, 100),), (torch.randn(3, 100),)), opset)
    written, _ = write_formats(subject, ["onnx", "compressed"], tmp_path)
    assert (written["onnx"]["opset"], written["compressed"]["opset"]) == (opset, opset)


def test_an_opset_that_the_exporter_does_not_give_is_refused(tmp_path):
    subject = Subject(Wide(0.9).eval(), ((torch.randn(5, 100),), (torch.randn(3, 100),)), 999)
    with pytest.raises(CannotHoldError, match=r"asked for opset 999, the exporter gives 18"):
        write_formats(subject, ["onnx"], tmp_path)


class Fixed(nn.Module):
    """Its code knows the number of examples."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(x.view(2, -1, 4)).mean(1) if x.shape[0] == 2 else self.fc(x)


@pytest.mark.process
@pytest.mark.parametrize("name", [SLOW_PT2, "onnx"])
@pytest.mark.parametrize("make", [Fixed, partial(Branching, 4)], ids=["Fixed", "Branching"])
def test_what_cannot_be_exported_for_any_batch_is_refused_by_name(name, make, tmp_path):
    torch.manual_seed(0)
    subject = Subject(make().eval(), ((torch.randn(5, 4),), (torch.randn(3, 4),)))
    with pytest.raises(CannotHoldError, match=rf"the format {name} cannot hold this model: .*leave {name} out, or"):
        write_formats(subject, [name], tmp_path)


class Several(nn.Module):
    """Outputs that are no tensor."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x, scale):
        return {"logits": self.fc(x) * scale, "more": (x, None)}


@pytest.mark.process
@pytest.mark.parametrize("name", [SLOW_PT2, "onnx"])
def test_several_inputs_and_outputs_keep_their_order(name, tmp_path):
    torch.manual_seed(0)
    batches = tuple((torch.randn(n, 4), torch.rand(n, 1)) for n in (5, 3))
    written, _ = write_formats(Subject(Several().eval(), batches), [name], tmp_path)
    assert written[name]["difference"] <= FORMATS[name].tolerance


def test_names_of_formats_are_checked():
    assert checked_formats(()) == ("safetensors",)
    assert checked_formats(["onnx", "pt2", "onnx"], 18) == ("safetensors", "pt2", "onnx")
    with pytest.raises(SecateurError, match="no format 'gguf'; choose from safetensors, pt2"):
        checked_formats(["gguf"])
    for opset in (0, True, 18.0):
        with pytest.raises(SecateurError, match="opset must be a positive whole number"):
            checked_formats(["onnx"], opset)
    with pytest.raises(SecateurError, match="an opset is ONNX's: ask for the format onnx or compressed"):
        checked_formats(["pt2"], 18)


class LanguageModel(nn.Module):
    """A Hugging Face model whose configuration knows the size of a head; 48 is a multiple of 4 heads and of 3."""

    def __init__(self):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        self.lm = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=50,
                hidden_size=48,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=4,
                max_position_embeddings=64,
            )
        )

    def forward(self, ids):
        return self.lm(input_ids=ids, use_cache=False).logits


def llama():
    codes = torch.randint(50, (12, 7), generator=torch.Generator().manual_seed(1))
    return Workload("llama", LanguageModel().eval(), Examples(codes, codes.roll(-1, 1)), perplexity(), batch_size=6)


def a_head_of_each_layer(measurement):
    structure = measurement.structure()
    return SparsityPlan(tuple(Cut(f"{path}:1", "head") for path in structure.heads))


@pytest.mark.process
@pytest.mark.slow
def test_heads_that_a_configuration_can_say_make_a_smaller_folder(tmp_path):
    subject = subject_for(llama(), "shrunk", a_head_of_each_layer)
    written, _ = write_formats(subject, ["huggingface"], tmp_path)
    config = json.loads((tmp_path / "huggingface" / "config.json").read_text())
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (3, 3, 12)
    assert set(written["huggingface"]["files"]) >= {"huggingface/config.json", "huggingface/model.safetensors"}
    assert written["huggingface"]["difference"] == 0.0
    (tmp_path / "huggingface" / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(SecateurError, match=r"holds pytorch_model\.bin, which `secateur export` did not write"):
        check_formats(subject, ["huggingface"], tmp_path)


@pytest.mark.process
@pytest.mark.slow
def test_heads_of_one_layer_only_cannot_be_said(tmp_path):
    def one_layer(measurement):
        return SparsityPlan(a_head_of_each_layer(measurement).cuts[:1])

    with pytest.raises(CannotHoldError, match=r"its configuration cannot say what was cut: .*cut all layers alike"):
        write_formats(subject_for(llama(), "shrunk", one_layer), ["huggingface"], tmp_path)
    written, _ = write_formats(subject_for(llama(), "masked", one_layer), ["huggingface"], tmp_path)
    assert written["huggingface"]["difference"] == 0.0


class Head(nn.Module):
    """A classifier on a Hugging Face model, of which a folder could not hold the weights."""

    def __init__(self):
        super().__init__()
        self.base, self.fc = LanguageModel(), nn.Linear(50, 2)

    def forward(self, ids):
        return self.fc(self.base(ids).mean(1))


def test_weights_beside_the_hugging_face_model_are_not_lost_in_silence(tmp_path):
    ids = torch.randint(50, (5, 7))
    with pytest.raises(CannotHoldError, match=r"Head has parameters beside its Hugging Face model, fc\.weight"):
        write_formats(Subject(Head().eval(), ((ids,), (ids[:3],))), ["huggingface"], tmp_path)


def test_batches_of_one_example_are_joined_so_that_other_sizes_are_tried(conv):
    subject = subject_for(replace(conv, batch_size=1), "masked", lambda m: SparsityPlan.uniform(m.targets, 0.5))
    assert [len(batch[0]) for batch in subject.batches] == [4, 3]
    assert len(subject.example[0]) == 2


def test_what_a_manifest_says_of_weights_that_were_read_back_is_read_back_again(monkeypatch, tmp_path):
    asked = []
    now = {"same_bits": 1, "scaled": 1, "of": 2}
    made = registry.Format(lambda *a: None, lambda *a: asked.append(a), said=lambda *a: {"weights": now})
    monkeypatch.setattr(registry, "REGISTRY", {"coreml": made})
    for told in ({}, {"coreml": {"not_run": "elsewhere"}}, {"coreml": {"weights": dict(now)}}):
        assert check_formats(None, ["coreml"], tmp_path, told=told) == {"coreml": None}
    for wrong in ({**now, "same_bits": 2}, {"of": 2}, 2):
        with pytest.raises(SecateurError, match="coreml is not what was exported: of its weights same_bits 1"):
            check_formats(None, ["coreml"], tmp_path, told={"coreml": {"weights": wrong}})
    assert len(asked) == 6
