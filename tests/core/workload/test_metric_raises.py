"""A metric that raises is named: of the dense model nothing is measured, of a cut one its cell failed."""

from dataclasses import replace

import pytest
import torch

from core import Examples, SecateurError, Workload, accuracy, sweep
from core.workload.metric import MetricRaisedError
from tests.tiny_models import TwoLayers

pytestmark = pytest.mark.model


def raising(outputs, labels):
    raise ZeroDivisionError("division by zero\nand more")


METRIC = replace(accuracy(), score=raising, loss=None, reading=None)


def test_the_metric_is_named_with_what_it_raised():
    with pytest.raises(MetricRaisedError, match="metric 'accuracy' raised ZeroDivisionError: division by zero; mend"):
        METRIC.score_batch(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))


def test_a_sweep_says_so_too(tmp_path):
    workload = Workload("two", TwoLayers(), Examples(torch.ones(4, 2), torch.zeros(4, dtype=torch.long)), METRIC)
    with pytest.raises(SecateurError, match="metric 'accuracy' raised ZeroDivisionError"):
        sweep(workload, workspace=tmp_path, sparsities=(0.5,))


def test_of_a_cut_model_the_cell_fails_and_the_others_are_measured(tmp_path):
    def picky(outputs, labels):
        if not outputs.any():
            raise ValueError("all zeros")
        return (outputs.argmax(-1) == labels).float()

    metric = replace(accuracy(), score=picky, loss=None, reading=None)
    workload = Workload("two", TwoLayers(), Examples(torch.ones(4, 2), torch.zeros(4, dtype=torch.long)), metric)
    report = sweep(workload, workspace=tmp_path, sparsities=(0.25, 0.9), preview=False)
    states = {(cell.cut.target, cell.cut.sparsity): cell.state for cell in report.cells}
    failed = [cell for cell in report.cells if cell.state == "failed"]
    assert failed, states
    assert all("metric 'accuracy' raised ValueError: all zeros" in cell.reason for cell in failed)
    assert len(failed) < len(report.cells)
