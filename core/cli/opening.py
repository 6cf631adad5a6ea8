"""What commands open: the runs and the plan book of a workspace."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.jobs.known.plan_book import PlanBook
    from core.jobs.runs import RunStore


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
