"""What is asked of a frontier. No torch."""

import math
from dataclasses import dataclass
from typing import Any

from core.errors import SecateurError
from core.plans.checked import Align, as_float, checked_steps
from core.plans.costs.left import KINDS, Kind
from core.plans.criteria import checked_criterion
from core.plans.repairs import checked_repair
from core.profiling.pays.request import PaysRequest, check_timed
from core.sensitivity.request import Samples, check_samples
from core.workload.target import Granularity

PEERS = ("uniform", "lamp", "erk")
SOLVER = "solver"
MOST_BUDGETS = 50
DEFAULTS = PaysRequest()


def _check_number(n: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= MOST_BUDGETS:
        raise SecateurError(
            f"a frontier takes from 2 to {MOST_BUDGETS} budgets, got {n!r}; for one plan: `secateur solve MODEL --left "
            "0.5`, then `secateur pays`"
        )


def even_budgets(n: int) -> tuple[float, ...]:
    """So many budgets between all of a cost and nothing of it, evenly apart, the largest first.

    Raises:
        SecateurError: fewer than 2, or more than `MOST_BUDGETS`.
    """
    _check_number(n)
    return tuple(round(1 - k / (n + 1), 3) for k in range(1, n + 1))


@dataclass(frozen=True)
class FrontierRequest:
    """For which budgets plans are made, and on which engine they are timed.

    Attributes:
        engine: of `TIMED_NAMES`.
        budgets: shares of the dense model's cost that may be left, each in (0, 1); kept the largest first.
        kind: of cost.
        granularities: of what may be cut; `None` for what the cost is made of.
        criterion: preferred among curves; `None` for none.
        repair: of the plans; `None` for none.
        peers: of `PEERS`: allocations that make a plan for each budget too.
        recover: epochs of fine-tuning of each plan, with its masks held; 0 for none.
        samples: examples to judge on, of those that nothing was chosen by; `None` for the house's usual number.
        threads, batch, rounds, seconds: of timing, as of `PaysRequest`; rounds and seconds for each budget.
        python: the interpreter that has the engine; `None`: the one that runs us.
        align: which widths may be left of coupled groups, in the solver's plans and the peers': multiples of a number,
            or `"auto"`: where the engine's measured steps end. `None`: `"auto"` of milliseconds, else any.

    Raises:
        SecateurError: something of it makes no sense; the message says what to give instead.
    """

    engine: str
    budgets: tuple[float, ...] = even_budgets(6)
    kind: Kind = "flops"
    granularities: tuple[Granularity, ...] | None = None
    criterion: str | None = None
    repair: str | None = None
    peers: tuple[str, ...] = PEERS
    recover: float = 0.0
    samples: Samples = None
    threads: int = DEFAULTS.threads
    batch: int = DEFAULTS.batch
    rounds: int = DEFAULTS.rounds
    seconds: float = DEFAULTS.seconds
    python: str | None = None
    align: Align | None = None

    def __post_init__(self) -> None:
        check_timed(self.engine)
        if self.kind not in KINDS:
            raise SecateurError(f"no cost {self.kind!r}; choose one of {', '.join(KINDS)}")
        for budget in self.budgets:
            if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < 1:
                raise SecateurError(
                    f"a budget is a share of the {self.kind} that may be left, in (0, 1), got {budget!r}. "
                    "Given a percentage? Divide by 100."
                )
        _check_number(len(set(self.budgets)))
        object.__setattr__(self, "budgets", tuple(sorted(set(map(float, self.budgets)), reverse=True)))
        for peer in self.peers:
            if peer not in PEERS:
                raise SecateurError(f"no peer {peer!r}; choose of {', '.join(PEERS)}")
        object.__setattr__(self, "peers", tuple(dict.fromkeys(self.peers)))
        if self.criterion is not None:
            checked_criterion(self.criterion)
        checked_repair(self.repair)
        if not 0 <= as_float(self.recover) < math.inf:
            raise SecateurError(f"epochs of recovery must be a number of at least 0; got {self.recover!r}")
        if self.recover and self.repair:
            raise SecateurError(
                f"recovery trains from the dense weights, so the plans' repair, {self.repair}, would be lost; ask for "
                "one of the two"
            )
        check_samples(self.samples)
        checked_steps(self.align)
        PaysRequest(
            (self.engine,), self.threads, self.batch, self.rounds, self.seconds
        )  # which knows what these may be

    @property
    def makers(self) -> tuple[str, ...]:
        """Who makes a plan for each budget, the solver first."""
        return (SOLVER, *self.peers)

    @property
    def steps(self) -> Align:
        """What `align` comes to."""
        if self.align is None:
            return "auto" if self.kind == "milliseconds" else 1
        return self.align

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "FrontierRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        lists = {name: tuple(fields[name]) for name in ("budgets", "peers")}
        kinds = fields["granularities"]
        return cls(**{**fields, **lists, "granularities": tuple(kinds) if kinds is not None else None})
