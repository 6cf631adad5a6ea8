"""What the map inside a plan is asked for. All that changes its answer is a field; no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.sensitivity.request import Samples, check_samples

Cost = Literal["nonzeros", "parameters", "flops"]  # of `core.plans.costs.left`: what needs no profile
COSTS: tuple[Cost, ...] = get_args(Cost)
TOP = 3  # the first rows of the map are given back together too, two of them and then three


@dataclass(frozen=True)
class UndoRequest:
    """Measure what every row of a plan is worth inside it.

    Attributes:
        workload: a sample's name or the path of a workload file.
        plan: document of the plan, with at least one row.
        samples: evaluation examples, after those that sweeps took, as far as there are so many; `None` for as many as
            a sweep takes by default.
        further: measure every row one step further too.
        damage: measure layer by layer how far the outputs are from the dense model's.
        device: where the model runs.
        replay: compute of a neighbour only what differs from the plan, where that gives the same bits.
            `None`: if it saves more than tracing the model costs.
        threads: neighbours measured at a time; `None` for one per core.
        memory: gigabytes (10^9 bytes) of values of the plan that may be kept; `None` for a quarter of what is free.
    """

    workload: str
    plan: Mapping[str, Any]
    samples: Samples = None
    further: bool = True
    damage: bool = True
    device: str = "cpu"
    replay: bool | None = None
    threads: int | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        if not self.chosen().cuts:
            raise SecateurError("the plan cuts nothing, so no row can be given back; take a plan with at least one row")
        check_samples(self.samples)

    def chosen(self) -> SparsityPlan:
        """The plan.

        Raises:
            SecateurError: the document is none of a plan.
        """
        return SparsityPlan.from_document(dict(self.plan))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
