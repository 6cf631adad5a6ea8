"""Which column of a table is what, and labels held against the classes of a model. No torch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import SecateurError
from core.workload.sources.tables import Table

# What people call columns. A role is taken by name alone: which text is the question cannot be seen.
NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "review", "content", "document", "body", "message", "title", "query", "comment"),
    "first": ("sentence1", "sentence_1", "text1", "text_1", "text_a", "premise", "question1", "sentence_a", "anchor"),
    "second": ("sentence2", "sentence_2", "text2", "text_2", "text_b", "hypothesis", "question2", "sentence_b",
               "positive"),
    "label": ("label", "labels", "class", "category", "target", "sentiment", "gold", "y", "intent"),
    "score": ("score", "similarity", "similarity_score", "label", "labels", "stars", "rating", "target"),
    "tokens": ("tokens", "words"),
    "tags": ("ner_tags", "tags", "labels", "pos_tags", "label"),
    "source": ("source", "input", "text", "document", "article", "src", "question"),
    "target": ("target", "summary", "translation", "output", "highlights", "tgt", "answer"),
    "question": ("question", "sent1", "prompt", "context", "startphrase", "premise"),
    "choices": ("choices", "options", "endings"),
    "answer": ("label", "answer", "answerKey"),
}  # fmt: skip
FEW_NAMED = 3  # labels that are no classes, in a refusal
FEW = 50  # different values of a column that is worth looking at group by group


def given_columns(text: str | None) -> dict[str, str]:
    """`role=column,role=column` as a dictionary.

    Raises:
        SecateurError: it is not of that form, or names what is no role.
    """
    found: dict[str, str] = {}
    for pair in (text or "").split(","):
        if not pair.strip():
            continue
        role, sign, column = (part.strip() for part in pair.partition("="))
        if not sign or not column or role in found:
            raise SecateurError(f"--columns expects role=column,role=column, each once; got {pair!r}")
        if role not in NAMES:
            raise SecateurError(f"--columns knows no role {role!r}; choose of {', '.join(NAMES)}")
        found[role] = column
    return found


def column_for(table: Table, role: str, given: Mapping[str, str], needed: bool = True) -> str | None:
    """The name of the column that has a role: as given, or the one that is called so.

    Raises:
        SecateurError: there is none, or two could be meant.
    """
    if role in given:
        if given[role] not in table.columns:
            raise SecateurError(f"{table.path.name} has no column {given[role]!r}; it has {', '.join(table.columns)}")
        return given[role]
    lowered: dict[str, list[str]] = {}
    for name in table.columns:
        lowered.setdefault(name.lower(), []).append(name)
    found = [column for name in NAMES[role] for column in lowered.get(name.lower(), []) if column not in given.values()]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise SecateurError(
            f"{' and '.join(found[:3])} of {table.path.name} could each be the {role}; say which: "
            f"--columns {role}={found[0]}"
        )
    if not needed:
        return None
    if role in ("tokens", "tags") and table.path.suffix == ".txt":
        raise SecateurError(
            f"{table.path.name} is a text file, a line an example, and has no column of {role}: lines of a word and "
            'its tag (CoNLL) are not read; write JSON lines such as {"tokens": ["Ada", "ran"], "tags": ["B-PER", "O"]}'
        )
    raise SecateurError(
        f"which column of {table.path.name} is the {role}? It has {', '.join(table.columns)[:200]}; say so: "
        f"--columns {role}={_likely(table, role, given)}"
    )


def _likely(table: Table, role: str, given: Mapping[str, str]) -> str:
    """For an example that could be typed: of a label the column of fewest values, of a text that of the longest."""
    free = {name: list(map(str, values)) for name, values in table.columns.items() if name not in given.values()}
    if role in ("label", "score", "answer"):
        return min(free, key=lambda name: len(set(free[name])), default="NAME")
    return max(free, key=lambda name: sum(map(len, free[name])), default="NAME")


def texts_of(table: Table, column: str) -> list[str]:
    """A column of texts.

    Raises:
        SecateurError: one is empty or no text.
    """
    for row, value in enumerate(table.columns[column]):
        if not isinstance(value, str):
            raise SecateurError(f"{table.where(row)}: {column!r} must be text, got {value!r:.60}")
        if not value.strip():
            raise SecateurError(f"{table.where(row)}: {column!r} is empty; leave the row out")
    return table.columns[column]


def numbers_of(table: Table, column: str) -> list[float]:
    """A column of finite numbers.

    Raises:
        SecateurError: one is something else, or all are the same.
    """
    found = []
    for row, value in enumerate(table.columns[column]):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not abs(number) < float("inf"):
            raise SecateurError(f"{table.where(row)}: {column!r} must be a number, got {value!r:.60}")
        found.append(number)
    return found


def class_ids(
    table: Table,
    values: Sequence[Any],
    column: str,
    names: Mapping[int, str],
    role: str = "label",
    rows: Sequence[int] | None = None,
) -> list[int]:
    """Labels as the numbers that the model has for them: names as in `id2label`, or those numbers.

    Args:
        table: that they are of.
        values: the labels.
        column: that they stand in.
        names: of the classes.
        role: of the column, for the refusal.
        rows: of each label, where a row has several.

    Raises:
        SecateurError: a label is none of the model's.
    """
    by_name = _folded(names)
    by_text = [by_name.get(_label_text(value).casefold()) for value in values]
    # all by name or all by number: with classes called "1" to "5", a label "1" is a name and "0" a mistake
    ids = by_text if any(found is not None for found in by_text) else [_number(value, len(names)) for value in values]
    odd = [row for row, found in enumerate(ids) if found is None]
    if odd:
        at, known = odd[0], ", ".join(list(names.values())[:12]) + (" …" if len(names) > 12 else "")
        row = at if rows is None else rows[at]
        raise SecateurError(
            f"{table.where(row)}: {column!r} is {values[at]!r:.60}{_others(odd, values)}, "
            f"and the classes of the model are {known} (id2label in config.json), or their numbers from 0; "
            f"rename the labels, or say which column holds them: --columns {role}=NAME"
        )
    return [found for found in ids if found is not None]


def _others(rows: Sequence[int], values: Sequence[Any]) -> str:
    """How many labels more are none of the model's, and some of them: each once, as often as it comes."""
    if len(rows) == 1:
        return ""
    counted = Counter(f"{values[row]!r:.30}" for row in rows)
    few = ", ".join(f"{text} in {n:,}" if n > 1 else text for text, n in counted.most_common(FEW_NAMED))
    more = f", … of {len(counted)} different" if len(counted) > FEW_NAMED else ""
    return f" (no class in {len(rows):,} of {len(values):,}: {few}{more})"


def _folded(names: Mapping[int, str]) -> dict[str, int]:
    """Numbers by name, upper and lower case alike where no two names then meet."""
    folded = [name.casefold() for name in names.values()]
    return {(name.casefold() if folded.count(name.casefold()) == 1 else name): i for i, name in names.items()}


def _label_text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value).strip()


def _number(value: Any, n: int) -> int | None:
    try:
        number = float(_label_text(value))
    except ValueError:
        return None
    return int(number) if number.is_integer() and 0 <= number < n else None


def label_map_text(column: str, values: Sequence[Any], names: Mapping[int, str]) -> str:
    """How labels were matched, for people."""
    as_names = _label_text(values[0]).casefold() in {name.casefold() for name in names.values()}
    shown = ", ".join(f"{i} = {name}" for i, name in list(names.items())[:6]) + (" …" if len(names) > 6 else "")
    return f"{column}: {'names' if as_names else 'numbers'} of id2label ({shown})"


def other_columns(table: Table, used: Sequence[str]) -> dict[str, list[str | int]]:
    """Columns beside those that are used, to look at a drop group by group: of few values, strings and integers."""
    found: dict[str, list[str | int]] = {}
    for name, values in table.columns.items():
        plain = all(isinstance(value, str | int) and not isinstance(value, bool) for value in values)
        if name not in used and name and plain and 1 < len(set(values)) <= min(FEW, table.n - 1):
            found[name] = list(values)
    return found
