"""Putting a bundle and its zip in their place in one piece, or leaving nothing behind."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.drafted import as_if_made_here, draft_beside
from core.errors import SecateurError


def archive_of(folder: Path) -> Path:
    """The zip beside a bundle."""
    return folder.with_name(folder.name + ".zip")


@contextlib.contextmanager
def placed(folder: Path, replaces: bool = False) -> Iterator[Path]:
    """A draft beside the goal, for the bundle and its zip; both are moved there once whole, or leave nothing behind.

    Args:
        folder: the goal.
        replaces: what stands there gives way to them once they are whole; until then, and if they fail, it stays.

    Raises:
        SecateurError: it cannot be written, or somebody else took the place in the meantime.
    """
    new_parents = [path for path in folder.parents if not path.exists()]  # innermost first
    try:
        draft = _make_draft_folder(folder)
    except SecateurError:
        _remove_empty(new_parents)
        raise
    try:
        yield draft
        for path in (draft, *draft.rglob("*")):
            as_if_made_here(path)
        with _out_of_the_way(folder) if replaces else contextlib.nullcontext():
            _move(draft, folder)
    except OSError as error:
        raise SecateurError(
            f"cannot write the bundle {folder}: {error.strerror or error}; free some space or choose another place"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        archive_of(draft).unlink(missing_ok=True)
        if not folder.exists():
            _remove_empty(new_parents)


def _move(draft: Path, folder: Path) -> None:
    if archive_of(folder).exists():  # since we looked: replacing it would be silent
        raise FileExistsError(errno.EEXIST, f"{archive_of(folder)} was made by somebody else in the meantime")
    os.replace(draft, folder)  # first: the zip is made from it, and not the other way round
    try:
        os.replace(archive_of(draft), archive_of(folder))
    except OSError:  # only now: what somebody else put there in the meantime is not ours to remove
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _out_of_the_way(folder: Path) -> Iterator[None]:
    """What stands there goes if the block succeeds, and is put back if it fails."""
    there = [path for path in (folder, archive_of(folder)) if path.exists()]
    aside = draft_beside(folder, folder=True)  # if we are killed it goes with the next draft that is made here
    try:
        for path in there:
            os.replace(path, aside / path.name)
        yield
    except BaseException:
        for path in there:
            with contextlib.suppress(OSError):
                os.replace(aside / path.name, path)
        _remove_empty([aside])
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _make_draft_folder(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the goal, so that moving it there is one atomic step on one file system
        return draft_beside(folder, folder=True)
    except OSError as error:
        raise SecateurError(f"cannot write to {folder.parent}: {error.strerror}; choose another place") from None


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # somebody else put something there in the meantime
            folder.rmdir()
