"""Exported bundles that another workspace has and this one has not."""

import shutil
import sqlite3
from contextlib import ExitStack
from pathlib import Path

from core.delivery.manifest import MANIFEST
from core.errors import SecateurError
from core.jobs.merging.placing import place
from core.workspace import Workspace


def copy_bundles(db: sqlite3.Connection, here: Workspace, folder: Path, undo: ExitStack) -> int:
    """Copy bundles that lie in the other workspace and not in this one. One exported elsewhere stays where it is."""
    rows = db.execute(
        "SELECT json_extract(result, '$.folder') FROM other.runs "
        "WHERE kind = 'export' AND state = 'finished' AND json_valid(result)"
    ).fetchall()
    copied = 0
    for (name,) in rows:
        source, target = folder / str(name), here.folder / str(name)
        if Path(str(name)).parent != Path("bundles") or not source.is_dir():
            continue
        if target.exists() and not _are_alike(source, target):
            continue
        try:
            here.subfolder("bundles")
            missing = [
                path
                for path in (source, source.with_name(f"{source.name}.zip"))  # a merge may be killed between them
                if path.exists() and not path.is_symlink() and not target.with_name(path.name).exists()
            ]
            for path in missing:
                place(path, target.with_name(path.name), undo)
        except (OSError, shutil.Error) as error:
            raise SecateurError(
                f"cannot copy the bundle {source} into {here.folder} ({error}); free some space, or mend what it says"
            ) from None
        copied += bool(missing)
    return copied


def _are_alike(one: Path, other: Path) -> bool:
    try:
        return (one / MANIFEST).read_bytes() == (other / MANIFEST).read_bytes()
    except OSError:
        return False
