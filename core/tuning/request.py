"""What the runs that tune are asked to do. All that changes their answer is a field; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import SecateurError
from core.plans.checked import Align, as_float, checked_steps
from core.plans.costs.left import KINDS, Kind
from core.plans.criteria import checked_criterion
from core.plans.patterns import is_pattern
from core.plans.plan import FRACTIONAL, WHOLE
from core.plans.repairs import checked_repair
from core.plans.solver.rules import Rules
from core.profiling.pays.request import check_timed
from core.sensitivity.request import Samples, check_samples
from core.tuning.minimum import MAX_PLANS
from core.tuning.refine import ROUNDS
from core.workload.target import Granularity

N_ANCHORS = 6  # plans that are measured to correct predictions, of each family of cuts


@dataclass(frozen=True)
class AnchorsRequest:
    """Measure a few whole plans, from which predictions learn how cuts interact.

    Attributes:
        workload: a sample's name or the path of a workload file; swept before.
        granularities: of what the plans cut; `None` for all that was swept.
        n: plans of each family of cuts.
        samples: evaluation examples, after those that the sweep took, as far as there are so many; `None` for
            `core.jobs.known.judging.JUDGED`.
        device: where the model runs.
        repair: of the plans, by what repaired cuts cost; `None` for none.
    """

    workload: str
    granularities: tuple[Granularity, ...] | None = None
    n: int = N_ANCHORS
    samples: Samples = None
    device: str = "cpu"
    repair: str | None = None

    def __post_init__(self) -> None:
        checked_repair(self.repair)
        if self.granularities is not None:
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
        even: all layers of a kind lose the same number of channels, or of heads.
        guards: by column of the examples, the most that each of its groups may lose, in the metric's unit: shown by
            each group's interval, or where a group has too few examples for that by its drop.
        repair: of the plans, by what repaired cuts cost; `None` for none.
        batch, length: examples of the pass whose memory is counted; positions of each that are kept, `None` for none.
        engine: whose milliseconds count, by staircases that were measured there; `None` for eager torch.
        align: which widths may be left, as for `core.jobs.known.findings.ends_of`.
        costs: in place of an engine, the rows of a table of a device, as `core.plans.costs.device_table` reads them.
    """

    workload: str
    tolerance: float
    kind: Kind = "nonzeros"
    granularities: tuple[Granularity, ...] | None = None
    samples: Samples = "all"
    device: str = "cpu"
    max_plans: int = MAX_PLANS
    criterion: str | None = None
    even: bool = False
    guards: dict[str, float] = field(default_factory=dict)
    repair: str | None = None
    batch: int = 1
    length: int | None = None
    engine: str | None = None
    align: Align | None = None
    costs: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        checked_repair(self.repair)
        checked_engine(self.engine, self.kind)
        checked_steps(self.align)
        object.__setattr__(self, "costs", checked_costs(self.costs, self.engine, self.kind))
        checked_tolerance(self.tolerance)
        if self.kind not in KINDS:
            raise SecateurError(f"no cost {self.kind!r}; choose one of {', '.join(KINDS)}")
        if self.granularities is not None:
            object.__setattr__(self, "granularities", checked_granularities(self.granularities))
        if self.criterion is not None:
            checked_criterion(self.criterion)
        check_samples(self.samples)
        checked_count("the number of plans", self.max_plans)
        if not isinstance(self.even, bool):
            raise SecateurError(f"even is true or false; got {self.even!r}")
        object.__setattr__(self, "guards", checked_guards(self.guards))


@dataclass(frozen=True)
class RefineRequest:
    """Solve for a budget, then measure around the plan and shift the budget to where it does less harm.

    Attributes:
        workload: a sample's name or the path of a workload file; swept before.
        left: the most that may be left of the cost, as a fraction of the dense model's, in (0, 1].
        kind: of cost.
        granularities: of what may be cut; `None` for what the kind of cost is made of.
        samples: evaluation examples to measure around the plan on; `None` for as many as a sweep takes by default. The
            result is measured on all.
        rounds: at most; each measures two plans for every row.
        device: where the model runs.
        criterion: preferred among curves; `None` for none.
        rules: of the solver, as `Rules.to_json` gives them.
        guards: by column of the examples, the most that each of its groups may lose, in the metric's unit; a plan of
            which a group's measured drop is beyond is not taken.
        repair: of the plans, by what repaired cuts cost; `None` for none.
        batch, length: examples of the pass whose memory is counted; positions of each that are kept, `None` for none.
        engine: whose milliseconds count, by staircases that were measured there; `None` for eager torch.
        align: which widths may be left, as for `core.jobs.known.findings.ends_of`.
        costs: in place of an engine, the rows of a table of a device, as `core.plans.costs.device_table` reads them.
        size: the bytes that were asked for, where `left` was made of them; for words.
    """

    workload: str
    left: float
    kind: Kind = "nonzeros"
    granularities: tuple[Granularity, ...] | None = None
    samples: Samples = None
    rounds: int = ROUNDS
    device: str = "cpu"
    criterion: str | None = None
    rules: tuple[dict[str, Any], ...] = ()
    guards: dict[str, float] = field(default_factory=dict)
    repair: str | None = None
    batch: int = 1
    length: int | None = None
    engine: str | None = None
    align: Align | None = None
    costs: tuple[dict[str, Any], ...] = ()
    size: int | None = None

    def __post_init__(self) -> None:
        checked_repair(self.repair)
        checked_engine(self.engine, self.kind)
        checked_steps(self.align)
        object.__setattr__(self, "costs", checked_costs(self.costs, self.engine, self.kind))
        checked_left(self.left, self.kind)
        if self.granularities is not None:
            object.__setattr__(self, "granularities", checked_granularities(self.granularities))
        check_samples(self.samples)
        checked_count("the number of rounds", self.rounds)
        if self.criterion is not None:
            checked_criterion(self.criterion)
        if not isinstance(self.rules, list | tuple):
            raise SecateurError(f"rules are a list of objects with a verb each; got {self.rules!r}")
        if any(rule.verb == "lock" for rule in Rules.from_json(list(self.rules)).rules):
            raise SecateurError("a lock keeps what a plan has, and refine begins with none; use never, or bounds")
        object.__setattr__(self, "rules", tuple(self.rules))
        object.__setattr__(self, "guards", checked_guards(self.guards))


def checked_left(left: Any, kind: Any) -> float:
    """What may be left of a cost, a fraction in (0, 1].

    Raises:
        SecateurError: it is none, or there is no such cost.
    """
    if kind not in KINDS:
        raise SecateurError(f"no cost {kind!r}; choose one of {', '.join(KINDS)}")
    if not 0 < as_float(left) <= 1:
        raise SecateurError(
            f"what may be left of the {kind} is a fraction in (0, 1], got {left}. Given a percentage? Divide by 100."
        )
    return float(left)


def checked_engine(engine: Any, kind: Any) -> None:
    """An engine whose milliseconds are the cost, or `None`.

    Raises:
        SecateurError: there is no such engine, nothing can be timed on it here, or the cost is another.
    """
    if engine is None:
        return
    if kind != "milliseconds":
        raise SecateurError(f"an engine is for a cost of milliseconds, and the cost is {kind}; ask for one of the two")
    check_timed(engine)


def checked_costs(costs: Any, engine: Any, kind: Any) -> tuple[dict[str, Any], ...]:
    """Rows of a table of milliseconds, in a tuple.

    Raises:
        SecateurError: the cost is another, or an engine is named too.
    """
    if not isinstance(costs, list | tuple) or not all(isinstance(row, Mapping) for row in costs):
        raise SecateurError(f"costs are rows such as {{'target': 'fc1', 'width': 8, 'milliseconds': 1}}; got {costs!r}")
    if costs and kind != "milliseconds":
        raise SecateurError(f"a table of milliseconds is for that cost, and the cost is {kind}; ask for one of the two")
    if costs and engine is not None:
        raise SecateurError(
            f"a table of costs and the engine {engine} both say whose milliseconds count; leave one out"
        )
    return tuple(dict(row) for row in costs)


def checked_granularities(given: Any) -> tuple[Granularity, ...]:
    """Granularities as given, in a tuple.

    Raises:
        SecateurError: none.
    """
    if isinstance(given, str) or not given:
        raise SecateurError(f"granularities must be several such as ('weight',) or ('channel', 'head'); got {given!r}")
    for one in given:
        if is_pattern(one):
            raise SecateurError(f"patterns such as {one} cannot be solved for: they have no sparsity to choose")
        if one not in (*FRACTIONAL, *WHOLE):
            raise SecateurError(f"no granularity {one!r}; choose of {', '.join((*FRACTIONAL, *WHOLE))}")
    return tuple(dict.fromkeys(given))


def checked_guards(given: Any) -> dict[str, float]:
    """The most that each group of a column may lose, by column.

    Raises:
        SecateurError: no such mapping.
    """
    if not isinstance(given, Mapping):
        raise SecateurError(f'guards are a mapping such as {{"class": 0.02}}, of columns to drops; got {given!r}')
    for column, limit in given.items():
        if not isinstance(column, str) or not column or not 0 <= as_float(limit) < float("inf"):
            raise SecateurError(
                f"a guard is a column and a drop of at least 0, in the metric's unit; got {column!r}: {limit!r}"
            )
    return {column: float(limit) for column, limit in given.items()}


def checked_count(what: str, n: Any) -> int:
    """A whole number of at least 1."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise SecateurError(f"{what} must be a whole number of at least 1; got {n!r}")
    return n


def checked_tolerance(tolerance: Any) -> float:
    """A drop above 0, in the metric's unit."""
    if not 0 < as_float(tolerance) < float("inf"):
        raise SecateurError(f"a tolerance is a drop above 0, in the metric's unit; got {tolerance!r}")
    return float(tolerance)
