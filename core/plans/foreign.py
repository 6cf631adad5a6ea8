"""Lines of a plan that a model has not: the plan was made for another. No torch."""

from core.errors import SecateurError, shortened, unknown_name_hint
from core.plans.patterns import looked_up_as
from core.plans.plan import Cut, SparsityPlan
from core.workload.description import Description


def foreign_cuts(plan: SparsityPlan, found: Description) -> list[Cut]:
    """Lines of targets that the model has not; none of channels while it is not known which it has."""
    known = {(target.granularity, target.name) for target in found.targets}
    told = [cut for cut in plan.cuts if found.is_whole or cut.granularity != "channel"]
    return [cut for cut in told if (looked_up_as(cut.granularity), cut.target) not in known]


def check_plan(plan: SparsityPlan, found: Description) -> None:
    """Refuse a plan for another model.

    Raises:
        SecateurError: it names targets that the model has not.
    """
    foreign = foreign_cuts(plan, found)
    if foreign:
        names = ", ".join(shortened(cut.target) for cut in foreign[:3])
        made_for = f"; it was made for {plan.workload}" if plan.workload and plan.workload != found.ref else ""
        alike = {target.name for target in found.targets if target.granularity == looked_up_as(foreign[0].granularity)}
        raise SecateurError(
            f"the plan is for another model: {found.name} has no {names}{' …' if len(foreign) > 3 else ''}{made_for}; "
            + unknown_name_hint(shortened(foreign[0].target), sorted(alike))
        )
