"""What a person types to find something again, names and notes, before it is kept. No torch."""

import unicodedata

from core.errors import SecateurError

LONGEST_NAME, LONGEST_NOTE = 80, 2_000  # letters
# they turn the order of what stands around them, so that a name would read as another
TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def name_of(text: str, whose: str) -> str:
    """A name of one line, its spaces single; an empty one if there is nothing else.

    Args:
        text: as it was typed.
        whose: for the refusal: `run`, `plan`.

    Raises:
        SecateurError: it is longer than 80 letters, or has letters that cannot be shown.
    """
    name = " ".join(text.split())
    _check(name, f"a {whose}'s name")
    if len(name) > LONGEST_NAME:
        raise SecateurError(
            f"a {whose}'s name has at most {LONGEST_NAME} letters, this one has {len(name)}; write a note"
        )
    return name


def note_of(text: str, whose: str) -> str:
    """A note, of lines.

    Args:
        text: as it was typed.
        whose: for the refusal: `run`, `plan`.

    Raises:
        SecateurError: it is longer than 2,000 letters, or has letters that cannot be shown.
    """
    note = text.replace("\r\n", "\n").strip()
    _check(note, f"a {whose}'s note")
    if len(note) > LONGEST_NOTE:
        raise SecateurError(
            f"a {whose}'s note has at most {LONGEST_NOTE:,} letters, this one has {len(note):,}; say it shorter"
        )
    return note


def _check(text: str, what: str) -> None:
    """Refuse what a terminal would obey, a page cannot hold, or a database cannot keep."""
    for letter in text:
        if letter in TURNING or (letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cs")):
            raise SecateurError(f"{what} holds {letter!r}, which cannot be shown; leave it out")
