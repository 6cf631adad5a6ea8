"""Of which kind each row is, so that all layers of one can be cut alike. No torch."""

import re
from collections.abc import Sequence

from core.errors import SecateurError
from core.plans.plan import HEADS
from core.plans.solver.even import Kind
from core.plans.solver.rules import Rules
from core.tuning.plan_rows import PlanRow, row_name
from core.workload.description import Description
from core.workload.target import Target

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")  # of a block in a list of blocks


def kinds_of(rows: Sequence[PlanRow], found: Description, rules: Rules) -> tuple[list[Kind | None], tuple[str, ...]]:
    """The kind of each row, and what a person has to know: of channels and heads, for weights are zeros in any number.

    Args:
        rows: that are solved for.
        found: the model that they are of.
        rules: of which some may ask for even layers.

    Raises:
        SecateurError: layers of a kind shall be even and one of them is no row, or is aligned in another way.
    """
    heads: dict[tuple[str, str | None], int] = {}
    for target in found.targets:
        heads[target.granularity, target.layer] = heads.get((target.granularity, target.layer), 0) + 1
    known = {
        (target.granularity, target.name): kind
        for target in found.targets
        if (kind := _kind(target, heads[target.granularity, target.layer])) is not None
    }
    kinds = [known.get((row.curve.granularity, row.curve.target)) for row in rows]
    asked = rules.even([row.name for row in rows])
    if not asked:
        return kinds, ()
    of_rows = {one.name: row for row, one in zip(rows, kinds, strict=True) if one is not None}
    there = {one.layer for one in kinds if one is not None}
    even = {one.name for at in asked if (one := kinds[at]) is not None}
    for target in found.targets:
        kind = known.get((target.granularity, target.name))
        if kind is not None and kind.name in even and kind.layer not in there:
            raise SecateurError(
                f"all layers like {of_rows[kind.name].name} are to be cut alike, and {row_name(target)} was not "
                "measured, or is held by the plan; sweep it too, or do without even layers"
            )
    for name in even:
        aligned = {
            row.curve.align for row, one in zip(rows, kinds, strict=True) if one is not None and one.name == name
        }
        if len(aligned) > 1:
            raise SecateurError(
                f"all layers like {of_rows[name].name} are to be cut alike, and they were swept with --align "
                f"{' and '.join(map(str, sorted(aligned)))}; sweep all with one of them"
            )
    if not even:
        return kinds, ("even layers are of channels and heads: weights become zeros, of which no configuration speaks",)
    return kinds, ()


def _kind(target: Target, n_heads: int) -> Kind | None:
    if target.granularity == "channel":
        name = f"channels of {NUMBER.sub('*', target.name)} ({target.n_units})"
        return Kind(name, target.name, False, NUMBER.search(target.name) is not None)
    if target.granularity in HEADS and target.layer is not None:
        name = f"{target.granularity} of {NUMBER.sub('*', target.layer)} ({n_heads})"
        return Kind(name, target.layer, True, NUMBER.search(target.layer) is not None)
    return None
