"""An export as a run: how far it is."""

import pytest

from core import Cut, SparsityPlan
from core.delivery.export_steps import export_steps
from core.jobs import launch
from core.jobs.runs import RunStore
from core.workspace import Workspace


@pytest.mark.process
def test_an_export_says_at_which_of_its_steps_it_is(tmp_path, net_file, worker_here, monkeypatch):
    runs, told = RunStore(Workspace(tmp_path / "ws")), []
    update = RunStore.update

    def noting(self, run_id, **columns):
        update(self, run_id, **columns)
        found = self.get(run_id)
        if found.state == "running":
            told.append((found.done, found.total, found.seconds_left()))

    monkeypatch.setattr(RunStore, "update", noting)
    run, _ = launch.start_export(runs, str(net_file), SparsityPlan((Cut("fc1", "weight", 0.5),), str(net_file)))
    assert (done := runs.get(run.id)).state == "finished", done.error
    n = len(export_steps("masked", ()))
    assert (done.done, done.total) == (n, n)
    assert {at for at, of, _ in told if of == n} == set(range(n + 1))
    assert all(left is None for *_, left in told)  # steps that are unlike each other tell no pace
