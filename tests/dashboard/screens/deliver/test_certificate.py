"""Deliver: a plan is certified by a click, and what came of it stands there and on the next bundle."""

import pytest

from core import Cut, SparsityPlan
from core.jobs.known.certificates import best_certificate, certificates_of
from core.jobs.runs import RunStore
from core.jobs.worker import execute
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
