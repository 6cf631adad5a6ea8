"""What a person calls a run, writes beside it, and wants to find again. No torch."""

import re

from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore

LONGEST = 80  # letters of a name


def label_run(
    runs: RunStore, which: str, name: str | None = None, note: str | None = None, star: bool | None = None
) -> Run:
    """Change what is given of a run, and leave the rest.

    Args:
        runs: of the workspace.
        which: its name, its id, or the beginning of that.
        name: of one line; an empty one takes the name away.
        note: an empty one takes it away.
        star: whether it has one.

    Raises:
        SecateurError: no such run, a name that is too long, reads like an id, or belongs to another run.
    """
    run = runs.get(which)
    columns: dict[str, object] = {}
    if name is not None:
        columns["name"] = _checked(runs, run, " ".join(name.split())) or None
    if note is not None:
        columns["note"] = note.strip() or None
    if star is not None:
        columns["star"] = int(star)
    if columns:
        runs.update(run.id, **columns)
    return runs.get(run.id)


def _checked(runs: RunStore, run: Run, name: str) -> str:
    if len(name) > LONGEST:
        raise SecateurError(f"a run's name has at most {LONGEST} letters, this one has {len(name)}; write a note")
    if re.fullmatch(r"[0-9a-f]{1,8}", name):
        raise SecateurError(f"{name!r} reads like a run's id; choose a name with another letter in it")
    other = next((one for one in runs.list() if one.name == name and one.id != run.id), None) if name else None
    if other is not None:
        raise SecateurError(f"run {other.id} is called {name!r} already; choose another name")
    return name
