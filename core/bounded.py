"""Files that are read whole, within limits: an endless one, or one nested a million times, is refused in words."""

import json
from pathlib import Path
from typing import Any

from core.errors import SecateurError, shortened

TEXT_BYTES = 64 << 20  # a plan of 100,000 lines has 15 MB
DATA_BYTES = 4 << 30  # of tables of data, which may be large


def read_text(path: Path, what: str, most: int = TEXT_BYTES, encoding: str = "utf-8") -> str:
    """A file's text.

    Args:
        path: any file, a pipe too.
        what: it is, for refusals: `the plan`.
        most: bytes that are read of it.
        encoding: of the text.

    Raises:
        SecateurError: it cannot be read, is larger, or is no text.
    """
    shown = shortened(str(path))
    try:
        with path.open("rb") as file:
            read = file.read(most + 1)
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        raise SecateurError(f"cannot read {what} {shown}: {getattr(error, 'strerror', None) or error}") from None
    except MemoryError:
        raise SecateurError(f"cannot read {what} {shown}: there is not enough memory for it") from None
    if len(read) > most:
        raise SecateurError(f"cannot read {what} {shown}: it is larger than {size_text(most)}; is it another file?")
    try:
        return read.decode(encoding)
    except UnicodeDecodeError:
        raise SecateurError(f"cannot read {what} {shown}: it is not text in UTF-8; another kind of file?") from None


def parse_json(text: str, what: str, most: int = TEXT_BYTES) -> Any:
    """The values that a JSON text holds.

    Args:
        text: of at most so many letters.
        what: it is, for refusals: `the plan`.
        most: letters.

    Raises:
        SecateurError: it is no JSON, nested too deeply, or larger.
    """
    if len(text) > most:
        raise SecateurError(f"{what} is larger than {size_text(most)} and was not read; is it another file?")
    try:
        return json.loads(text)
    except RecursionError:
        raise SecateurError(f"{what} is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise SecateurError(f"{what} is not JSON ({shortened(str(error))})") from None


def size_text(n: int) -> str:
    """`64 MiB`, `4 GiB`."""
    return f"{n >> 30} GiB" if n >= 1 << 30 else f"{n >> 20} MiB" if n >= 1 << 20 else f"{n} bytes"
