"""What the map inside a plan is asked for. All that changes its answer is a field; no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from core.errors import SecateurError
from core.plans.checked import as_float
from core.plans.costs.left import KINDS, Kind
from core.plans.plan import SparsityPlan
from core.sensitivity.request import Samples, check_samples
from core.sensitivity.search.shard import checked_shard

Mode = Literal["exact", "race"]
MODES: tuple[Mode, ...] = get_args(Mode)
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
        cost: that rows are set beside, and the order of the map goes by; `None` for what the plan's cuts are made for.
        mode: `"exact"`: every row on all examples. `"race"`: every row until all of them could not make it sure, or
            unsure, that giving it back gains (or that a step further loses), or its interval is as narrow as `width`.
        width: at which a race calls an interval narrow enough, in the metric's unit; `None` for never.
        engine: whose milliseconds count, by staircases that were measured there; `None` for eager torch.
        shard: as of `SweepRequest`, of the rows.
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
    cost: Kind | None = None
    mode: Mode = "exact"
    width: float | None = None
    engine: str | None = None
    shard: str | None = None

    def __post_init__(self) -> None:
        if not self.chosen().cuts:
            raise SecateurError("the plan cuts nothing, so no row can be given back; take a plan with at least one row")
        check_samples(self.samples)
        if self.shard is not None:
            checked_shard(self.shard)
        if self.cost is not None and self.cost not in KINDS:
            raise SecateurError(f"no cost {self.cost!r}; choose one of {', '.join(KINDS)}")
        if self.engine is not None and self.cost != "milliseconds":
            raise SecateurError(f"an engine is for a cost of milliseconds; got {self.cost!r} in {self.engine}")
        if self.mode not in MODES:
            raise SecateurError(f"mode must be one of {', '.join(MODES)}; got {self.mode!r}")
        if self.width is not None and self.mode != "race":
            raise SecateurError(f"width is when a race stops a row; mode {self.mode!r} does not ask for it")
        if self.width is not None and not 0 < as_float(self.width) < float("inf"):
            raise SecateurError(f"a width is a difference above 0, in the metric's unit; got {self.width!r}")

    def chosen(self) -> SparsityPlan:
        """The plan.

        Raises:
            SecateurError: the document is none of a plan.
        """
        return SparsityPlan.from_document(dict(self.plan))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
