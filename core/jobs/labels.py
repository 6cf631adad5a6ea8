"""What a person calls a run, writes beside it, and wants to find again. No torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.typed import name_of, note_of


@dataclass(frozen=True)
class Label:
    """What changes of a run; `None` leaves it.

    Attributes:
        which: its name, its id, or the beginning of that.
        name: of one line; an empty one takes the name away.
        note: an empty one takes it away.
        star: whether it has one.
    """

    which: str
    name: str | None = None
    note: str | None = None
    star: bool | None = None


def label_run(
    runs: RunStore, which: str, name: str | None = None, note: str | None = None, star: bool | None = None
) -> Run:
    """Change what is given of a run, and leave the rest; as `Label` has it.

    Raises:
        SecateurError: as `label_runs`.
    """
    return label_runs(runs, [Label(which, name, note, star)])[0]


def label_runs(runs: RunStore, labels: Iterable[Label]) -> tuple[Run, ...]:
    """Change several runs one after the other, or none of them.

    Returns:
        The runs as they are then, each once, in the order in which they were named.

    Raises:
        SecateurError: no such run; a name or a note that is too long or cannot be shown; a name that reads like an id,
            or belongs to another run. Nothing has changed then.
    """
    found = [(runs.get(one.which), one) for one in labels]
    before = {run.id: run for run, _ in found}
    try:
        for run, label in found:
            columns = _columns(runs, run, label)
            if columns:
                runs.update(run.id, **columns)
    except SecateurError:
        for run in before.values():
            runs.update(run.id, name=run.name, note=run.note, star=int(run.star))
        raise
    return tuple(runs.get(run_id) for run_id in before)


def _columns(runs: RunStore, run: Run, label: Label) -> dict[str, object]:
    columns: dict[str, object] = {}
    if label.name is not None:
        columns["name"] = _checked(runs, run, name_of(label.name, "run")) or None
    if label.note is not None:
        columns["note"] = note_of(label.note, "run") or None
    if label.star is not None:
        columns["star"] = int(label.star)
    return columns


def _checked(runs: RunStore, run: Run, name: str) -> str:
    if re.fullmatch(r"[0-9a-f]{1,8}", name):
        raise SecateurError(f"{name!r} reads like a run's id; choose a name with another letter in it")
    other = next((one for one in runs.list() if one.name == name and one.id != run.id), None) if name else None
    if other is not None:
        raise SecateurError(f"run {other.id} is called {name!r} already; choose another name")
    return name
