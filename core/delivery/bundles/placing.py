"""Putting a bundle and its zip in their place in one piece, or leaving nothing behind."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.drafted import draft_beside
from core.errors import SecateurError


def archive_of(folder: Path) -> Path:
    """The zip beside a bundle."""
    return folder.with_name(folder.name + ".zip")


@contextlib.contextmanager
def placed(folder: Path) -> Iterator[Path]:
    """A draft beside the goal, for the bundle and its zip; both are moved there once whole, or leave nothing behind.

    Raises:
        SecateurError: it cannot be written, or somebody else took the place in the meantime.
    """
    new_parents = [path for path in folder.parents if not path.exists()]  # innermost first
    try:
        draft = _make_draft_folder(folder)
    except SecateurError:
        _remove_empty(new_parents)
        raise
    moved = False
    try:
        yield draft
        draft.chmod(0o777 & ~_umask())  # mkdtemp and safetensors are more private than a folder one would make
        for path in draft.rglob("*"):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())
        if archive_of(folder).exists():  # since we looked: replacing it would be silent
            raise FileExistsError(errno.EEXIST, f"{archive_of(folder)} was made by somebody else in the meantime")
        os.replace(draft, folder)  # first: the zip is made from it, and not the other way round
        moved = True
        os.replace(archive_of(draft), archive_of(folder))
    except OSError as error:
        if moved:  # what somebody else put there in the meantime is not ours to remove
            shutil.rmtree(folder, ignore_errors=True)
        raise SecateurError(
            f"cannot write the bundle {folder}: {error.strerror or error}; free some space or choose another place"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        archive_of(draft).unlink(missing_ok=True)
        if not folder.exists():
            _remove_empty(new_parents)


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


def _umask() -> int:
    """The process's mask for new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
