"""Files that a command writes: whole under their name, or what was there before."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from core.errors import SecateurError


def write_text(path: Path, text: str, mend: str = "choose another with --out") -> None:
    """Write a text over what is there, which stays as it was until the whole text is on disk.

    Args:
        path: of the file; a pipe or a device gets the text as it is.
        text: of any length.
        mend: what helps where it cannot be written.

    Raises:
        SecateurError: it cannot be written: no such folder, no right, no space.
    """
    # beside the file that a link leads to, or the link would become a file
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{secrets.token_hex(4)}.part")
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
            return
        if target.exists() and not os.access(target, os.W_OK):  # a file that was locked on purpose is not replaced
            raise PermissionError(13, "Permission denied")
        draft.write_text(text, encoding="utf-8")
        if target.exists():
            draft.chmod(target.stat().st_mode)
        draft.replace(target)
    except OSError as error:
        raise SecateurError(f"cannot write {path}: {error.strerror}; {mend}") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
