"""Measuring pairs: every two of some cuts at once, and each alone, from the dense weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.cells import plan_cells
from core.sensitivity.joint_sweep import JointSweep, PairNews
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.pairs import PairResult, PairsRequest, PartResult, check_n_pairs
from core.sensitivity.report import Estimate
from core.sensitivity.search.shard import mine
from core.workload.target import Target


def pair_cuts(targets: Sequence[Target], request: PairsRequest) -> tuple[Cut, ...]:
    """The cuts whose pairs are measured, in network order; without those of which the criterion says nothing.

    Raises:
        SecateurError: no target matches, only one does, or they make too many pairs.
    """
    cuts = tuple(cell.cut for cell in plan_cells(targets, request.singles()) if cell.state != "failed")
    check_n_pairs(len(cuts), request.max_pairs)
    return cuts


@dataclass(frozen=True)
class PairsFound:
    """What came of it, as in `PairsReport`."""

    parts: tuple[PartResult, ...]
    pairs: tuple[PairResult, ...]
    mean: Estimate | None


class PairSweep(JointSweep):
    """Cuts alone and in pairs on their way from waiting to measured.

    Args:
        measurement: entered.
        cuts: from `pair_cuts`.
        replay: compute of a plan only what it changes.
        on_news: called about twice a second.
    """

    def __init__(
        self, measurement: Measurement, cuts: Sequence[Cut], replay: bool, on_news: Callable[[PairNews], None]
    ) -> None:
        self._cuts = tuple(cuts)
        pairs = [(a, b, SparsityPlan((cuts[a], cuts[b]))) for a, b in combinations(range(len(cuts)), 2)]
        alone = [SparsityPlan((cut,)) for cut in cuts]
        super().__init__(measurement, [cut.target for cut in cuts], alone, pairs, replay, on_news)

    def take(self, shard: str | None) -> None:
        """Measure one of several machines' parts alone; a pair belongs to whoever has its first cut."""
        if shard is not None:
            pairs = combinations(range(len(self._cuts)), 2)
            targets = [self._cuts[p].target for p in (*range(len(self._cuts)), *(a for a, _ in pairs))]
            self.only(p for p, is_mine in enumerate(mine(targets, shard)) if is_mine)

    def found(self) -> PairsFound:
        """Results of what has been measured on all batches; the rest waits."""
        pairs = tuple(combinations(self._cuts, 2))
        if not self.is_measured:
            return PairsFound(tuple(map(PartResult, self._cuts)), tuple(PairResult(a, b) for a, b in pairs), None)
        alone, joint = self.results()
        return PairsFound(
            tuple(PartResult(cut, one.state, one.drop, one.reason) for cut, one in zip(self._cuts, alone, strict=True)),
            tuple(
                PairResult(a, b, one.state, one.joint, one.sum_alone, one.interaction, one.reason)
                for (a, b), one in zip(pairs, joint, strict=True)
            ),
            self.mean([p for p, one in enumerate(joint) if one.interaction is not None]),
        )
