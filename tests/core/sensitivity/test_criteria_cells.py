"""Sweeps by several criteria: cells equal the plans applied, keys tell what was looked at, impossible cells say why."""

from dataclasses import asdict, replace

import pytest
import torch

from core import Cut, Examples, SecateurError, SparsityPlan, SweepRequest, Workload, cross_entropy, prune, sweep
from core.jobs.runs import RunStore
from core.plans.criteria import FACTS
from core.sensitivity.evidence import Conditions, EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.preview import preview
from core.workload.metric import class_loss
from core.workspace import Workspace
from tests.tiny_models import random_examples

EVERY = tuple(FACTS)


def calibrated(workload, seed=7):
    inputs, labels = workload.evaluation.inputs[0], workload.evaluation.labels
    generator = torch.Generator().manual_seed(seed)
    return replace(workload, calibration=Examples(torch.randn(inputs.shape, generator=generator), labels))


@pytest.mark.parametrize("replay", [True, False])
@pytest.mark.parametrize("name", ["conv", "attentive"])
def test_a_cell_by_any_criterion_is_the_plan_applied_bit_for_bit(name, replay, request, tmp_path):
    workload = calibrated(request.getfixturevalue(name))
    report = sweep(
        workload, sparsities=(0.5,), criteria=EVERY, channels=True, patterns=("2:4",), heads=False, samples="all",
        replay=replay, workspace=tmp_path, preview=False,
    )  # fmt: skip
    measured = [cell for cell in report.cells if cell.state == "measured"]
    assert {cell.cut.criterion for cell in measured} >= {"magnitude", "taylor", "fisher", "wanda", "sparsegpt"}
    with Measurement(workload, None) as measurement:
        for cell in reversed(measured):
            assert measurement.measure(SparsityPlan((cell.cut,))).drop == cell.drop, cell.cut


def test_a_pruned_copy_scores_as_its_cell(conv, tmp_path):
    workload = calibrated(conv)
    report = sweep(workload, sparsities=(0.5,), criteria=("sparsegpt",), samples="all", workspace=tmp_path)
    for cell in report.cells:
        model = prune(workload, SparsityPlan((cell.cut,))).model
        with torch.inference_mode():
            losses = class_loss(model(*workload.evaluation.inputs), workload.evaluation.labels)
        assert float(losses.double().mean()) == pytest.approx(cell.metric.value, abs=1e-6)


def test_cells_that_a_criterion_cannot_judge_have_failed_with_its_reason(attentive, tmp_path):
    report = sweep(
        calibrated(attentive), sparsities=(0.5,), criteria=("magnitude", "fpgm"), samples="all", workspace=tmp_path
    )
    failed = [cell for cell in report.cells if cell.cut.criterion == "fpgm"]
    assert failed
    assert all(cell.state == "failed" and "a criterion for channels" in cell.reason for cell in failed)
    assert all(cell.state != "failed" for cell in report.cells if cell.cut.criterion != "fpgm")


def test_what_shows_only_with_the_data_fails_with_a_reason_too(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.GELU(), torch.nn.Linear(6, 3))
    workload = Workload("gelu", model, random_examples((5,), 3, 20), cross_entropy(), random_examples((5,), 3, 20, 2))
    report = sweep(
        workload, sparsities=(0.5,), criteria=("apoz", "magnitude"), channels=True, weights=False, workspace=tmp_path,
        samples="all",
    )  # fmt: skip
    by_criterion = {cell.cut.criterion: cell for cell in report.cells}
    assert (by_criterion["apoz"].state, by_criterion["magnitude"].state) == ("failed", "measured")
    assert "GELU" in by_criterion["apoz"].reason


def test_a_sweep_that_needs_calibration_data_says_so_before_it_measures(conv, tmp_path):
    with pytest.raises(SecateurError, match="conv has no calibration data"):
        sweep(conv, sparsities=(0.5,), criteria=("magnitude", "wanda"), workspace=tmp_path)


def test_the_key_of_a_criterion_changes_with_what_it_looks_at_and_that_of_magnitude_never(conv):
    def keys(workload, seed=0):
        with Measurement(workload, None, seed=seed) as measurement:
            cuts = [Cut("fc", "weight", 0.5, name) for name in ("magnitude", "wanda", "fisher", "random")]
            conditions = measurement._conditions
            plain = conditions.cell_key(SparsityPlan((cuts[0],)))
            found = [measurement.cell_key(SparsityPlan((cut,))) for cut in cuts]
            assert found[0] == plain
            return found

    def other_loss(outputs, labels):
        return 2 * class_loss(outputs, labels)

    base = keys(calibrated(conv))
    other_data = keys(calibrated(conv, seed=8))
    relost = keys(replace(calibrated(conv), metric=replace(conv.metric, loss=other_loss)))
    assert len(set(base)) == 4
    assert [a == b for a, b in zip(base, other_data, strict=True)] == [True, False, False, True]
    assert [a == b for a, b in zip(base, relost, strict=True)] == [True, True, False, True]
    assert not set(base) & set(keys(calibrated(conv), seed=1))


def test_the_key_of_magnitude_is_what_it_was():
    """Worked out before there were other criteria: evidence of that time is still found."""
    conditions = Conditions("model", "metric", "float32", "cpu", 0)
    assert (
        conditions.cell_key(SparsityPlan((Cut("fc", "weight", 0.5),)))
        == "167e34e3d1fb534d9e3fbb9495e9fec1794d3b3c23a7781dae7977b9c261ab35"
    )


def test_a_request_of_the_time_of_one_criterion_is_read():
    request = SweepRequest("net.py", (0.5,))
    fields = asdict(request)
    del fields["criteria"]
    assert SweepRequest.from_json({**fields, "criterion": "magnitude"}) == request
    several = SweepRequest("net.py", (0.5,), criteria=("wanda", "magnitude", "wanda"))
    assert several.criteria == ("wanda", "magnitude")
    assert SweepRequest.from_json(asdict(several)) == several


@pytest.mark.parametrize(
    ("criteria", "mend"), [("wanda", "must be several"), ((), "at least one"), (("best",), "no criterion 'best'")]
)
def test_wrong_criteria_are_refused(criteria, mend):
    with pytest.raises(SecateurError, match=mend):
        SweepRequest("net.py", (0.5,), criteria=criteria)


def test_an_updated_weight_has_no_estimate_and_the_others_keep_theirs(conv):
    workload = calibrated(conv)
    with Measurement(workload, None) as measurement:
        cuts = [Cut("fc", "weight", 0.5, name) for name in ("magnitude", "wanda", "sparsegpt")]
        found = preview(workload, measurement.maker, cuts)
        assert set(found.estimates) == set(cuts[:2])
        assert preview(workload, measurement.maker, cuts[2:]).estimates == {}


def test_evidence_of_one_criterion_is_not_served_for_another(conv, tmp_path):
    workload = calibrated(conv)
    runs = RunStore(Workspace(tmp_path))
    sweep(workload, sparsities=(0.5,), criteria=("magnitude",), samples="all", workspace=tmp_path)
    sweep(workload, sparsities=(0.5,), criteria=("magnitude", "wanda"), samples="all", workspace=tmp_path)
    second = runs.list("sweep")[0]
    assert second.total == 2 * second.reused > 0
    report = runs.report(second)
    store = EvidenceStore(runs.workspace)
    assert len({cell.evidence for cell in report.cells}) == 6
    assert all(store.read(cell.evidence, second.result["batches"]) for cell in report.cells)
