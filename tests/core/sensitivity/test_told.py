"""What a sweep tells last is how it ended."""

import shutil

import pytest

from core import load_workload
from core.sensitivity.cells import plan_cells
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.cell_results import STAGES
from core.sensitivity.sweep import Sweep
from core.workload.loading import TEMPLATE


@pytest.mark.parametrize("tolerance", [0.02, 0.04])
def test_a_cell_that_another_one_settled_is_told_of_too(tolerance, tmp_path):
    ref = shutil.copyfile(TEMPLATE, tmp_path / "mine.py")  # it writes its weights beside itself
    told = {}
    with Measurement(load_workload(str(ref)), None, "all") as measurement:
        request = SweepRequest("m", samples="all", mode="tolerance", tolerance=tolerance)
        sweep = Sweep(measurement, plan_cells(measurement.targets, request), request, lambda n: told.update(n.cells))
        sweep.run()
        ended = {p: STAGES[sweep._search.state(p).state] for p in told}
    assert {p: cell.stage for p, cell in told.items()} == ended
    assert "open" not in ended.values()
