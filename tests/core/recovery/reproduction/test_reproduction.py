"""A bundle is made again bit for bit from the dense model, the plan and the seed, or it is said where that parts."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core import Cut, FineTuning, SecateurError, SparsityPlan, Workload, recovered, reproduce, shrunk
from core.delivery.bundles import bundle as bundle_module
from core.delivery.bundles.bundle import write_bundle
from core.plans.schedules import Schedule
from core.recovery.checkpoint import read_checkpoint, write_checkpoint
from core.recovery.recovery_words import parted_text, reproduced_text
from core.recovery.reproduction import remade as reproduction_module
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.recovery.rounds import Recovery
from core.sensitivity.measuring.measurement import Measurement
from tests.core.recovery.learners import recover
from tests.resealed import reseal

pytestmark = pytest.mark.process

HALF = SparsityPlan((Cut("fc1", "channel", 0.5),))
WEIGHTS = SparsityPlan((Cut("fc1", sparsity=0.5), Cut("fc2", sparsity=0.25)))
HOW = FineTuning(steps=8, batch_size=32, rate=5e-3)
TENSORS, ENTRIES = 9, 288 + 24 + 4 * 24 + 1 + 72 + 3  # of `Trained`: fc1, batch normalisation with its count, fc2


@pytest.fixture(autouse=True)
def _without_a_fresh_process(monkeypatch):
    """It would load a workload file, and these are in memory; test_reproduce.py goes the whole way."""
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", lambda *_: None)


@pytest.fixture
def bundled(tmp_path):
    """Writes a bundle of a workload and gives its folder."""

    def write(workload, plan=WEIGHTS, form="masked", name="out"):
        with Measurement(workload, None, 50) as measurement:
            write_bundle("learner.py", measurement, plan, tmp_path / name, form=form)
        return tmp_path / name

    return write


def recovery_of(workload, folder, until=None, **fields):
    fields = {"fine_tuning": HOW, "plan": HALF.to_document(), **fields}
    asked = RecoverRequest("learner.py", Schedule("linear", 0.0, 0.9, 3), **fields)
    return recover(workload, asked, folder, until)


def with_bias(workload: Workload, more: float) -> Workload:
    model = copy.deepcopy(workload.model)
    with torch.no_grad():
        model.fc2.bias += more
    return replace(workload, model=model)


@pytest.mark.parametrize(("plan", "form"), [(WEIGHTS, "masked"), (HALF, "masked"), (HALF, "shrunk")])
def test_a_cut_is_made_again_from_folder_and_zip(learner, bundled, plan, form):
    folder = bundled(learner, plan, form)
    found = reproduce(folder, learner)
    assert found.is_same
    assert (found.bundle, found.workload, found.tensors, found.rounds) == (str(folder), "learner", TENSORS, 0)
    assert found.otherwise == ()
    if form == "masked":
        assert found.entries == ENTRIES
    zipped = folder.with_name("out.zip")
    assert reproduce(zipped, learner) == replace(found, bundle=str(zipped))
    assert f"gives all 9 tensors ({found.entries:,} entries) bit for bit" in reproduced_text(found)


@pytest.mark.parametrize("criterion", ["wanda", "sparsegpt", "taylor"])
def test_so_is_one_by_a_criterion_that_looks_at_data(learner, bundled, criterion):
    plan = SparsityPlan((Cut("fc1", sparsity=0.5, criterion=criterion),))
    assert reproduce(bundled(learner, plan), learner).is_same


@pytest.mark.parametrize(("number", "form"), [(3, "masked"), (2, "masked"), (3, "shrunk")])
def test_a_recovered_model_is_recovered_anew_up_to_its_round(learner, bundled, tmp_path, number, form):
    before = copy.deepcopy(learner.model.state_dict())
    recovery_of(learner, tmp_path / "rounds")
    workload = recovered(learner, path_of(tmp_path / "rounds", number))
    folder = bundled(workload, HALF, form)
    assert json.loads((folder / "manifest.json").read_text())["recovery"][0]["workload"] == "learner.py"
    phases = []
    found = reproduce(folder, learner, phases.append)
    assert found.is_same, found
    assert found.rounds == number
    assert [phase for phase in phases if "round" in phase] == [
        f"recovering, round {i} of {number}" for i in range(1, number + 1)
    ]
    assert f"recovered again in {number} rounds and cut by the plan" in reproduced_text(found)
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.model.state_dict().items())


def test_it_is_really_recovered_anew_not_read_from_the_round(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds")
    folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 3)))
    for path in (tmp_path / "rounds").iterdir():
        path.unlink()
    assert reproduce(folder, learner).is_same


def test_a_run_that_was_interrupted_and_went_on_is_one_recovery(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds", until=1)
    recovery_of(learner, tmp_path / "rounds")
    path = path_of(tmp_path / "rounds", 3)
    (making,) = read_checkpoint(path).made_by
    assert len(set(making.states)) == 3
    assert reproduce(bundled(recovered(learner, path)), learner).is_same


def rolled_back(learner, folder):
    recovery_of(learner, folder / "first")
    other = replace(HOW, seed=1, rate=1e-3)
    start = str(path_of(folder / "first", 2))
    asked = RecoverRequest("learner.py", Schedule("linear", 0.0, 0.9, 4), other, HALF.to_document(), start=start)
    with Measurement(learner, None, "all") as measurement:
        Recovery(measurement, asked, folder / "second").run()
    return path_of(folder / "second", 4)


def test_rounds_after_a_roll_back_are_made_after_the_rounds_that_it_kept(learner, bundled, tmp_path):
    path = rolled_back(learner, tmp_path)
    makings = read_checkpoint(path).made_by
    assert [(len(one.states), one.request["fine_tuning"]["seed"]) for one in makings] == [(2, 0), (2, 1)]
    assert all(one.request["start"] is None for one in makings)  # a path of this machine says nothing elsewhere
    folder = bundled(recovered(learner, path))
    found = reproduce(folder, learner)
    assert (found.is_same, found.rounds) == (True, 4)

    def other_seed(manifest):
        manifest["recovery"][0]["rounds"][1]["request"]["fine_tuning"]["seed"] = 2

    reseal(folder, other_seed)
    assert reproduce(folder, learner).parting.at == "round 3 of the recovery"


def test_a_model_that_was_made_smaller_then_recovered_then_cut_goes_all_the_way_again(learner, bundled, tmp_path):
    small = shrunk(learner, bundled(learner, HALF, "shrunk", "small"))
    recovery_of(small, tmp_path / "rounds", plan=WEIGHTS.to_document())
    once = recovered(small, path_of(tmp_path / "rounds", 3))
    recovery_of(once, tmp_path / "more", plan=WEIGHTS.to_document(), fine_tuning=replace(HOW, seed=3))
    twice = recovered(once, path_of(tmp_path / "more", 1))
    assert [stage.kind for stage in twice.origin] == ["shrunk", "recovered", "recovered"]
    found = reproduce(bundled(twice), learner)
    assert found.is_same, found
    assert found.rounds == 3 + 1


def test_as_many_threads_add_up_as_then(learner, bundled, tmp_path, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        recovery_of(learner, tmp_path / "rounds")
        folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 3)))
    finally:
        torch.set_num_threads(before)
    seen = []
    run = Recovery.run
    monkeypatch.setattr(Recovery, "run", lambda *args: seen.append(torch.get_num_threads()) or run(*args))
    found = reproduce(folder, learner)
    assert (found.is_same, found.otherwise, seen) == (True, (), [2])
    assert torch.get_num_threads() == before


def test_another_seed_parts_at_the_first_round(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds")
    folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 3)), HALF)

    def other_seed(manifest):
        manifest["recovery"][0]["rounds"][0]["request"]["fine_tuning"]["seed"] = 1

    reseal(folder, other_seed)
    found = reproduce(folder, learner)
    parting = found.parting
    assert not found.is_same
    assert (parting.at, parting.tensor, parting.difference) == ("round 1 of the recovery", "fc1.weight", None)
    assert parting.largest > 0
    assert 0 < parting.entries < ENTRIES - 144  # what the plan takes out of fc1 is zero with any seed
    text = parted_text(found)
    assert "is not reproduced from learner: it parts at round 1 of the recovery" in text
    assert "the first tensor that differs is fc1.weight" in text
    assert "Otherwise than when it was made: the data, the settings or the code of the recovery" in text
    assert "\n" not in text


def test_other_training_data_part_at_the_first_round(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds")
    folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 1)))
    fewer = replace(learner, training=learner.training.first(390))
    found = reproduce(folder, fewer)
    assert found.parting.at == "round 1 of the recovery"
    assert found.otherwise == ("the data, the settings or the code of the recovery",)


def test_other_dense_weights_are_named_with_how_far_they_are_apart(learner, bundled):
    found = reproduce(bundled(learner), with_bias(learner, 0.25))
    parting = found.parting
    assert (parting.at, parting.tensor) == ("the dense weights", "fc2.bias")
    assert (parting.tensors, parting.entries, parting.largest) == (1, 3, pytest.approx(0.25, abs=1e-6))
    assert "1 of 9 differ, in 3 of 484 entries, by 0.25 at most" in parted_text(found)
    assert "Otherwise than when it was made: the weights of learner" in parted_text(found)


def test_nothing_is_trained_on_other_dense_weights(learner, bundled, tmp_path, monkeypatch):
    recovery_of(learner, tmp_path / "rounds")
    folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 3)))
    monkeypatch.setattr(Recovery, "run", lambda *_: pytest.fail("it was trained"))
    found = reproduce(folder, with_bias(learner, 0.25))
    assert (found.parting.at, found.parting.tensor, found.rounds) == ("the dense weights", None, 0)
    assert "it parts at the dense weights. Otherwise" in parted_text(found)


def test_a_dense_model_that_the_plan_does_not_fit_parts_at_the_dense_weights(learner, hand, bundled):
    found = reproduce(bundled(learner), hand)
    assert found.parting.at == "the dense weights"
    assert found.parting.tensor == "fc1.weight"
    assert found.parting.difference == "(24, 12) of float32 in the bundle, (2, 2) of float32 when made again"
    without = replace(hand, model=torch.nn.Sequential(torch.nn.Linear(2, 2)))
    assert reproduce(bundled(learner, name="again"), without).parting.tensor is None


def test_another_plan_parts_at_the_cut(learner, bundled):
    folder = bundled(learner)
    less = SparsityPlan((Cut("fc1", sparsity=0.25), Cut("fc2", sparsity=0.25)))
    (folder / "plan.json").write_text(less.to_json())
    reseal(folder)
    parting = reproduce(folder, learner).parting
    assert (parting.at, parting.tensor, parting.tensors) == ("the cut by the plan", "fc1.weight", 1)
    assert parting.entries == 288 // 2 - 288 // 4  # that the one plan takes out and the other leaves
    written = load_file(folder / "model.safetensors")["fc1.weight"]
    gone = learner.model.fc1.weight.detach()[written == 0].abs()
    assert parting.largest == pytest.approx(float(gone.max()))


def test_one_bit_of_the_weights_is_seen_and_a_zero_of_the_other_sign_is_one(learner, bundled):
    folder = bundled(learner)
    weights = load_file(folder / "model.safetensors")
    row, column = (weights["fc1.weight"] == 0).nonzero()[0].tolist()
    weights["fc1.weight"][row, column] = -0.0
    save_file(weights, folder / "model.safetensors")
    reseal(folder)
    found = reproduce(folder, learner)
    parting = found.parting
    assert (parting.tensor, parting.tensors, parting.entries, parting.largest) == ("fc1.weight", 1, 1, 0.0)
    assert "Model, versions and machine are as they were" in parted_text(found)


def test_versions_and_machines_that_are_otherwise_are_named(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds")
    folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 1)))

    def elsewhere(manifest):
        manifest["made_with"].update(torch="1.0", machine="vax")
        manifest["recovery"][0]["rounds"][0].update(torch="1.0", machine="an abacus")

    reseal(folder, elsewhere)
    found = reproduce(folder, learner)
    assert found.is_same
    instead = [reason.partition(" instead of ")[2] for reason in found.otherwise]
    assert instead == ["1.0", "vax", "an abacus"]
    assert "Though otherwise than when it was made: torch" in reproduced_text(found)


def test_code_that_is_otherwise_and_gives_the_same_bits_is_reproduced_and_named(learner, bundled):
    class Renamed(type(learner.model)):
        pass

    folder = bundled(learner)
    other = copy.deepcopy(learner.model)
    other.__class__ = Renamed
    found = reproduce(folder, replace(learner, model=other))
    assert (found.is_same, found.otherwise) == (True, ("the code or the settings of the model learner",))


@pytest.mark.parametrize("name", ["manifest.json", "plan.json", "model.safetensors", "card.html"])
def test_a_byte_that_was_changed_is_seen_before_anything_is_loaded(learner, bundled, monkeypatch, name):
    folder = bundled(learner)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    monkeypatch.setattr(reproduction_module, "load_workload", lambda ref: pytest.fail("it was loaded"))
    monkeypatch.setattr(reproduction_module, "rebuilt", lambda *_: pytest.fail("it was cut"))
    with pytest.raises(SecateurError, match=r"hash differs|was changed|not JSON"):
        reproduce(folder, learner)


def test_a_round_from_before_its_request_was_kept_can_be_read_and_is_taken_as_it_is(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds")
    path = path_of(tmp_path / "rounds", 3)
    write_checkpoint(tmp_path / "rounds", replace(read_checkpoint(path), made_by=None))
    workload = recovered(learner, path)
    (stage,) = workload.origin
    assert (stage.workload, stage.rounds, stage.is_known) == (None, None, False)
    folder = bundled(workload)
    for model in (None, learner):
        with pytest.raises(SecateurError, match="its checkpoint is from an older version of Secateur; recover again"):
            reproduce(folder, model)
    found = reproduce(folder, workload)
    assert (found.is_same, found.rounds) == (True, 0)
    assert "Not done again: learner, recovered, round 3, for the bundle does not say how" in reproduced_text(found)


def test_what_goes_on_from_such_a_round_does_not_know_either(learner, tmp_path):
    recovery_of(learner, tmp_path / "rounds", until=2)
    path = path_of(tmp_path / "rounds", 2)
    write_checkpoint(tmp_path / "rounds", replace(read_checkpoint(path), made_by=None))
    recovery_of(learner, tmp_path / "rounds")
    assert read_checkpoint(path_of(tmp_path / "rounds", 3)).made_by is None


def test_rounds_by_another_torch_are_told_apart(learner, tmp_path):
    recovery_of(learner, tmp_path / "rounds", until=2)
    found = read_checkpoint(path_of(tmp_path / "rounds", 2))
    (making,) = found.made_by
    write_checkpoint(tmp_path / "rounds", replace(found, made_by=(replace(making, torch="1.0"),)))
    recovery_of(learner, tmp_path / "rounds")
    makings = read_checkpoint(path_of(tmp_path / "rounds", 3)).made_by
    assert [(one.torch, len(one.states)) for one in makings] == [("1.0", 2), (torch.__version__, 1)]


def test_the_recovered_model_is_not_taken_where_the_dense_one_is_wanted(learner, bundled, tmp_path):
    recovery_of(learner, tmp_path / "rounds")
    workload = recovered(learner, path_of(tmp_path / "rounds", 3))
    with pytest.raises(SecateurError, match=r"was recovered or made smaller before.*--model learner.py"):
        reproduce(bundled(workload), workload)


def test_a_file_that_only_the_bundle_names_is_not_run(learner, bundled, tmp_path, write_file):
    trap = write_file("trap.py", "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\n")
    folder = bundled(learner)
    reseal(folder, lambda manifest: manifest.update(workload=str(trap)))
    recovery_of(learner, tmp_path / "rounds")
    later = bundled(recovered(learner, path_of(tmp_path / "rounds", 3)), name="later")
    reseal(later, lambda manifest: manifest["recovery"][0].update(workload=str(trap)))
    for place in (folder, later):
        with pytest.raises(
            SecateurError, match=r"would be run as Python; if you trust it, name it: secateur reproduce"
        ):
            reproduce(place)
    assert not (tmp_path / "sprung").exists()


def first_round(manifest):
    return manifest["recovery"][0]["rounds"][0]


BAD = {
    "no list": lambda m: m.update(recovery=3),
    "a list of numbers": lambda m: m.update(recovery=[1]),
    "another kind": lambda m: m["recovery"][0].update(kind="grown"),
    "a new field": lambda m: m["recovery"][0].update(more=1),
    "no state": lambda m: m["recovery"][0].update(state=None),
    "no rounds": lambda m: m["recovery"][0].update(rounds=[]),
    "rounds that are none": lambda m: m["recovery"][0].update(rounds=[[]]),
    "rounds of a string": lambda m: m["recovery"][0].update(rounds="abc"),
    "no states": lambda m: first_round(m).update(states=[]),
    "states that are numbers": lambda m: first_round(m).update(states=[1, 2, 3]),
    "a request of text": lambda m: first_round(m).update(request="recover"),
    "an empty request": lambda m: first_round(m).update(request={}),
    "a schedule that falls": lambda m: first_round(m)["request"]["schedule"].update(initial_sparsity=0.99),
    "threads of text": lambda m: first_round(m).update(threads="2"),
    "no threads": lambda m: first_round(m).update(threads=0),
    "a billion threads": lambda m: first_round(m).update(threads=10**9),
    "another device": lambda m: first_round(m)["request"].update(device="tpu"),
    "more samples than there are": lambda m: first_round(m)["request"].update(samples=10**6),
    "a plan of another model": lambda m: first_round(m)["request"]["plan"]["cuts"][0].update(target="fc9"),
    "a shrunk stage without a plan": lambda m: m["recovery"][0].update(kind="shrunk"),
    "a shrunk stage with a bad plan": lambda m: m["recovery"][0].update(kind="shrunk", plan={}),
    "a shrunk stage with threads of text": lambda m: m["recovery"][0].update(kind="shrunk", plan={}, threads="2"),
    "a billion threads to cut": lambda m: m["made_with"].update(threads=10**9),
}


@pytest.mark.parametrize("what", BAD)
def test_a_manifest_that_says_nonsense_is_refused_in_a_line(learner, bundled, tmp_path, what):
    recovery_of(learner, tmp_path / "rounds", until=1)
    folder = bundled(recovered(learner, path_of(tmp_path / "rounds", 1)))
    reseal(folder, BAD[what])
    with pytest.raises(SecateurError) as error:
        reproduce(folder, learner)
    assert "\n" not in str(error.value)


def test_the_temporary_folder_holds_one_round_at_a_time_and_is_gone_after(learner, bundled, tmp_path, monkeypatch):
    folder = bundled(recovered(learner, rolled_back(learner, tmp_path)))
    there = tmp_path / "temporary"
    there.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(there))
    found = []
    write = write_checkpoint
    monkeypatch.setattr(
        "core.recovery.rounds.write_checkpoint",
        lambda *args: found.append(len(list(Path(args[0]).glob("*.safetensors")))) or write(*args),
    )
    assert reproduce(folder, learner).is_same
    assert found == [0, 1, 0, 1]  # before each is written
    assert list(there.iterdir()) == []
