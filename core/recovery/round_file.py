"""The file of a round, as far as it can be judged without its model: name, header, hash of its tensors. No torch."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from core.errors import SecateurError

FORMAT = "secateur.recovery"
HASH = "content"  # of the header, by that name; files from before it was written have none
MADE_BY = "made_by"  # likewise
ABOUT = frozenset({"format", "history", "key", "dense", "optimiser"})


def path_of(folder: Path, iteration: int) -> Path:
    """Where the checkpoint of a round lies.

    Args:
        folder: of the recovery.
        iteration: of the round, counted from 1.
    """
    return folder / f"round-{iteration:03d}.safetensors"


def number_of(path: Path | str) -> int:
    """Inverse of `path_of`: the round's number."""
    return int(Path(path).stem.rpartition("-")[2])


def rounds_in(folder: Path) -> list[Path]:
    """Files of rounds in a folder, the latest first: by number, for as text round 1000 comes before round 999.

    A file by a name that no round has, such as somebody's copy, is none of them.
    """
    found = (path for path in folder.glob("round-*.safetensors") if path.stem.removeprefix("round-").isdecimal())
    return sorted(found, key=number_of, reverse=True)


def content_hash(tensors: Mapping[str, Callable[[], bytes | memoryview]]) -> str:
    """Hash of names and bytes of tensors, whatever their order; one of them is in memory at a time."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}\0".encode())
        digest.update(tensors[name]())
    return digest.hexdigest()


def checked_header(about: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of the history in a header.

    Raises:
        ValueError: it is not that of a round.
    """
    if not about.keys() >= ABOUT or about["format"] != FORMAT:
        raise ValueError("it has another header")
    rows = json.loads(about["history"])
    if not isinstance(rows, list) or not rows:
        raise ValueError("its history is empty")
    return rows


def damaged(path: Path, why: object) -> SecateurError:
    """What to say of a file that is no round, or no longer one."""
    return SecateurError(
        f"{path} is no checkpoint of a recovery, or damaged ({why}); delete it, and the round is done again"
    )


def sound_round(path: Path) -> tuple[str, str]:
    """Read a round's file to its end.

    Returns:
        The key of its recovery, and the hash of its tensors.

    Raises:
        SecateurError: it is missing, cut short, changed since it was written, or something else.
    """
    try:
        with safe_open(path, framework="np") as file:  # compares the places of all tensors with the file's size
            about = file.metadata() or {}
        n = len(checked_header(about))
        if path_of(path.parent, n).name != path.name:
            raise ValueError(f"it is round {n} under another name")
        found = _hash_of(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
    if about.get(HASH, found) != found:
        raise damaged(path, "its tensors were changed")
    return about["key"], found


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(start - 8))

        def content(first: int, end: int) -> bytes:
            file.seek(start + first)
            return file.read(end - first)

        places = {name: entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"}
        return content_hash({name: partial(content, *ends) for name, ends in places.items()})
