"""A profile as a run: stopped in any of its phases it keeps what is complete, and goes on."""

from dataclasses import replace

import pytest

from core import sweep
from core.jobs.runs import RunStore
from core.jobs.submissions import profile_submission
from core.jobs.worker import execute
from core.jobs.works import measuring, profiling
from core.plans.plan import Cut, SparsityPlan
from core.profiling.request import ProfileRequest
from core.workspace import Workspace

pytestmark = pytest.mark.model

MEMORY = "counting what a forward pass holds"


@pytest.fixture
def store(net_file, tmp_path, monkeypatch):
    sweep(str(net_file), channels=True, sparsities=(0.5,), workspace=tmp_path / "ws")
    monkeypatch.setattr(measuring, "CHECK_SECONDS", -1)
    monkeypatch.setattr(profiling, "TELL_SECONDS", -1)
    return RunStore(Workspace(tmp_path / "ws"))


def submitted(store, net_file, rounds):
    request = ProfileRequest((1,), engines=("eager",), rounds=rounds, seconds=0.01, savings=(0.5,))
    plan = SparsityPlan((Cut("fc1", "channel", 0.5),))
    return store.submit("profile", *profile_submission(str(net_file), plan, request))[0]


def test_a_profile_that_is_stopped_in_any_phase_keeps_what_is_complete_and_goes_on(store, net_file, monkeypatch):
    described = store.description(str(net_file))[0]
    update, phases = RunStore.update, []

    def noting(self, run_id, **columns):
        phases.append(columns.get("phase"))
        update(self, run_id, **columns)

    monkeypatch.setattr(RunStore, "update", noting)
    whole = execute(store, submitted(store, net_file, 6).id)
    assert whole.state == "finished", whole.error
    monkeypatch.setattr(RunStore, "update", update)
    began = next(i for i, phase in enumerate(phases) if phase and phase.startswith("counting"))
    told = list(dict.fromkeys(filter(None, phases[began:])))
    assert {phase.split()[0] for phase in told} >= {"counting", "preparing", "timing"}
    assert told[-1] == MEMORY
    for rounds, phase in enumerate(told, start=7):
        store.remember(replace(described, fingerprint="another"))
        store.remember(described)  # of which no memory was counted
        run = submitted(store, net_file, rounds)
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "stopping", lambda self, which, phase=phase: self.get(which).phase == phase)
            stopped = execute(store, run.id)
        assert store.description(str(net_file))[0].memory is None
        is_complete = phase == MEMORY
        assert (stopped.state, bool(stopped.result)) == (("finished", True) if is_complete else ("cancelled", False))
        if is_complete:
            assert len(store.profile_report(stopped).ratios) == len(store.profile_report(whole).ratios)
        else:
            store.requeue(run.id)
            again = execute(store, run.id)
            assert (again.state, bool(again.result)) == ("finished", True)
            assert store.description(str(net_file))[0].memory is not None


def test_a_profile_that_died_while_memory_was_counted_is_not_measured_again_on_this_machine(
    store, net_file, monkeypatch
):
    run = submitted(store, net_file, 6)
    with monkeypatch.context() as patch:
        patch.setattr(profiling, "_count_memory", lambda *args: 1 / 0)
        died = execute(store, run.id)
    assert (died.state, bool(died.result)) == ("failed", True)
    store.requeue(run.id)
    with monkeypatch.context() as patch:
        patch.setattr(profiling, "profiled", lambda *args: 1 / 0)
        again = execute(store, run.id)
    assert (again.state, again.result) == ("finished", died.result)
    assert store.description(str(net_file))[0].memory is not None

    store.update(run.id, state="failed", result={**died.result, "machine": {**died.result["machine"], "cpu": "Other"}})
    store.requeue(run.id)
    elsewhere = execute(store, run.id)
    assert elsewhere.result["machine"] == died.result["machine"]  # times of another machine are none of this one
