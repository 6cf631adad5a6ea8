"""What a lottery-ticket experiment is asked to do; no torch."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from core.errors import SecateurError
from core.plans.checked import as_float
from core.recovery.settings import FineTuning
from core.sensitivity.request import Samples, check_samples

Scope = Literal["global", "layer"]
SCOPES: tuple[Scope, ...] = ("global", "layer")


@dataclass(frozen=True)
class TicketRequest:
    """Train from initial weights, prune by magnitude, rewind, train again (Frankle & Carbin 2019, arXiv:1803.03635).

    Attributes:
        workload: a sample's name or the path of a workload file; it has training data. Parameters that it froze stay
            as they are, uncut, unless it froze all.
        rounds: how often is pruned.
        per_round: share of the remaining weights that goes in each round, in (0, 1).
        scope: whether the smallest weights of all layers together go, or of each layer.
        rewind_step: step k of the dense training whose weights are rewound to; 0 for the initial weights. Above 0 as
            Frankle et al. 2020, arXiv:1912.05671: of n steps a ticket and a random mask make the n - k that follow, at
            the dense run's place in the learning rate and in the order of examples. Beyond the paper they go on with
            its optimiser's memory too, so that a mask that keeps everything gives the dense model. Re-initialised
            weights have no such past, and make all n.
        seeds: of the initial weights, the order of examples and the controls; at least two for an interval.
        fine_tuning: how each training goes, always from the labels; its own seed is not looked at.
        samples: evaluation examples, of the order that seed 0 draws; all are those that are not set aside.
        device: where the model runs.
        tolerance: how much worse than dense still counts as not worse, in the metric's unit; a fraction for accuracy.
            At 0 the interval must show that the ticket is at least as good, which equal models seldom pass.
    """

    workload: str
    rounds: int = 10
    per_round: float = 0.2
    scope: Scope = "global"
    rewind_step: int = 0
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    fine_tuning: FineTuning = field(default_factory=lambda: FineTuning(distillation=0.0))
    samples: Samples = "all"
    device: str = "cpu"
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))
        check_samples(self.samples)
        if self.scope not in SCOPES:
            raise SecateurError(f"no scope {self.scope!r}; choose one of {list(SCOPES)}")
        for name, value, least in (("rounds", self.rounds, 1), ("rewind_step", self.rewind_step, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise SecateurError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if not 0 < as_float(self.per_round) < 1:
            raise SecateurError(f"per_round must be a fraction in (0, 1), such as 0.2, got {self.per_round!r}")
        if not as_float(self.tolerance) >= 0:
            raise SecateurError(f"tolerance must be a number of at least 0, got {self.tolerance!r}")
        whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in self.seeds)
        if len(self.seeds) < 2 or len(set(self.seeds)) < len(self.seeds) or not whole:
            raise SecateurError(
                f"seeds must be at least two different whole numbers from 0 on, got {self.seeds!r}; "
                "an interval over seeds needs them"
            )
        if self.fine_tuning.distillation or self.fine_tuning.hints:
            raise SecateurError("a ticket learns from the labels alone; set distillation to 0 and leave hints out")

    def settings(self, seed: int) -> FineTuning:
        """How the trainings of one seed go."""
        return replace(self.fine_tuning, seed=seed)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "seeds": list(self.seeds), "fine_tuning": self.fine_tuning.to_json()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TicketRequest":
        """Reverse of `to_json`."""
        settings = dict(fields["fine_tuning"])
        return cls(**{**fields, "seeds": tuple(fields["seeds"]), "fine_tuning": FineTuning(**settings)})
