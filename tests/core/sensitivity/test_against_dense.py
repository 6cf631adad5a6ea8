"""A search by a metric that is held against the dense model: the same verdicts, fewer examples of what is beyond."""

from dataclasses import asdict

import pytest

from core import SweepRequest, Workload, cosine_to_dense, kl_from_dense, sweep
from core.jobs.runs import RunStore
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled, never_stop
from core.sensitivity.sweep import Sweep
from core.workspace import Workspace
from tests import tiny_models

pytestmark = pytest.mark.model
SPARSITIES = (0.1, 0.5, 0.9)
TOLERANCES = {"cosine to dense": 0.003, "KL from dense": 6e-5}


def compared(metric) -> Workload:
    """400 images without labels, 40 a batch."""
    examples = tiny_models.random_examples((1, 8, 8), 3, 400)
    model = tiny_models.seeded(tiny_models.ConvNet)
    return Workload("compared", model, examples, metric, batch_size=40, holdout=None)


def told(workspace):
    """Examples on disk of each cell."""
    with Workspace(workspace).connect() as db:
        return dict(db.execute("SELECT cell, sum(n) FROM evidence GROUP BY cell").fetchall())


@pytest.mark.parametrize("metric", [cosine_to_dense, kl_from_dense])
@pytest.mark.parametrize("mode", ["race", "tolerance"])
def test_says_what_all_examples_say_and_what_is_beyond_shows_it_early(metric, mode, tmp_path):
    workload = compared(metric())
    asked = {"sparsities": SPARSITIES, "preview": False, "samples": "all"}
    tolerance = TOLERANCES[workload.metric.scale.name]
    exact = sweep(workload, workspace=tmp_path / "exact", **asked).by_cut()
    assert {cell.drop.high <= tolerance for cell in exact.values()} == {True, False}
    reports = {
        rule: sweep(workload, workspace=tmp_path / rule, mode=mode, tolerance=tolerance, rule=rule, **asked)
        for rule in ("census", "sampling")
    }
    for report in reports.values():
        for cell in report.cells:
            of_all = exact[cell.cut].drop
            if cell.verdict is not None:
                assert (cell.verdict == "within") == (of_all.high <= tolerance)
            if cell.drop is not None:
                assert cell.drop.low <= of_all.value <= cell.drop.high
    before = {cell.cut: cell for cell in reports["sampling"].cells}
    early = [cell for cell in reports["census"].cells if cell.verdict == "beyond" and cell.drop.n < 300]
    assert early
    assert not [cell for cell in before.values() if cell.verdict == "beyond" and cell.drop.n < 300]
    assert sum(told(tmp_path / "census").values()) < sum(told(tmp_path / "sampling").values())
    runs = [RunStore(Workspace(tmp_path / rule)).list()[0] for rule in reports]
    by_census, at_random = ({t: a["sparsity"] for t, a in run.result["answers"].items()} for run in runs)
    assert by_census == at_random


def searched(workspace, check=never_stop, **asked):
    request = SweepRequest(
        "compared", mode="race", tolerance=0.003, sparsities=SPARSITIES, preview=False, samples="all", **asked
    )
    workload = compared(cosine_to_dense())
    with Measurement(workload, EvidenceStore(Workspace(workspace)), "all", check=check) as measurement:
        search = Sweep(measurement, plan_cells(measurement.targets, request), request, lambda news: None)
        search.run()
        return search.answers()


@pytest.mark.parametrize("stop", [4, 30])
def test_a_search_that_was_stopped_goes_on_to_the_same_answers_and_evidence(stop, tmp_path):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == stop:
            raise Cancelled

    whole = searched(tmp_path / "whole")
    with pytest.raises(Cancelled):
        searched(tmp_path / "parts", check)
    assert searched(tmp_path / "parts") == whole
    assert told(tmp_path / "parts") == told(tmp_path / "whole")


def test_a_run_of_an_older_build_goes_on_at_random():
    request = SweepRequest("compared", mode="race", tolerance=0.003)
    fields = asdict(request)
    del fields["rule"]
    assert SweepRequest.from_json(fields).rule == "sampling"
