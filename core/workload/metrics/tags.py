"""Names of classes that mark spans: `O`, `B-PER`, `I-PER`. No torch: what a folder holds is looked at without it."""

import re
from collections.abc import Sequence

from core.errors import SecateurError

OUTSIDE, BEGIN, INSIDE, END, SINGLE = range(5)
LETTERS = {"B": BEGIN, "I": INSIDE, "E": END, "S": SINGLE, "L": END, "U": SINGLE}
TAG = re.compile(r"([BIESLU])(?:[-_](.+))?")


def are_tags(names: Sequence[str]) -> bool:
    """Whether names of classes are, without a doubt, tags of spans: all with a type but `O`, some of which begin one.

    Letters alone may be anything: `tags_of` takes them where somebody asks for spans.
    """
    found = [TAG.fullmatch(name) for name in names]
    typed = all((match and match[2]) or name == "O" for match, name in zip(found, names, strict=True))
    return typed and any(match and match[1] in "BSU" for match in found)


def tags_of(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Of each class what it does, and the number of its type, -1 of `O`.

    Raises:
        SecateurError: a name is no tag, or none is of a span.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise SecateurError(f"span_f1 expects the names of the classes, as ['O', 'B-PER', 'I-PER']; got {names!r:.60}")
    types: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for name in names:
        match = TAG.fullmatch(name)
        if match is None and name != "O":
            raise SecateurError(
                f"span_f1 expects tags as class names: O, and B-, I-, E-, S- (or L-, U-) with a type, as B-PER; got "
                f"{name!r}; rename the classes, or use token_accuracy()"
            )
        found.append(
            (OUTSIDE, -1) if match is None else (LETTERS[match[1]], types.setdefault(match[2] or "", len(types)))
        )
    if not types:
        raise SecateurError("span_f1 expects tags of spans among the class names, as B-PER, and there is only O; "
                            "use token_accuracy()")  # fmt: skip
    return tuple(found)
