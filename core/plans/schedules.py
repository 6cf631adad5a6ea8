"""Schedules: sparsity as a function of the round. A new one is a function and a line in `SCHEDULES`. No torch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from types import MappingProxyType

from core.errors import SecateurError
from core.plans.checked import as_float, checked_sparsity
from core.plans.plan import SparsityPlan

Shape = Callable[[float, float, float], float]  # (initial, final, share of the rounds that are done in (0, 1]) -> now
PER_ROUND = 0.2  # of what remains goes in each round of Frankle & Carbin's experiments


def one_shot(initial: float, final: float, done: float) -> float:
    """All in the first round. Source: Han et al. 2015, arXiv:1506.02626."""
    return final


def linear(initial: float, final: float, done: float) -> float:
    """The same share of all weights in every round."""
    return initial + (final - initial) * done


def cubic(initial: float, final: float, done: float) -> float:
    """Much at first, when there is much to spare, and little at last. Source: Zhu & Gupta 2017, arXiv:1710.01878."""
    return final + (initial - final) * (1 - done) ** 3


def geometric(initial: float, final: float, done: float) -> float:
    """The same share of what remains in every round. Source: Frankle & Carbin 2019, arXiv:1803.03635."""
    return 1 - (1 - initial) * ((1 - final) / (1 - initial)) ** done


SCHEDULES: Mapping[str, Shape] = MappingProxyType(
    {"one_shot": one_shot, "linear": linear, "cubic": cubic, "geometric": geometric}
)


def rounds_for(initial: float, final: float, per_round: float = PER_ROUND) -> int:
    """The fewest rounds that reach `final` when none removes more than `per_round` of what remains."""
    return max(1, math.ceil(math.log((1 - final) / (1 - initial)) / math.log(1 - per_round) - 1e-9))


def usual_rounds(name: str, initial: float, final: float) -> int:
    """Rounds of a schedule of `SCHEDULES` if nobody says how many; 1 of sparsities that no schedule can have."""
    if name == "one_shot":
        return 1
    if name == "geometric":
        return rounds_for(initial, final) if 0 <= initial <= final < 1 else 1
    return 5


def usual_rounds_of_plan(name: str, initial: float, plan: SparsityPlan) -> int:
    """The same of a plan, where every target goes its own way: as many as the one that loses most needs.

    What goes as a whole, heads say, counts as losing half: it goes one after the other.
    """
    deepest = max((cut.sparsity if cut.sparsity is not None else 0.5 for cut in plan.cuts), default=0.5)
    return usual_rounds(name, min(initial, deepest), deepest)


@dataclass(frozen=True)
class Schedule:
    """How sparse a model is after each round.

    Attributes:
        name: one of `SCHEDULES`, or `"given"`.
        initial_sparsity: what it starts from, in [0, 1); the first round goes beyond.
        final_sparsity: after the last round, in [0, 1), not below `initial_sparsity`.
        num_iterations: rounds, at least 1. One-shot has one.
        given: of the schedule `"given"` the sparsity after each round, never falling; the rest follows from it.

    Raises:
        SecateurError: something of this is not so.
    """

    name: str = "cubic"
    initial_sparsity: float = 0.0
    final_sparsity: float = 0.9
    num_iterations: int = 5
    given: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.given or self.name == "given":
            self._check_given()
            return
        if self.name not in SCHEDULES:
            raise SecateurError(f"no schedule {self.name!r}; choose one of {[*SCHEDULES, 'given']}")
        initial = checked_sparsity(self.initial_sparsity, " to begin with")
        final = checked_sparsity(self.final_sparsity, " to end with")
        if final < initial:
            raise SecateurError(
                f"final_sparsity {final:g} is below initial_sparsity {initial:g}: weights that are gone do not come "
                "back; exchange the two"
            )
        n = self.num_iterations
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise SecateurError(f"num_iterations must be a whole number of at least 1, got {n!r}")
        if self.name == "one_shot" and n != 1:
            raise SecateurError(f"one_shot prunes in 1 iteration, got num_iterations={n}; leave it at 1")

    def _check_given(self) -> None:
        if self.name != "given" or not self.given:
            raise SecateurError('sparsities of one\'s own go with the schedule "given", and it needs at least one')
        values = [checked_sparsity(as_float(value), " of a round") for value in self.given]
        falls = next(((a, b) for a, b in pairwise(values) if b < a), None)
        if falls:
            raise SecateurError(
                f"the given sparsities fall from {falls[0]:g} to {falls[1]:g}: weights that are gone do not come back; "
                "give them in ascending order"
            )
        object.__setattr__(self, "given", tuple(values))
        object.__setattr__(self, "initial_sparsity", 0.0)
        object.__setattr__(self, "final_sparsity", values[-1])
        object.__setattr__(self, "num_iterations", len(values))

    def sparsities(self, final: float | None = None) -> tuple[float, ...]:
        """Sparsity after each round, one per round, never falling; the last is `final_sparsity` to the bit.

        Args:
            final: of one target, which ends there instead; it starts from no more than that.
        """
        end = self.final_sparsity if final is None else final
        n = self.num_iterations
        start = min(self.initial_sparsity, end)
        if self.given:
            scale = 0.0 if self.final_sparsity == 0 else end / self.final_sparsity
            found = [value * scale for value in self.given]
        else:
            found = [SCHEDULES[self.name](start, end, i / n) for i in range(1, n + 1)]
        # rounding errors must neither leave the range nor make a schedule fall
        return (*accumulate((min(max(value, start), end) for value in found[:-1]), max), end)

    def shares(self) -> tuple[float, ...]:
        """Share of the way to the end after each round, in [0, 1]; for what goes as a whole or not at all."""
        way = self.final_sparsity - self.initial_sparsity
        if way == 0:
            return (1.0,) * self.num_iterations
        return tuple(min(1.0, (value - self.initial_sparsity) / way) for value in self.sparsities())
