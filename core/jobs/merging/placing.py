"""Files of another workspace put among those of this one: whole under their name or not there, and undone if asked."""

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from core.drafted import draft_beside


def place(source: Path, target: Path, undo: ExitStack, check: Callable[[Path], object] = lambda copy: None) -> None:
    """Copy a file or a folder; under its name it is whole. Undone with `undo`.

    Args:
        source: only read.
        target: whose folder is there.
        undo: told how to take everything back.
        check: called with the copy under the name it will have, in a folder of its own; raises if that is no good.

    Raises:
        OSError: it cannot be copied.
    """
    drafts = draft_beside(target, folder=True)
    undo.callback(_remove, drafts)
    draft = drafts / target.name
    undo.callback(_remove, draft)
    if source.is_dir():
        shutil.copytree(source, draft, symlinks=True)
    else:
        shutil.copyfile(source, draft)
    check(draft)
    os.replace(draft, target)
    undo.callback(_remove, target)
    drafts.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
