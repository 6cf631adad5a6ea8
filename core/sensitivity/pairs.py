"""Pairs: whether the drops of two cuts add up, as plain values. No torch.

A plan is made of cuts that were measured alone. The interaction of two of them is what the pair costs beyond the sum of
what each costs alone: above 0, together they cost more. It is the difference of differences of a 2 × 2 factorial
design (Yates 1937), paired, for all four models see the same examples.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import SecateurError
from core.plans.plan import DEFAULT_CRITERION, Cut
from core.sensitivity.report import Estimate, State, mid_ranks
from core.sensitivity.request import Samples, SweepRequest
from core.shown import Shown
from core.workload.scale import Scale

MAX_PAIRS = 2000
BY_CHANCE = 0.05  # of 95 % intervals leave out 0 where it is the truth


@dataclass(frozen=True)
class PairsRequest:
    """Which pairs of cuts to measure, on how much data.

    Attributes:
        sparsity: of the weight cuts, in (0, 1).
        max_pairs: more are refused; n targets make n (n - 1) / 2.

    The others are those of `SweepRequest`; cuts measured alone by a sweep of the same seed and samples are known here.
    """

    workload: str
    sparsity: float = 0.5
    layers: str = ""
    heads: bool = True
    samples: Samples = None
    criterion: str = DEFAULT_CRITERION
    seed: int = 0
    device: str = "cpu"
    replay: bool = True
    threads: int | None = None
    memory: float | None = None
    max_pairs: int = MAX_PAIRS
    shard: str | None = None

    def __post_init__(self) -> None:
        if self.singles().sparsities == ():  # checks everything it shares with a sweep, which leaves 0 out
            raise SecateurError("sparsity of the pairs must be above 0: nothing would be cut")
        given: Any = self.max_pairs
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise SecateurError(f"max_pairs must be a whole number of at least 1, got {given!r}")

    def singles(self) -> SweepRequest:
        """The sweep that measures the same cuts alone."""
        return SweepRequest(
            self.workload, (self.sparsity,), self.layers, self.heads, self.samples, (self.criterion,), self.seed,
            self.device, replay=self.replay, threads=self.threads, memory=self.memory, preview=False,
            shard=self.shard,
        )  # fmt: skip


def check_n_pairs(n_targets: int, max_pairs: int = MAX_PAIRS) -> int:
    """How many pairs so many targets make.

    Raises:
        SecateurError: none, or more than `max_pairs`.
    """
    n = n_targets * (n_targets - 1) // 2
    if n == 0:
        raise SecateurError(f"{n_targets} target makes no pair; take at least two (see --layers, --heads)")
    if n > max_pairs:
        raise SecateurError(
            f"{n_targets:,} targets make {n:,} pairs, more than {max_pairs:,}; narrow them with --layers REGEX or "
            f"--no-heads, or allow them with --max-pairs {n}"
        )
    return n


@dataclass(frozen=True)
class PartResult:
    """A cut alone.

    Attributes:
        cut: what was cut.
        state, reason: as in `CellResult`.
        drop: in the unit of the report's `scale`; `None` unless measured or without effect.
    """

    cut: Cut
    state: State = "waiting"
    drop: Estimate | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PartResult":
        """Inverse of `to_json`."""
        return cls(Cut(**fields["cut"]), fields["state"], _estimate(fields["drop"]), fields["reason"])


@dataclass(frozen=True)
class PairResult:
    """Two cuts at once, beside the two alone.

    Attributes:
        a, b: the cuts, in network order.
        state: `"failed"` if one of the three measurements did, `"no effect"` if one of the two cuts has none: a
            layer that no output depends on says nothing about adding up.
        joint: the drop of both at once, paired with the dense model; in the unit of the report's `scale`, as all here.
        sum_alone: the two drops alone, added.
        interaction: `joint` less `sum_alone`, paired per example; `None` unless measured.
        reason: of a failure or of no effect.
    """

    a: Cut
    b: Cut
    state: State = "waiting"
    joint: Estimate | None = None
    sum_alone: float | None = None
    interaction: Estimate | None = None
    reason: str | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the interval of the interaction leaves out 0."""
        return self.interaction is not None and not self.interaction.low <= 0 <= self.interaction.high

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PairResult":
        """Inverse of `to_json`."""
        cuts = {key: Cut(**fields[key]) for key in ("a", "b")}
        return cls(**{**fields, **cuts, **{key: _estimate(fields[key]) for key in ("joint", "interaction")}})


def _estimate(fields: dict[str, Any] | None) -> Estimate | None:
    return Estimate(**fields) if fields else None


@dataclass(frozen=True)
class PairsSummary:
    """What all measured pairs say together.

    Attributes:
        n: pairs with an interaction.
        n_sure: of these, the ones whose 95 % interval leaves out 0.
        n_by_chance: so many would on average if no pair interacted. Pairs share cuts and examples, so the number that
            does varies widely around it: 2 to 20 around 9 for 231 pairs of `fashion-resnet` at 50 %, signs flipped.
        mean: of the interactions; its sign says whether adding up promises too much.
        mean_size: of their absolute values, the noise of each included.
        spearman, pearson: between the sum of the drops alone and the joint drop, in [-1, 1]; `None` with fewer than 3
            pairs, or where one of the two is the same everywhere.
    """

    n: int
    n_sure: int
    n_by_chance: float
    mean: float
    mean_size: float
    spearman: float | None
    pearson: float | None


@dataclass(frozen=True)
class PairsReport(Shown):
    """A run over pairs, finished or not.

    Attributes:
        run, workload: as in `SensitivityReport`.
        metric: of the workload.
        scale: in which drops are added and compared: the metric's own, but the logarithm of one that is an exponential
            (perplexity: nats per token), for such drops multiply.
        dense: the dense model's metric, in the metric's unit; `None` before it is measured.
        parts: the cuts alone, in network order.
        pairs: every two of them, once.
        mean: of all measured interactions with its interval, paired over the examples; `None` before the end, and for
            metrics of the whole set.
    """

    run: str
    workload: str
    metric: Scale
    scale: Scale
    dense: Estimate | None
    parts: tuple[PartResult, ...]
    pairs: tuple[PairResult, ...]
    mean: Estimate | None = None

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values, the summary among them."""
        summary = self.summary()
        return {
            "run": self.run,
            "workload": self.workload,
            "metric": asdict(self.metric),
            "scale": asdict(self.scale),
            "dense": asdict(self.dense) if self.dense else None,
            "mean": asdict(self.mean) if self.mean else None,
            "summary": asdict(summary) if summary else None,
            "parts": [part.to_json() for part in self.parts],
            "pairs": [pair.to_json() for pair in self.pairs],
        }

    def strongest(self, limit: int | None = None) -> tuple[PairResult, ...]:
        """Measured pairs, those whose interval leaves out 0 first, then by the size of the interaction."""
        known = [(pair, pair.interaction.value) for pair in self.pairs if pair.interaction is not None]
        known.sort(key=lambda item: (not item[0].is_sure, -abs(item[1])))
        return tuple(pair for pair, _ in known[:limit])

    def summary(self) -> PairsSummary | None:
        """What all measured pairs say together; `None` while there is none."""
        known = [
            (pair.interaction.value, pair.sum_alone, pair.joint.value)
            for pair in self.pairs
            if pair.interaction is not None and pair.sum_alone is not None and pair.joint is not None
        ]
        if not known:
            return None
        values, sums, joints = zip(*known, strict=True)
        return PairsSummary(
            len(known),
            sum(pair.is_sure for pair in self.pairs),
            BY_CHANCE * len(known),
            statistics.fmean(values),
            statistics.fmean(map(abs, values)),
            _correlation(mid_ranks(sums), mid_ranks(joints)),
            _correlation(sums, joints),
        )


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return statistics.correlation(one, other)
