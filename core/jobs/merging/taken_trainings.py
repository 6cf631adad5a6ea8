"""Rounds of recoveries and trainings of tickets that another workspace has and this one has not. No torch."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from core.errors import SecateurError
from core.jobs.merging.placing import place
from core.recovery.round_file import sound_round
from core.recovery.tickets.report import Trained
from core.workspace import Workspace

KEY = re.compile(r"[0-9a-f]{32}")  # of a recovery or an experiment, as its folder is called


@dataclass(frozen=True)
class TakenTrainings:
    """What was copied: rounds, trainings of tickets; and what was left there, each with its file and the reason."""

    rounds: int
    tickets: int
    left: tuple[str, ...]


def take_trainings(here: Workspace, folder: Path, undo: ExitStack) -> TakenTrainings:
    """Copy what is missing here and whole there; what is here is never written to.

    A recovery, or a seed of an experiment, builds on itself: where both workspaces have some of its files and these
    differ (another processor rounds otherwise), the rest would not follow from what is here, and all of it stays there.

    Args:
        here: grows.
        folder: of the other workspace.
        undo: told how to take everything back.

    Raises:
        SecateurError: the disk is full, or a file cannot be read.
    """
    left: list[str] = []
    rounds = _take(here, folder, "recoveries", "round-*.safetensors", _content_of_round, lambda name: "", undo, left)
    tickets = _take(
        here, folder, "tickets", "*-*-*.json", Trained.read, lambda name: name.partition("-")[0], undo, left
    )
    return TakenTrainings(rounds, tickets, tuple(left))


def _content_of_round(path: Path) -> str:
    return sound_round(path)[1]


def _take(
    here: Workspace,
    folder: Path,
    kind: str,
    pattern: str,
    content: Callable[[Path], object],
    course_of: Callable[[str], str],
    undo: ExitStack,
    left: list[str],
) -> int:
    """Files of one kind; `course_of` says of a file's name what in its folder it follows from."""
    taken = 0
    for source in _folders(folder / kind):
        target = here.folder / kind / source.name
        courses: dict[str, list[Path]] = {}
        for path in sorted(source.glob(pattern)):
            if path.is_file() and not path.is_symlink():
                courses.setdefault(course_of(path.name), []).append(path)
        for paths in courses.values():
            taken += _take_course(here, kind, paths, target, content, undo, left)
    return taken


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir() and not parent.is_symlink():
        yield from (path for path in sorted(parent.iterdir()) if KEY.fullmatch(path.name) and not path.is_symlink())


def _take_course(
    here: Workspace,
    kind: str,
    paths: list[Path],
    target: Path,
    content: Callable[[Path], object],
    undo: ExitStack,
    left: list[str],
) -> int:
    taken = 0
    for path in paths:
        mine = target / path.name
        try:
            if mine.exists():
                theirs = content(path)
                if _content_here(mine, content) not in (None, theirs):
                    left.append(f"{path} and what follows from it: it differs from the one here, which stays")
                    return taken
                continue
            if kind == "recoveries" and sound_round(path)[0][:32] != path.parent.name:
                raise SecateurError(f"{path} is of another recovery than its folder says")
            content(path)
            _make(here, kind, target, undo)
            place(path, mine, undo, content)
            taken += 1
        except SecateurError as error:
            left.append(str(error))
        except (OSError, shutil.Error) as error:
            raise SecateurError(
                f"cannot copy {path} into {here.folder} ({error}); free some space, or mend what it says"
            ) from None
    return taken


def _content_here(path: Path, content: Callable[[Path], object]) -> object:
    try:
        return content(path)
    except SecateurError:
        return None  # damaged here: it is done again, and comes out as there


def _make(here: Workspace, kind: str, target: Path, undo: ExitStack) -> None:
    for new in (here.folder / kind, target):
        if not new.exists():
            new.mkdir()
            undo.callback(_remove_empty, new)


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
