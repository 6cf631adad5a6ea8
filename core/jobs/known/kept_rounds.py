"""The rounds that a recovery has left in the workspace: to go on from, and as models of their own. No torch."""

from collections.abc import Iterator
from pathlib import Path

from core.drafted import as_if_made_here, draft_beside
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.strangers import check_named
from core.recovery.round_file import path_of

FOLDER = "recovered"  # of workload files, in the workspace


def round_of(runs: RunStore, run_id: str, number: int | None = None) -> Path:
    """Absolute path of the checkpoint of a round.

    Args:
        runs: of the workspace.
        run_id: of the recovery, or how it begins.
        number: of the round, counted from 1; `None` for the last that is done.

    Raises:
        SecateurError: there is no such run, no such round of it, or its file was deleted.
    """
    run = runs.get(run_id)
    history = (run.result or {}).get("history", ()) if run.kind == "recover" else ()
    if not history:
        raise SecateurError(f"run {run.id} is no recovery with a finished round; `secateur runs` lists them")
    wanted = len(history) if number is None else number
    if not 1 <= wanted <= len(history):
        raise SecateurError(f"run {run.id} has the rounds 1 to {len(history)}, got round {wanted}")
    paths = [path_of(folder, wanted) for folder in _folders(runs, run)]
    for path in paths:
        if path.is_file():
            return path
    raise SecateurError(f"the checkpoint of round {wanted}, {paths[0]}, is gone; recover again to have it back")


def kept_numbers(runs: RunStore, run: Run) -> tuple[int, ...]:
    """Numbers of the rounds of a recovery whose checkpoint is there; empty of any other run."""
    result = run.result or {}
    if run.kind != "recover" or not result.get("history"):
        return ()
    folders = tuple(_folders(runs, run))
    numbers = range(1, len(result["history"]) + 1)
    return tuple(n for n in numbers if any(path_of(folder, n).is_file() for folder in folders))


def recovered_models(runs: RunStore, ref: str) -> dict[str, tuple[Run, int]]:
    """Of every round of every recovery of a model its run and number, by the reference of the recovered model.

    Rounds whose checkpoint is gone are among them: what was made of them may be there still.
    """
    return {
        str(recovered_path(runs, run, n)): (run, n)
        for run in runs.list("recover", ref)
        for n in range(1, len((run.result or {}).get("history", ())) + 1)
    }


def _folders(runs: RunStore, run: Run) -> Iterator[Path]:
    """Where rounds of a run lie: its own folder, then, of one that was rolled back, where it came from, and so on."""
    home = runs.workspace.folder.resolve()
    recoveries = [other for other in runs.list("recover", run.workload) if (other.result or {}).get("checkpoint")]
    seen: set[Path] = set()
    current: Run | None = run
    while current is not None and current.result is not None:
        folder = (home / current.result["checkpoint"]).parent
        seen.add(folder)
        yield folder
        start = current.request.get("start")
        came_from = Path(start).resolve().parent if start else None
        current = None
        if came_from is not None and came_from not in seen:
            yield came_from  # of a run that may be forgotten by now
            there = [one for one in recoveries if (home / (one.result or {})["checkpoint"]).parent == came_from]
            current = there[0] if there else None


def recovered_text(runs: RunStore, run: Run, number: int | None = None) -> str:
    """Text of the workload file of a round; raises as `round_of`."""
    return (
        '"""A recovered model; written by Secateur."""\n\n'
        "from core import load_workload, recovered\n\n\n"
        "def workload():\n"
        f"    return recovered(load_workload({run.workload!r}), {str(round_of(runs, run.id, number))!r})\n"
    )


def recovered_path(runs: RunStore, run: Run, number: int) -> Path:
    """Where the workload file of a round lies in the workspace, written or not.

    Its name is the model's on the screens, so it says of which model, run and round it is.
    """
    name = Path(run.workload).stem if run.workload.endswith(".py") else run.workload
    return runs.workspace.folder.resolve() / FOLDER / f"{name}-recovered-{run.id}-round-{number}.py"


def write_recovered(runs: RunStore, run: Run, number: int) -> Path:
    """Write the workload file of a round into the workspace; what is there already is written anew, at once.

    Returns:
        Its absolute path: the reference of the recovered model.

    Raises:
        SecateurError: as `round_of`; nobody has named the run's workload here; or the file cannot be written.
    """
    check_named(runs.workspace, run.workload)  # which the file will load
    text, path = recovered_text(runs, run, number), recovered_path(runs, run, number)
    draft: Path | None = None
    try:
        path.parent.mkdir(exist_ok=True)
        draft = draft_beside(path)
        as_if_made_here(draft)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)  # at once: a worker may be reading
    except OSError as error:
        raise SecateurError(f"{path} could not be written ({error}); free some space and try again") from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
    return path
