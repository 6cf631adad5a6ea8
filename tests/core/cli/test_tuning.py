"""`secateur predict`, `anchors`, `solve` and `minimise`, in this process, on a net that is right about everything."""

import json
import shutil
from pathlib import Path

import click
import pytest

from core import Cut, SparsityPlan
from core.cli import COMMANDS, group
from core.engines.engine import EngineUnavailable
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.profiling.stairs import measure
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]

FILE = """
import torch
from torch import nn
from core import Examples, Workload, accuracy


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(8, 32), nn.Linear(32, 16), nn.Linear(16, 4)

    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


def workload():
    generator = torch.Generator().manual_seed(0)
    net = Net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        x = torch.randn(400, 8, generator=generator)
        labels = net(x).argmax(1)
    return Workload("net", net, Examples(x, labels), accuracy(), batch_size=100)
"""


@pytest.fixture
def net(write_file):
    return write_file("net.py", FILE)


@pytest.fixture
def swept(net):
    assert secateur("sweep", net, "--no-preview", "--channels").exit_code == 0
    return net


def a_plan(path, sparsity):
    cuts = (Cut("fc1", "weight", sparsity), Cut("fc2", "weight", sparsity))
    path.write_text(SparsityPlan(cuts).to_json())
    return path


def test_predict_says_what_it_rests_on_and_what_makes_it_a_guess(swept, tmp_path):
    plan = a_plan(tmp_path / "plan.json", 0.5)
    done = secateur("predict", swept, plan)
    assert "predicted drop +" in done.stdout
    assert "n = 400, and 0 measured plans" in done.stdout
    assert "how cuts interact is taken from other models" in done.stdout
    beyond = document_of("predict", swept, a_plan(tmp_path / "high.json", 0.99))
    assert beyond["guesses"][0].endswith("was not measured at so high a sparsity")


def test_anchors_are_measured_kept_with_what_was_predicted_before_and_correct_predictions(swept, tmp_path):
    plan = a_plan(tmp_path / "plan.json", 0.5)
    before = document_of("predict", swept, plan)
    done = document_of("anchors", swept, "--plans", 4)
    kept = document_of("plans", swept)
    after = document_of("predict", swept, plan)
    assert done["run"]["state"] == "finished"
    assert len(kept) == len(done["run"]["result"]["plans"]) >= 3
    assert all(one["made_by"] == "anchor" and one["measured"] and one["prediction"] for one in kept)
    assert before["n_plans"] == 0
    assert 3 <= after["n_plans"] <= len(kept)  # one whose cuts do no harm alone says nothing of how they interact
    assert after["harm"] == before["harm"]
    assert (done["run"]["result"]["unseen"], done["run"]["result"]["n"]) == (False, 400)  # the sweep took them all


def test_anchors_are_measured_on_examples_that_the_sweep_did_not_see(net):
    secateur("sweep", net, "--samples", "150", "--no-heads")
    done = document_of("anchors", net, "--plans", 3)["run"]["result"]
    assert (done["unseen"], done["n"]) == (True, 250)
    measured = [one["measured"][0]["drop"]["n"] for one in document_of("plans", net)]
    assert measured == [250] * len(done["plans"])


def test_what_was_not_swept_is_refused_with_what_to_do(net, tmp_path):
    RunStore(Workspace(".secateur"))
    for words in (("anchors", net), ("solve", net, "--left", "0.5"), ("minimise", net, "--within", "5")):
        assert "`secateur sweep" in refused(*words)


def test_solve_keeps_its_plan_and_writes_it(swept, tmp_path):
    found = document_of("solve", swept, "--left", "0.6", "--out", tmp_path / "out.json")
    assert found["feasible"]
    assert found["left"] <= 0.6
    plan = SparsityPlan.read(tmp_path / "out.json")
    assert plan.to_document() == found["plan"]
    kept = PlanBook(Workspace(".secateur")).get(str(swept), found["id"])
    assert (kept.made_by, kept.goal, kept.plan) == ("solver", "at most 60 % of the non-zeros", plan)
    assert kept.prediction.value.drop == pytest.approx(found["prediction"]["drop"])


def test_solve_meets_a_tolerance_keeps_rules_and_goes_on_from_a_plan(swept, tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"verb": "lock", "row": "fc1"}, {"verb": "never", "row": "fc3"}]))
    start = a_plan(tmp_path / "plan.json", 0.35)
    words = ("solve", swept, "--within", "10", "--rules", rules, "--from", start)
    plan = SparsityPlan.from_document(document_of(*words)["plan"])
    assert plan.sparsity_of("fc1") == 0.35
    assert plan.sparsity_of("fc3") == 0
    assert "cannot read the rules" in refused("solve", swept, "--left", "0.5", "--rules", tmp_path / "none.json")
    assert "give one of the two" in refused("solve", swept)


def test_solve_cuts_channels_for_what_is_made_of_them(swept):
    found = document_of("solve", swept, "--cost", "parameters", "--left", "0.7")
    assert {cut["granularity"] for cut in found["plan"]["cuts"]} == {"channel"}
    assert found["left"] <= 0.7
    assert "milliseconds" in refused("solve", swept, "--cost", "latency", "--left", "0.5")


def test_minimise_finds_a_plan_within_the_tolerance_and_notes_every_step(swept):
    done = document_of("minimise", swept, "--within", "12", "--plans", "8", "--out", "found.json")
    result = done["run"]["result"]
    tries, best = result["tries"], result["best"]
    assert done["run"]["state"] == "finished"
    assert SparsityPlan.read(Path("found.json")).to_document() == best["document"]
    assert 1 <= len(tries) <= 8
    assert best["drop"]["high"] <= 0.12
    assert {one["drop"]["n"] for one in tries} == {267}
    judged = {one["plan"]: one for one in result["judged"]}
    assert {one["drop"]["n"] for one in judged.values()} == {133}  # others than the search looked at
    assert best["left"] == min(one["left"] for one in tries if judged.get(one["plan"], {}).get("holds"))
    assert all(one["holds"] == (one["drop"]["value"] <= 0.12) for one in judged.values())
    kept = {one["id"]: one for one in document_of("plans", swept)}
    for one in tries:
        assert kept[one["plan"]]["made_by"] == "minimise"
        assert one["drop"]["value"] in [found["drop"]["value"] for found in kept[one["plan"]]["measured"]]
    text = secateur("show", done["run"]["id"]).stdout
    assert "Cheapest within 12.00 points" in text
    assert "On examples that the search did not see" in text
    again = document_of("apply", swept, write(best["document"]), "--samples", "267")
    assert again["run"]["result"]["drop"] == best["drop"]  # what a plan costs is what minimise said of it


def write(document):
    Path("best.json").write_text(json.dumps(document))
    return "best.json"


def test_minimise_says_when_nothing_is_within(swept):
    done = secateur("minimise", swept, "--within", "0.01", "--plans", "3", "--out", "none.json")
    assert "No plan is within 0.01 points" in done.stdout
    assert done.exit_code == 2
    assert "found no plan, and none.json was not written" in done.stderr
    assert not Path("none.json").exists()


def test_minimise_by_measured_time_times_what_cuts_save_and_what_it_found(swept):
    done = document_of("minimise", swept, "--within", "30", "--cost", "latency", "--plans", "4")
    result = done["run"]["result"]
    assert done["run"]["state"] == "finished"
    kinds = [run["kind"] for run in document_of("runs")]
    assert "profile" in kinds
    if result["best"] is not None:
        assert {cut["granularity"] for cut in result["best"]["document"]["cuts"]} == {"channel"}
        assert result["speed"]


def test_minimise_tells_why_an_engine_did_not_time_the_plan_that_it_found(swept, monkeypatch):
    timing = ("--rounds", 6, "--seconds", 0.01)
    assert secateur("profile", swept, "--widths", "--engines", "eager", *timing).exit_code == 0
    put = measure.InTurns.put

    def refusing(self, label, *args, **kwargs):
        if label != measure.DENSE:
            raise EngineUnavailable("it has no Widget")
        return put(self, label, *args, **kwargs)

    monkeypatch.setattr(measure.InTurns, "put", refusing)
    words = ("minimise", swept, "--within", "60", "--cost", "milliseconds", "--engine", "eager", "--plans", "2")
    run = document_of(*words)["run"]
    result = run["result"]
    assert result["best"] is not None
    assert [(one["engine"], one["reason"]) for one in result["not_timed"]] == [("eager", "it has no Widget")]
    assert "not timed: it has no Widget" in secateur("show", run["id"]).stdout


def test_refine_finds_a_plan_that_is_measured_to_be_no_worse_than_the_solvers(swept):
    words = ("refine", swept, "--left", "0.5", "--rounds", "3", "--samples", "200", "--out", "refined.json")
    done = document_of(*words)
    result = done["run"]["result"]
    assert SparsityPlan.read(Path("refined.json")).to_document() == result["best"]["document"]
    assert "--detach does not wait" in refused(*words, "--detach")
    assert done["run"]["state"] == "finished"
    assert result["drops"] == sorted(result["drops"], reverse=True)
    assert result["best"]["left"] <= 0.5
    assert result["n"] == 200
    assert result["best"]["drop"]["n"] == 400  # the answer is about all examples
    kept = {one["id"]: one for one in document_of("plans", swept)}
    assert kept[result["best"]["plan"]]["made_by"] == "refine"
    assert "Best plan within 50 % of the non-zeros" in secateur("show", done["run"]["id"]).stdout


def test_refine_measures_nothing_twice_and_keeps_rules(swept, tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"verb": "never", "row": "fc3"}]))
    words = ("refine", swept, "--left", "0.6", "--rounds", "2", "--samples", "200", "--rules", rules)
    first = document_of(*words)["run"]["result"]
    runs = RunStore(Workspace(".secateur"))
    with runs.workspace.connect() as db:
        n_before = db.execute("SELECT count(*) FROM evidence").fetchone()[0]
    again = document_of(*words)["run"]["result"]
    with runs.workspace.connect() as db:
        assert db.execute("SELECT count(*) FROM evidence").fetchone()[0] == n_before
    assert again["best"]["plan"] == first["best"]["plan"]
    assert "fc3" not in {cut["target"] for cut in first["best"]["document"]["cuts"]}


def test_refine_refuses_a_budget_that_no_plan_meets(swept):
    assert "give a larger budget" in refused("refine", swept, "--left", "0.001")
    assert "Divide by 100" in refused("refine", swept, "--left", "20")


def test_minimise_that_was_stopped_goes_on_to_the_same_end(swept, tmp_path, monkeypatch):
    words = ("--within", "12", "--plans", "8")
    other = tmp_path / "other"
    shutil.copytree(".secateur", other)
    whole = document_of("minimise", swept, *words, "--workspace", other)["run"]["result"]

    from core.jobs.works import tuning as tuning_work
    from core.sensitivity.measuring.stopping import Cancelled

    measured, real = [], tuning_work.measured_and_noted

    def stops_at_the_third(*args):
        if len(measured) == 2:
            raise Cancelled
        measured.append(args)
        return real(*args)

    monkeypatch.setattr(tuning_work, "measured_and_noted", stops_at_the_third)
    stopped = secateur("minimise", swept, *words)
    assert stopped.exit_code == 2
    monkeypatch.setattr(tuning_work, "measured_and_noted", real)
    (run,) = [run for run in document_of("runs") if run["kind"] == "minimise"]
    assert len(run["result"]["tries"]) == 2
    gone_on = document_of("resume", run["id"])["run"]["result"]
    for one, other in zip(gone_on["tries"], whole["tries"], strict=True):
        assert (one["plan"], one["drop"], one["predicted"]) == (other["plan"], other["drop"], other["predicted"])
    assert gone_on["best"]["plan"] == whole["best"]["plan"]


def test_a_prediction_made_after_measuring_is_not_shown_as_one(swept, tmp_path):
    first = document_of("minimise", swept, "--within", "12", "--plans", "2")["run"]["result"]
    again = document_of("minimise", swept, "--within", "12", "--plans", "6")["run"]["result"]
    known = {one["plan"]: one["predicted"] for one in first["tries"]}
    for one in again["tries"]:
        if one["plan"] in known:
            assert one["predicted"] == known[one["plan"]]


def test_a_plan_for_another_model_is_neither_predicted_nor_kept(swept, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(SparsityPlan((Cut("blocks.0.q", "weight", 0.5),), "tiny-gpt").to_json())
    runs = document_of("runs")
    commands = (
        ("predict",), ("apply",), ("undo",), ("profile",), ("pays",), ("recover",),
        ("certify", "--within", 1), ("export", tmp_path / "out"), ("shrink", tmp_path / "out"),
        ("quantize", "--out", tmp_path / "out.safetensors"), ("solve", "--left", 0.5, "--from"),
    )  # fmt: skip
    for name in COMMANDS:  # so that a new one is tried here too
        params = group.get_command(click.Context(group), name).params
        assert not {"plan", "places"} & {param.name for param in params} or name in {words[0] for words in commands}
    for command in commands:
        words = (*command, other) if command[0] == "solve" else (command[0], other, *command[1:])
        message = refused(words[0], swept, *words[1:])
        assert "the plan is for another model: net has no blocks.0.q; it was made for tiny-gpt" in message
    assert document_of("plans", swept) == []
    assert document_of("runs") == runs  # no worker had to find out


def test_a_rule_for_no_row_is_refused(swept, tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"verb": "lock", "pattern": "nosuchlayer"}]))
    assert "rule 1, lock 'nosuchlayer', is for no row of net" in refused(
        "solve", swept, "--left", "0.5", "--rules", rules
    )


@pytest.mark.parametrize("name", ["uniform", "erk", "global", "lamp"])
def test_allocate_leaves_what_was_asked_for(net, name):
    plan = SparsityPlan.from_document(document_of("allocate", net, "--spread", name, "--left", "0.5"))
    sizes = {"fc1": 256, "fc2": 512, "fc3": 64}
    removed = sum(round(plan.sparsity_of(layer) * n) for layer, n in sizes.items())
    assert removed == pytest.approx(416, abs=2)
    assert "choose one of" in refused("allocate", net, "--spread", "best", "--left", "0.5")


def test_even_layers_are_solved_for_and_what_has_none_like_it_is_told(swept):
    said = secateur("solve", swept, "--left", "0.8", "--cost", "parameters", "--even").stdout
    assert "stay whole, for no numbered block holds them: they have no layers to be like" in said
    document = document_of("solve", swept, "--left", "0.8", "--cost", "parameters", "--even", "--json")
    assert document["plan"]["cuts"] == []


def test_undo_says_what_each_row_is_worth_of_a_file_and_of_a_kept_plan(swept):
    secateur("plan", swept, "--uniform", "0.4", "--out", "harsh.json")
    said = secateur("undo", swept, "harsh.json", "--out", "better.json").stdout
    assert "row given back" in said
    assert "one step further" in said
    assert "error in the plan" in said
    harsh, better = (SparsityPlan.read(Path(name)) for name in ("harsh.json", "better.json"))
    assert set(better.cuts) < set(harsh.cuts)
    found = document_of("undo", swept, harsh.fingerprint()[:8], "--no-further", "--no-damage")
    assert found["run"]["kind"] == "undo"
    assert {row["cut"]["target"] for row in found["report"]["rows"]} == {"fc1", "fc2", "fc3"}
    assert found["report"]["damage"] == []
    assert all(row["step"] is None for row in found["report"]["rows"])


def test_undo_is_raced_beside_the_cost_that_is_asked_for(swept):
    secateur("plan", swept, "--uniform", "0.4", "--out", "harsh.json")
    done = secateur("undo", swept, "harsh.json", "--mode", "race", "--interval", "60", "--cost", "bytes", "--no-damage")
    assert "were left by the race" in done.stdout
    assert "share of the bytes" in done.stdout
    found = document_of("show", done.stdout.split()[1])
    assert (found["run"]["request"]["width"], found["report"]["cost"]) == (pytest.approx(0.6), "bytes")
    assert {row["back"]["stage"] for row in found["report"]["rows"]} == {"decided"}
    assert "milliseconds need a profile" in refused("undo", swept, "harsh.json", "--cost", "latency")
    assert "width is when a race stops a row" in refused("undo", swept, "harsh.json", "--interval", "1")


def test_undo_refuses_what_is_no_plan_of_the_model(swept):
    Path("empty.json").write_text(SparsityPlan().to_json())
    assert "the plan cuts nothing" in refused("undo", swept, "empty.json")
    Path("other.json").write_text(SparsityPlan((Cut("conv9", "weight", 0.5),)).to_json())
    assert "the plan is for another model" in refused("undo", swept, "other.json")
    assert "nothing.json" in refused("undo", swept, "nothing.json")
    assert "zzz" in refused("undo", swept, "zzz")
    a_plan(Path("plan.json"), 0.5)
    done = secateur("undo", swept, "plan.json", "--samples", "9999")
    assert done.exit_code != 0
    assert "9,999 samples asked for, but the evaluation data of net has 400" in done.stdout + done.stderr
