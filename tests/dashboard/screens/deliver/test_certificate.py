"""Deliver: a plan is certified by a click, and what came of it stands there and on the next bundle."""

import dataclasses

import pytest

from core import Cut, FineTuning, SparsityPlan
from core.jobs.known.certificates import best_certificate, certificates_of
from core.jobs.known.plan_book import PlanBook
from core.jobs.launch import start_recover
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.workspace import Workspace
from tests.dashboard.test_screens import texts

pytestmark = pytest.mark.model
PLAN = SparsityPlan((Cut("fc1", "weight", 0.05),))
MANY = """
def workload():
    from dataclasses import replace

    few = dense()
    x = torch.randn({n}, 6, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        labels = few.model(x).argmax(1)
    return replace(few, evaluation=Examples(x, labels), batch_size=250)
"""


@pytest.fixture
def described(write_file, net_text, tmp_path, monkeypatch):
    def of(n):
        ref = str(write_file("many.py", net_text.replace("def workload():", "def dense():") + MANY.format(n=n)))
        runs = RunStore(Workspace(tmp_path / "workspace"))
        monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
        run, _ = runs.submit("describe", ref, {})
        assert execute(runs, run.id).state == "finished"
        runs.save_draft(ref, SparsityPlan(PLAN.cuts, ref))
        return runs, ref

    return of


def test_a_plan_is_certified_by_a_click(described, open_screen, worker_here):
    runs, ref = described(2500)
    app = open_screen("deliver", ref)
    assert "on 500 examples that nothing was chosen by" in texts(app)
    app.number_input(key=f"certify-within-{ref}").set_value(5.0).run()
    app.button(key=f"certify-{PLAN.fingerprint()}").click().run()
    assert not app.exception
    found, _ = runs.description(ref)
    best = best_certificate(certificates_of(runs, ref, found.fingerprint, PLAN))
    assert best.state == "certified"
    assert "Certified: at most" in "".join(one.value for one in app.success)


def test_of_few_examples_it_says_why_there_is_none(described, open_screen):
    _, ref = described(600)
    app = open_screen("deliver", ref)
    assert "600 evaluation examples are too few to spare any" in texts(app)
    assert f"certify-{PLAN.fingerprint()}" not in [button.key for button in app.button]


def test_a_refusal_of_the_run_is_shown(described, open_screen, worker_here):
    runs, ref = described(2500)
    app = open_screen("deliver", ref)
    app.number_input(key=f"certify-within-{ref}").set_value(0.1).run()
    app.button(key=f"certify-{PLAN.fingerprint()}").click().run()
    assert runs.list("certify", ref)[0].state == "failed"
    assert any("examples are too few" in one.value for one in app.error)


@pytest.fixture
def learner(write_file, net_text, with_training):
    """The workload file of many examples, with training data."""
    text = with_training(net_text).replace("def workload():", "def trained():").replace("dense()", "few()")
    text += MANY.format(n=2500).replace("dense()", "trained()")
    return str(write_file("many.py", text))


def test_a_recovered_round_is_certified_by_a_click(learner, open_screen, worker_here, tmp_path, monkeypatch):
    ref = learner
    runs = RunStore(Workspace(tmp_path / "workspace"))
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    how = FineTuning(steps=2, batch_size=16)
    recovery, _ = start_recover(runs, RecoverRequest(ref, Schedule("linear", 0.0, 0.2, 1), how, tolerance=1.0))
    assert runs.get(recovery.id).state == "finished", runs.get(recovery.id).error
    app = open_screen("deliver", ref)
    (offered,) = app.selectbox(key=f"plan-{ref}").options
    assert "on others than it was chosen by" in offered
    assert "Measures the round beside the dense model on 500 examples" in texts(app)
    app.number_input(key=f"certify-within-{ref}").set_value(60.0).run()
    app.button(key=f"certify-{recovery.id}-1").click().run()
    assert not app.exception
    assert "points worse than the dense model that it was made from" in "".join(one.value for one in app.success)
    (run,) = runs.list("certify")
    assert run.result["certificate"]["n_held"] == 500


def test_anchors_are_offered_after_every_other_measured_plan(described, open_screen):
    runs, ref = described(600)
    found, _ = runs.description(ref)
    scale, drop = dataclasses.asdict(found.scale), {"value": 0.1, "low": 0.0, "high": 0.2, "n": 600}
    runs.save_draft(ref, SparsityPlan())
    for number, (made_by, sparsity) in enumerate([("solver", 0.2), ("anchor", 0.5), ("anchor", 0.8), ("hand", 0.1)]):
        plan = SparsityPlan((Cut("fc1", "weight", sparsity),))
        PlanBook(runs.workspace).keep(ref, plan, made_by)
        result = {
            "model": found.fingerprint, "metric": scale, "dense": drop, "pruned": drop, "drop": drop,
            "n_removed": round(100 * sparsity), "n_weights": 100, "state": "measured", "reason": None,
        }  # fmt: skip
        runs.note_finished("measure", *plan_submission(ref, plan), result, 1000.0 + number)
    offered = open_screen("deliver", ref).selectbox(key=f"plan-{ref}").options
    assert [words.partition(": ")[2].partition(" removed")[0] for words in offered] == ["10 %", "20 %", "80 %", "50 %"]
