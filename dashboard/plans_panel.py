"""All measured plans on one chart, quality against cost, beside the plan that is being made."""

from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard.predicted import Knowledge


def draw(ref: str, found: Description, plan: SparsityPlan, known: Knowledge) -> None:
    """The chart."""
