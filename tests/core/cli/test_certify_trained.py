"""`secateur certify` of what a recovery has trained."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core import load_workload
from core.certificates.certificate import Certificate
from core.certificates.trained import check_trained
from core.errors import SecateurError
from core.jobs.runs import RunStore
from core.workload.identity.fingerprint import model_fingerprint
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur
from tests.core.cli.test_recover_choice import MORE
from tests.resealed import reseal

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]

EMPTY = '{"format": "secateur.plan", "version": 1, "workload": "net", "cuts": []}'
WORDS = ("--final", "0.5", "--rounds", "2", "--steps", "8", "--rate", "1e-2")


@pytest.fixture
def dense(write_file, net_text):
    """The workload file of the small net with 1,500 examples to judge on, and training data."""
    return write_file("net.py", net_text.replace("def workload():", "def dense():") + MORE.format(n=1500))


@pytest.fixture
def round_file(dense, tmp_path):
    """The workload file of a recovered round."""
    done = secateur("recover", dense, *WORDS, "--out", tmp_path / "round.py")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "round.py"


@pytest.fixture
def half(tmp_path):
    """A plan of half of fc1's weights."""
    path = tmp_path / "half.json"
    cut = {"target": "fc1", "granularity": "weight", "sparsity": 0.5, "criterion": "magnitude"}
    path.write_text(json.dumps({**json.loads(EMPTY), "cuts": [cut]}))
    return path


def certificate_of(*words):
    return Certificate.from_json(document_of("certify", *words)["run"]["result"]["certificate"])


def by_hand(file, n, change=lambda model: None):
    """Drop of a round from the dense model on the first of what is set aside, in plain torch."""
    workload = load_workload(str(file))
    rows = torch.randperm(1500, generator=torch.Generator().manual_seed(0))[1200:][:n]
    x, labels = workload.evaluation.inputs[0][rows], workload.evaluation.labels[rows]
    change(workload.model)
    with torch.no_grad():
        right = [(model(x).argmax(1) == labels).double().mean() for model in (workload.teacher, workload.model)]
    return float(right[0] - right[1])


def test_a_round_is_certified_from_the_dense_model_on_what_is_set_aside(round_file, dense, half):
    found = certificate_of(round_file, "--within", "40")
    assert (found.n_held, found.number) == (300, 1)
    assert found.drop == pytest.approx(by_hand(round_file, found.n))
    assert found.teacher == model_fingerprint(load_workload(str(dense)).model)
    assert found.bound >= found.drop

    def cut(model):
        weight = model.fc1.weight.data.view(-1)
        weight[weight.abs().argsort(stable=True)[: len(weight) // 2]] = 0

    further = certificate_of(round_file, half, "--within", "40")  # another model on the same examples
    assert further.number == 2
    assert further.drop == pytest.approx(by_hand(round_file, further.n, cut))
    assert certificate_of(dense, half, "--within", "40").number == 3
    again = certificate_of(round_file, "--within", "40", "--confidence", "90")
    assert again.number == 1
    said = secateur("certify", round_file, "--within", "60").stdout
    assert "points worse than the dense model that it was made from" in said


def test_examples_that_cuts_were_measured_on_are_refused_for_a_round_too(round_file, dense, half):
    assert secateur("apply", dense, half, "--samples", "1250").exit_code == 0
    line = refused("certify", round_file, "--within", "40")
    assert "refused: these examples were used for choosing: cuts were measured on 50 of the 300" in line


def test_a_round_whose_training_data_are_others_now_is_refused(round_file, dense):
    dense.write_text(dense.read_text().replace("torch.randn(90, 6", "torch.randn(91, 6"))
    line = refused("certify", round_file, "--within", "40")
    assert "was trained on other data than the workload names now" in line


def test_training_data_that_hold_an_example_of_the_certificate_are_refused(round_file, dense):
    shared = dense.read_text().replace(
        "batch_size=64)", "batch_size=64, holdout=Examples(torch.cat([x[:299] + 1, y[:1]]), labels[:300]))"
    )
    dense.write_text(shared)
    assert "1 holdout example(s) of net are also training examples" in refused("certify", round_file, "--within", "40")


def test_what_older_builds_kept_of_a_round_is_not_enough(round_file):
    workload = load_workload(str(round_file))
    (stage,) = workload.origin
    check_trained(workload)
    assert stage.looked_at == 1200
    seen = replace(workload, origin=(replace(stage, looked_at=1500),))
    with pytest.raises(SecateurError, match=r"rounds of .* were judged on 1,500 examples, some of them set aside"):
        check_trained(seen)
    untold = tuple({name: value for name, value in one.items() if name != "training"} for one in stage.rounds)
    for rounds in (untold, None):
        with pytest.raises(SecateurError, match="does not say what it was trained on: an older Secateur made it"):
            check_trained(replace(workload, origin=(replace(stage, rounds=rounds),)))
    with pytest.raises(SecateurError, match="nobody kept what the weights of"):
        check_trained(replace(workload, origin=(replace(stage, model="another"),)))


@pytest.mark.process
def test_a_bundle_of_trained_weights_carries_its_certificate_and_verify_measures_it_again(round_file, tmp_path):
    found, out = certificate_of(round_file, "--within", "60"), tmp_path / "out"
    assert found.state == "certified"
    empty = tmp_path / "empty.json"
    empty.write_text(EMPTY)
    done = secateur("export", round_file, empty, out)
    assert done.exit_code == 0, done.stderr
    assert "The model is certified: at most" in done.stdout
    assert "The model is certified: at most" in (out / "card.md").read_text()
    verified = secateur("verify", out, "--model", round_file, "--no-run")
    assert verified.exit_code == 0, verified.stderr
    assert "measured again" in verified.stdout
    for name, value in {"bound": 0.001, "teacher": "another", "n": 50}.items():
        reseal(out, lambda manifest, name=name, value=value: manifest["certificate"].update({name: value}))
        assert "the certificate does not say" in refused("verify", out, "--model", round_file, "--no-run")
        reseal(out, lambda manifest: manifest.update(certificate=found.to_json()))
    reseal(out, lambda manifest: manifest["certificate"].update(teacher=3))
    assert "was changed after it was written" in refused("verify", out, "--model", round_file, "--no-run")


def test_a_gate_on_what_is_set_aside_counts_as_a_look_where_there_is_a_workspace(round_file, dense, half):
    gate = ("gate", round_file, dense, "--within", "30", "--json")
    assert json.loads(secateur(*gate, "--workspace", "nowhere").stdout)["unseen"] is True
    assert not Path("nowhere").exists()
    for _ in range(2):  # the same weights count once
        assert secateur(*gate).exit_code in (0, 1, 3)
    (run,) = RunStore(Workspace(".secateur")).list("gate")
    assert list(run.result["looks"].values()) == [1]
    assert "there they are number 1" in secateur("show", run.id).stdout
    found = certificate_of(dense, half, "--within", "40")
    assert found.number == 2
    assert run.result["examples"] == found.examples
    assert certificate_of(round_file, "--within", "40").number == 3


def test_a_gate_on_all_examples_counts_once_it_comes_to_those_that_are_set_aside(dense, half, tmp_path):
    model = load_workload(str(dense)).model
    same, zero = tmp_path / "same.safetensors", tmp_path / "zero.safetensors"
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, same)
    save_file({name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}, zero)
    Workspace(".secateur")
    runs = RunStore(Workspace(".secateur"))
    assert secateur("gate", zero, dense, "--within", "1").exit_code == 1  # certain within the first batches
    assert runs.list("gate") == ()
    assert secateur("gate", same, dense, "--within", "0.1").exit_code == 3  # reads them all
    (run,) = runs.list("gate")
    assert certificate_of(dense, half, "--within", "40").examples == run.result["examples"]
