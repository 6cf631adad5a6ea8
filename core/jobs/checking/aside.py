"""The folder `quarantine` of a workspace: what was damaged and is not thrown away, each time with a note. No torch."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import SecateurError
from core.workspace import Workspace

FOLDER, NOTE = "quarantine", "note.json"


def new_folder(workspace: Workspace) -> Path:
    """A new folder for what is set aside now.

    Raises:
        SecateurError: it cannot be made.
    """
    folder, name = workspace.subfolder(FOLDER), time.strftime("%Y-%m-%d-%H%M%S")
    for i in range(1000):
        place = folder / (f"{name}-{i}" if i else name)
        try:
            place.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise SecateurError(f"cannot make {place}: {error.strerror}; free some space, or mend its folder") from None
        return place
    raise SecateurError(f"cannot make another folder in {folder}: there are a thousand of this second; wait one")


def write_note(place: Path, note: Mapping[str, Any]) -> None:
    """Say in a folder what is set aside there; on disk when this returns.

    Raises:
        SecateurError: it cannot be written.
    """
    path = place / NOTE
    try:
        with path.open("w", encoding="utf-8") as file:
            json.dump(note, file, indent=1)  # ASCII: what is damaged may be no text
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SecateurError(f"cannot write {path}: {error.strerror}; free some space: nothing was set aside") from None


def row_aside(workspace: Workspace, place: str, key: str, row: Mapping[str, Any]) -> str:
    """Set a damaged row aside that is about to be written over; inside the workspace the path of the note.

    Args:
        place: its table.
        key: by which it is known there.
        row: its columns as they are, texts.

    Raises:
        SecateurError: it cannot be kept; then it should not be written over.
    """
    folder = new_folder(workspace)
    rows = [{"place": place, "key": [key], "why": "it cannot be read as what it should be", "row": dict(row)}]
    write_note(folder, {"set_aside": time.strftime("%Y-%m-%dT%H:%M:%S"), "rows": rows, "files": []})
    return str((folder / NOTE).relative_to(workspace.folder))


def keys_aside(workspace: Workspace, place: str) -> set[tuple[str, ...]]:
    """Keys of the rows of a table that were ever set aside; a note that cannot be read says none."""
    found: set[tuple[str, ...]] = set()
    for path in (workspace.folder / FOLDER).glob(f"*/{NOTE}"):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            found |= {tuple(map(str, row["key"])) for row in rows if row["place"] == place}
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
    return found
