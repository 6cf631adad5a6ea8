"""Rules for what a solver may do with which rows: locks, bounds, "never touch", ties, even layers. No torch."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.errors import SecateurError
from core.plans.checked import checked_pattern

Verb = Literal["lock", "never", "bounds", "tied", "even"]
VERBS: tuple[Verb, ...] = get_args(Verb)
MAX_PATTERN = 200  # characters
SAME = 1e-9  # sparsities that differ by less are one


@dataclass(frozen=True)
class Rule:
    """One rule for one row, or for all rows whose name a regular expression is found in.

    Attributes:
        verb: `"lock"`: the sparsity stays as it is in the plan. `"never"`: nothing is cut. `"bounds"`: the sparsity is
            at least `least` and at most `most`. `"tied"`: all these rows get the same sparsity. `"even"`: every layer
            of a kind among these rows loses the same number of channels, or of heads, whichever they are.
        row: name of the one row; or
        pattern: regular expression of at most `MAX_PATTERN` characters, searched in names; `""` is every row.
        least, most: of `"bounds"`, in [0, 1], one at least; 1 is for heads and blocks, which go whole.
    """

    verb: Verb
    row: str | None = None
    pattern: str | None = None
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise SecateurError(f"a rule is one of {', '.join(VERBS)}; got {self.verb!r}")
        if (self.row is None) == (self.pattern is None):
            raise SecateurError(f"a {self.verb} rule names either a row or a pattern for names of rows, not both")
        if not isinstance(self.row, str | None) or not isinstance(self.pattern, str | None):
            raise SecateurError(f"row and pattern of a {self.verb} rule are text; got {self.row or self.pattern!r}")
        if len(self.pattern or "") > MAX_PATTERN:
            raise SecateurError(
                f"a pattern has at most {MAX_PATTERN} characters, got {len(self.pattern or '')}: make several rules"
            )
        checked_pattern(self.pattern or "", "")
        bounds = [bound for bound in (self.least, self.most) if bound is not None]
        if (self.verb == "bounds") != bool(bounds):
            raise SecateurError("a bounds rule, and no other, has a least or a most sparsity, or both")
        for bound in bounds:
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 <= bound <= 1:
                raise SecateurError(
                    f"bounds are fractions in [0, 1], got {bound!r}. Given a percentage? Divide by 100."
                )
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise SecateurError(f"the least sparsity, {bounds[0]:g}, is above the most, {bounds[1]:g}; exchange them")

    def is_for(self, name: str) -> bool:
        """Whether the rule speaks of the row of that name."""
        return name == self.row if self.pattern is None else re.search(self.pattern, name) is not None

    def to_json(self) -> dict[str, Any]:
        """What was given, as plain values."""
        fields = {name: getattr(self, name) for name in ("verb", "row", "pattern", "least", "most")}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class Bounds:
    """What the rules say of one row.

    Attributes:
        is_locked: the sparsity stays; the bounds are not looked at.
        least, most: sparsity.
        rules: positions of the rules that decided, for the screen.
    """

    is_locked: bool = False
    least: float = 0.0
    most: float = 1.0
    rules: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rules:
    """Rules in order: where two speak of one row, the later one wins.

    `"bounds"` after `"never"` or `"lock"` frees the row within the bounds; of two bounds each end is the later one's,
    and an earlier end that would contradict it gives way. `"tied"` goes with all others; rows that several of them join
    are all tied together. `"even"` goes with all but ties of heads.
    """

    rules: tuple[Rule, ...] = ()

    def bounds_of(self, name: str) -> Bounds:
        """What holds for a row."""
        found = Bounds()
        for i, rule in enumerate(self.rules):
            if rule.verb in ("tied", "even") or not rule.is_for(name):
                continue
            if rule.verb == "lock":
                found = Bounds(True, rules=(i,))
            elif rule.verb == "never":
                found = Bounds(False, 0.0, 0.0, (i,))
            else:
                before = Bounds() if found.is_locked or self._is_never(found) else found
                least = before.least if rule.least is None else rule.least
                most = before.most if rule.most is None else rule.most
                if least > most:
                    least, most = (least, 1.0) if rule.most is None else (0.0, most)
                found = Bounds(False, least, most, (*before.rules, i))
        return found

    def _is_never(self, found: Bounds) -> bool:
        return any(self.rules[i].verb == "never" for i in found.rules)

    def tied(self, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Positions of rows that share one sparsity, each row in one group; most groups are one row. In order."""
        group = list(range(len(names)))
        for rule in self.rules:
            if rule.verb == "tied":
                joined = {group[i] for i, name in enumerate(names) if rule.is_for(name)}
                group = [min(joined) if one in joined else one for one in group]
        return tuple(tuple(i for i, one in enumerate(group) if one == first) for first in sorted(set(group)))

    def even(self, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of rows of which the layers of a kind are cut alike."""
        some = [rule for rule in self.rules if rule.verb == "even"]
        return tuple(i for i, name in enumerate(names) if any(rule.is_for(name) for rule in some))

    def unused(self, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of rules that speak of no row: a name that is misspelt, say."""
        return tuple(i for i, rule in enumerate(self.rules) if not any(map(rule.is_for, names)))

    def evened(self) -> "Rules":
        """These, and all layers of a kind cut alike."""
        return Rules((*self.rules, Rule("even", pattern="")))

    def to_json(self) -> list[dict[str, Any]]:
        """A list of plain values."""
        return [rule.to_json() for rule in self.rules]

    @classmethod
    def from_json(cls, rules: Any) -> "Rules":
        """Inverse of `to_json`.

        Raises:
            SecateurError: not rules; the message has the number of the one that is none.
        """
        if not isinstance(rules, list):
            raise SecateurError(f"rules are a list of objects with a verb each; got {rules!r}")
        return cls(tuple(_rule(i, fields) for i, fields in enumerate(rules)))


def _rule(index: int, fields: Any) -> Rule:
    known = {"verb", "row", "pattern", "least", "most"}
    if not isinstance(fields, Mapping) or "verb" not in fields or set(fields) - known:
        raise SecateurError(f"rule {index + 1} must be an object with a verb, and of {sorted(known)}; got {fields!r}")
    try:
        return Rule(**fields)
    except SecateurError as error:
        raise SecateurError(f"rule {index + 1}: {error}") from None


@dataclass(frozen=True)
class Allowed:
    """Levels that a row may take: positions among its sparsities, at least one; and what a person has to know."""

    levels: tuple[int, ...]
    note: str | None = None


def allowed_levels(name: str, sparsities: Sequence[float], current: float, rules: Rules) -> Allowed:
    """The levels that the rules leave a row.

    Args:
        name: of the row.
        sparsities: of its levels, at least one; 1 for a head or a block that goes.
        current: sparsity that the plan has now, for locks.
        rules: of which some may speak of this row.

    Returns:
        What lies within the bounds; where nothing was measured there, the nearest level, with a note. Of two equally
        near ones the one that cuts less.
    """
    bounds = rules.bounds_of(name)
    least, most = (current, current) if bounds.is_locked else (bounds.least, bounds.most)
    inside = tuple(i for i, one in enumerate(sparsities) if least - SAME <= one <= most + SAME)
    if inside:
        return Allowed(inside)
    nearest = min(range(len(sparsities)), key=lambda i: (_outside(sparsities[i], least, most), sparsities[i]))
    what = f"locked at {current:g}" if bounds.is_locked else f"bound to {least:g} to {most:g}"
    return Allowed((nearest,), f"{name} is {what}, where nothing was measured; {sparsities[nearest]:g} is nearest")


def _outside(sparsity: float, least: float, most: float) -> float:
    return max(least - sparsity, sparsity - most, 0.0)
