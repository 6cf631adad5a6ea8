"""What the runs that tune are asked to do. All that changes their answer is a field; no torch."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

from core.errors import SecateurError
from core.plans.costs import KINDS, Kind
from core.sensitivity.request import Samples, check_samples
from core.tuning.anchors import N_ANCHORS
from core.tuning.minimum import MAX_PLANS
from core.workload.target import Granularity


@dataclass(frozen=True)
class AnchorsRequest:
    """Measure a few whole plans, from which predictions learn how cuts interact.

    Attributes:
        workload: a sample's name or the path of a workload file; swept before.
        granularities: of what the plans cut.
        n: plans.
        samples: evaluation examples; `None` for as many as a sweep takes by default.
        device: where the model runs.
    """

    workload: str
    granularities: tuple[Granularity, ...] = ("weight",)
    n: int = N_ANCHORS
    samples: Samples = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "granularities", checked_granularities(self.granularities))
        check_samples(self.samples)
        checked_count("the number of plans", self.n)


@dataclass(frozen=True)
class MinimiseRequest:
    """Find the cheapest plan whose measured drop is within a tolerance.

    Attributes:
        workload: a sample's name or the path of a workload file; swept before.
        tolerance: the largest drop, in the metric's unit; all of the measured interval has to lie within.
        kind: of cost.
        granularities: of what may be cut; `None` for what the kind of cost is made of.
        samples: evaluation examples of the answer.
        device: where the model runs.
        max_plans: to measure at most.
        criterion: preferred among curves; `None` for none.
    """

    workload: str
    tolerance: float
    kind: Kind = "nonzeros"
    granularities: tuple[Granularity, ...] | None = None
    samples: Samples = "all"
    device: str = "cpu"
    max_plans: int = MAX_PLANS
    criterion: str | None = None

    def __post_init__(self) -> None:
        checked_tolerance(self.tolerance)
        if self.kind not in KINDS:
            raise SecateurError(f"no cost {self.kind!r}; choose one of {', '.join(KINDS)}")
        if self.granularities is not None:
            object.__setattr__(self, "granularities", checked_granularities(self.granularities))
        check_samples(self.samples)
        checked_count("the number of plans", self.max_plans)


def checked_granularities(given: Any) -> tuple[Granularity, ...]:
    """Granularities as given, in a tuple.

    Raises:
        SecateurError: none.
    """
    if isinstance(given, str) or not given:
        raise SecateurError(f"granularities must be several such as ('weight',) or ('channel', 'head'); got {given!r}")
    return tuple(dict.fromkeys(given))


def checked_count(what: str, n: Any) -> int:
    """A whole number of at least 1."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise SecateurError(f"{what} must be a whole number of at least 1; got {n!r}")
    return n


def checked_tolerance(tolerance: Any) -> float:
    """A drop above 0, in the metric's unit."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < float(tolerance) < float("inf"):
        raise SecateurError(f"a tolerance is a drop above 0, in the metric's unit; got {tolerance!r}")
    return float(tolerance)
