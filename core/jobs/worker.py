"""The worker: `python -m core.jobs.worker WORKSPACE RUN [RUN …]` does one run after the other and ends.

A process of its own, so that a crash here takes nothing else down, and closing the browser or the terminal
stops nothing.
"""

import os
import platform
import sys
import time
import traceback
from typing import Any

from core.errors import SecateurError
from core.jobs import first_parts, queue
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.processes import started
from core.workspace import Workspace


def execute(runs: RunStore, run_id: str, workload: Any = None, cpu: float = 0.0, later: bool = True) -> Run:
    """Do a queued run in this process.

    Args:
        runs: of the workspace.
        run_id: queued.
        workload: already loaded; `None` loads what the run names.
        cpu: seconds of the processor that this process has taken to be ready for it.
        later: afterwards look for coupled groups that the run did not wait for; not where somebody waits for this call.

    Returns:
        The run as it ended. Its state says how; nothing is raised for a failure of the work itself.
    """
    run = runs.get(run_id)
    first_parts.begin(run.created, cpu)
    first_parts.part("waiting")
    _claim(runs, run.id)
    loaded: Any = None
    try:
        # a connection that stays open: else each of hundreds, being the last, would tidy the database up as it closes
        with queue.turn(runs, run), runs.workspace.connect():
            if not runs.begin(run.id, phase="loading the model"):
                if runs.get(run.id).stopping:
                    return _end(runs, run.id, "cancelled")
                runs.update(run.id, phase=None)  # a slow start was taken for dead and resumed: another worker did it
                return runs.get(run.id)
            first_parts.part("imports")
            from core.jobs.works.registry import perform
            from core.sensitivity.measuring.stopping import Cancelled
            from core.workload.loading import load_workload

            try:
                first_parts.part("load")
                loaded = workload if workload is not None else load_workload(run.workload)
                first_parts.part("hash")
                _note_data(runs, runs.get(run.id), loaded.name, loaded.evaluation.fingerprint())
                runs.update(run.id, made_with=_made_with(run))
                perform(run, runs, loaded)
            except Cancelled:
                return _end(runs, run.id, "cancelled")
            ended = _end(runs, run.id, "finished")
        if later:
            _describe_later(runs, run, loaded)
        return ended
    except SecateurError as error:
        return _end(runs, run.id, "failed", str(error))
    except KeyboardInterrupt:
        _end(runs, run.id, "cancelled")
        raise
    except Exception as error:
        from core.workload.loading import where

        traceback.print_exc()
        log = runs.workspace.folder / "logs" / f"{run.id}.log"
        return _end(runs, run.id, "failed", f"{type(error).__name__}: {error}{where(error)} (details in {log})")
    finally:
        first_parts.end()


def _describe_later(runs: RunStore, run: Run, workload: Any) -> None:
    """What a sweep did not wait for; nobody waits for it now, so that it fails in silence but for the log."""
    from core.jobs.works.measuring import describe_later

    try:
        describe_later(run, runs, workload)
    except Exception:
        traceback.print_exc()


def _note_data(runs: RunStore, run: Run, name: str, data: str) -> None:
    """Keep which evaluation data a run began with; one that goes on must go on with the same.

    Raises:
        SecateurError: it began with others.
    """
    if run.data not in (None, data):
        raise SecateurError(
            f"the evaluation data of {name} have changed since run {run.id} began (other examples), so it cannot go "
            "on: are they drawn at random whenever they are loaded (augmentation, a split without a seed), or was a "
            "file changed? Put them back, or start a new run"
        )
    runs.update(run.id, data=data)


def _made_with(run: Run) -> dict[str, Any]:
    """Machine and versions, for whoever reads the numbers elsewhere; and who has helped it before it was resumed."""
    from importlib.metadata import version

    import torch

    from core.profiling.machine import this_machine

    device = run.request.get("device") or "cpu"
    helped = {name: value for name, value in (run.made_with or {}).items() if name == "workers"}
    machine = this_machine(torch.device(device if device.startswith("cuda") and torch.cuda.is_available() else "cpu"))
    return {
        "secateur": version("secateur"),
        "python": platform.python_version(),
        "torch": machine.torch,
        "cpu": machine.cpu,
        "cores": machine.cores,
        "system": machine.system,
        "host": platform.node(),
        "device": machine.device,
        "threads": torch.get_num_threads(),
        **helped,
    }


def _claim(runs: RunStore, run_id: str) -> None:
    pid = os.getpid()
    runs.update(run_id, pid=pid, pid_started=started(pid), phase=queue.NEXT)


def _end(runs: RunStore, run_id: str, state: str, error: str | None = None) -> Run:
    runs.update(run_id, state=state, ended=time.time(), phase=None, error=error)
    return runs.get(run_id)


def main() -> None:
    """Entry point of the process."""
    folder, *run_ids = sys.argv[1:]
    if hasattr(os, "nice"):
        os.nice(5)  # the page a person looks at comes first
    runs = RunStore(Workspace(folder, patient=True))
    for run_id in run_ids:  # all at once: one that waits behind a slow one must not be taken for dead
        _claim(runs, run_id)
    # what it took to be ready is told of the first, which it kept waiting
    states = {execute(runs, run_id, cpu=0.0 if i else time.process_time()).state for i, run_id in enumerate(run_ids)}
    sys.exit(0 if states <= {"finished", "cancelled"} else 1)


if __name__ == "__main__":
    main()
