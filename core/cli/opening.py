"""What commands open: the runs and the plan book of a workspace, plans in files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.jobs.known.plan_book import PlanBook
    from core.jobs.runs import RunStore
    from core.plans.plan import SparsityPlan


def open_store(workspace: Path, create: bool = True) -> "RunStore":
    """The runs of a workspace."""
    from core.jobs.runs import RunStore
    from core.workspace import Workspace

    return RunStore(Workspace(workspace, create))


def open_book(workspace: Path, model: str) -> tuple[str, "PlanBook"]:
    """The reference of a model, and the plan book of a workspace that exists."""
    from core.jobs.known.plan_book import PlanBook
    from core.workload.loading import canonical_ref
    from core.workspace import Workspace

    return canonical_ref(model), PlanBook(Workspace(workspace, create=False))


def check_own(store: "RunStore", model: str, plan: "SparsityPlan") -> None:
    """Refuse a plan of another model before a worker starts, where the workspace knows this one.

    Raises:
        SecateurError: it names targets that the model has not.
    """
    from core.plans.foreign import check_plan
    from core.workload.loading import canonical_ref

    described = store.description(canonical_ref(model))
    if described is not None:
        check_plan(plan, described[0])
