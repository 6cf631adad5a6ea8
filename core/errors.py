"""The one error that a person can mend."""

import difflib
import re
from collections.abc import Sequence


class SecateurError(ValueError):
    """Something given to Secateur cannot be used; the message says what, and how to mend it.

    The command line prints it on one line and ends with exit code 2; the dashboard shows it as it is.
    """


class AskedToStop(Exception):  # noqa: N818 - not an error: somebody asked for it
    """Work that was asked to stop; whatever names the errors of code that it calls lets this through."""


def unknown_name_hint(name: str, known: Sequence[str]) -> str:
    """What to try instead of a name that is not known."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not known:
        return "there are none"
    return f"there are {len(known)}: {', '.join(known[:8])}{' …' if len(known) > 8 else ''}"


def shortened(text: str, most: int = 120) -> str:
    """What somebody gave, as a message repeats it: on one line, and of what is long its beginning and its length."""
    line = " ".join(text[: 4 * most].split())
    return line if len(text) <= most and len(line) <= most else f"{line[:most]}… ({len(text):,} characters)"


def told(message: str, most: int = 200) -> str:
    """A message as it is shown: of a longer word, which anybody may have given, its beginning and its length."""
    return re.sub(rf"\S{{{most + 1},}}?(?=[\]'\",.:;)]*(?:\s|$))", lambda word: shortened(word[0], most), message)


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something; empty if none does."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
