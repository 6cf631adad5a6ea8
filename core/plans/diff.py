"""What differs between two plans, line by line, and between what they remove. No torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.plans.costs.totals import Totals, plan_totals
from core.plans.plan import Cut, SparsityPlan
from core.workload.description import Description
from core.workload.target import Granularity


@dataclass(frozen=True)
class PlanDifference:
    """One target that two plans treat otherwise.

    Attributes:
        target, granularity: of the line that differs.
        before, after: the line in the first plan and in the second, `None` where it has none; not both.
    """

    target: str
    granularity: Granularity
    before: Cut | None
    after: Cut | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class PlanComparison:
    """Two plans of one model beside each other.

    Attributes:
        differences: in network order.
        before, after: what the first plan removes, and the second.
    """

    differences: tuple[PlanDifference, ...]
    before: Totals
    after: Totals


def diff(a: SparsityPlan, b: SparsityPlan, order: Sequence[str] = ()) -> tuple[PlanDifference, ...]:
    """Lines that are in one of two plans only, or not the same in both; empty for equal plans.

    Args:
        a, b: before and after.
        order: names of targets in network order. Those it does not know come last, by name; without it all do.
    """
    place = {name: i for i, name in reversed(list(enumerate(order)))}  # of a name that comes twice, the first place
    before, after = ({(cut.target, cut.granularity): cut for cut in plan.cuts} for plan in (a, b))
    keys = sorted(before.keys() | after.keys(), key=lambda key: (place.get(key[0], len(place)), key))
    found = [PlanDifference(*key, before.get(key), after.get(key)) for key in keys]
    return tuple(one for one in found if one.before != one.after)


def compared(a: SparsityPlan, b: SparsityPlan, found: Description) -> PlanComparison:
    """`diff` in the network order of a described model, and what each of the plans removes of it."""
    order = [target.name for target in found.targets]
    return PlanComparison(diff(a, b, order), plan_totals(a, found), plan_totals(b, found))
