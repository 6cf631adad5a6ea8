"""A search whose plans do not hold on examples that it did not see goes on to milder ones."""

import pytest

from core import sweep
from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.jobs.works import tuning as works
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.tuning.minimum import MOST_MILDER
from core.tuning.request import MinimiseRequest
from core.workspace import Workspace
from tests.core.jobs.works.test_frontier_run import NET

pytestmark = pytest.mark.model


@pytest.fixture
def swept(tmp_path):
    (tmp_path / "net.py").write_text(NET.lstrip())
    ref = str(tmp_path / "net.py")
    sweep(ref, channels=True, samples=200, sparsities=(0.1, 0.25, 0.5, 0.75), workspace=tmp_path / "ws")
    return RunStore(Workspace(tmp_path / "ws")), ref


def found(runs, ref, tolerance=0.3):
    run, _ = runs.submit("minimise", *sweep_submission(MinimiseRequest(ref, tolerance, "parameters", max_plans=4)))
    run = execute(runs, run.id)
    assert run.state == "finished", run.error
    return run.result


def test_where_no_plan_holds_milder_ones_are_measured_and_judged_in_turn(swept, monkeypatch):
    runs, ref = swept
    judged, real = [], works._judged

    def first_never_hold(run, workload, runs, request, part, result, documents):
        answer = real(run, workload, runs, request, part, result, documents)
        judged.append([one["plan"] for one in result["judged"]])
        return None if len(judged) == 1 else answer

    monkeypatch.setattr(works, "_judged", first_never_hold)
    result = found(runs, ref)
    assert len(judged) == 2
    assert set(judged[0]) < set(judged[1])  # none twice
    assert len(judged[1]) == len(set(judged[1]))
    best = SparsityPlan.from_document(result["best"]["document"])
    describes = runs.description(ref)[0]
    within = [one["left"] for one in result["tries"] if one["plan"] in judged[0]]
    assert result["best"]["left"] > max(within)
    assert plan_cost(best, describes, "parameters").value < describes.n_parameters


def test_it_gives_up_after_a_few(swept, monkeypatch):
    runs, ref = swept
    asked = []
    monkeypatch.setattr(works, "_judged", lambda *rest: asked.append(rest[-2]["best"]))
    result = found(runs, ref)
    assert result["best"] is None
    assert 2 <= len(asked) <= 1 + MOST_MILDER
