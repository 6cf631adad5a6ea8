"""Examples that a cut may flip are read whole; of the others a random sample says how few are flipped.

Where every score is 0 or 1, hardly any cut near a tolerance flips an example that the dense model is sure of. So an
order is: some examples at random; then all that are `likely` to flip, those first that a cut could make better; then
the rest at random. Of the likely nothing is estimated. How many of the rest are lost, or won, at most, is a question to
an urn (`core.sensitivity.statistics.urn`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.report import Estimate
from core.sensitivity.search.curtailment import Look, Verdict
from core.sensitivity.statistics.intervals import Scores, metric_estimate, tango
from core.sensitivity.statistics.urn import bounds
from core.workload.scale import Scale

# Chances of a false verdict, at most, each way: before the likely are read, and after. Together as large as `LEVEL` of
# `curtailment.py`, which a search without a census spends.
LEVEL_AT_RANDOM, LEVEL_OF_ALL, LEVEL_OF_THE_REST = 0.003, 0.006, 0.021
# Chance, for those lost and those won each, that an interval after the census ever misses what all examples say.
MISSED = 0.0125
# Belief, before the rest tell: flipped among them are as many as of so many examples, at a share of the likely's rate.
BELIEF, SHARE = 0.05, 0.01
# Of all examples, so many are read at random first, in whole batches and one at least: by a search, which looks at few
# cells, and by a race, which looks at all; most of those are within with hardly a flip.
FIRST_OF_SEARCH, FIRST_OF_RACE = 0.05, 0.09
LIKELY = (
    0.2  # of all examples, those of the smallest margins; with replays of three recordings: tests/benchmarks/census.py
)
WRONG = 0.1  # of all examples, so many more that the dense model is wrong on: then nothing of the rest can be won
LEAST_BATCHES = 4  # of examples: of fewer there is too little to choose
MOST = 0.5  # of all examples: where more are likely to flip there is little to leave out


@dataclass(frozen=True)
class Census:
    """What is known of the examples of a search before a cell is measured.

    Attributes:
        right: whether the dense model is right on an example, bool (n,), in the search's order.
        likely: which examples are read whole, bool (n,).
        n_random: so many, from the first on, are a random sample of all.
        n_whole: after so many all that are likely were read.
    """

    right: NDArray[np.bool_]
    likely: NDArray[np.bool_]
    n_random: int
    n_whole: int

    @property
    def dense(self) -> float:
        """Share that the dense model is right on."""
        return float(self.right.mean())

    @cached_property
    def at_random(self) -> "Census":
        """The same examples while those read are a random sample of all: none is read whole."""
        return Census(self.right, np.zeros_like(self.likely), 0, 0)

    def look(self, dense: Scores, pruned: Scores, tolerance: float, level: float = LEVEL_OF_THE_REST) -> Look | None:
        """What the examples so far say of all, (n,) each, more than `n_random`; `None` for nothing new.

        As `curtailment.look`, but exactly: whether the upper end of Tango's interval on all examples is within the
        tolerance hangs on how many are lost and won alone; it rises with the one and falls with the other.
        """
        told, n = len(dense), len(self.likely)
        if told < self.n_whole and not self.right[told:].all():
            return None
        lost, won = self._seen(dense, pruned)
        if told < self.n_whole:  # nothing more can be won, and what is lost is lost for good
            least = tango(lost.certain, won.certain, n)[1]
            return Look("beyond", least, 0.0, told) if least > tolerance else None
        known = won.drawn == won.total
        fewest, most = lost.bounds(level if known else level / 2)[0], lost.bounds(level)[1]
        beyond = tango(fewest, won.bounds(level if known else level / 2)[1], n)[1] > tolerance
        within = tango(most, won.certain, n)[1] <= tolerance
        belief = BELIEF * lost.total
        rate = (lost.changed + belief * SHARE * max(lost.certain, 1) / max(n - lost.total, 1)) / (lost.drawn + belief)
        left = lost.total - lost.drawn
        high = tango(lost.certain + rate * left, won.about, n)[1]
        verdict: Verdict | None = "beyond" if beyond else "within" if within else None
        return Look(verdict, high, math.sqrt(left * rate) / n, told)

    def drop(self, dense: Scores, pruned: Scores) -> Estimate:
        """The drop on all examples, from those so far, at least `n_whole`; its interval holds at every moment."""
        (lost, won), n = self._seen(dense, pruned), len(self.likely)
        (least_lost, most_lost), (least_won, most_won) = lost.bounds(MISSED), won.bounds(MISSED)
        low, high = tango(least_lost, most_won, n)[0], tango(most_lost, least_won, n)[1]
        return Estimate((lost.about - won.about) / n, low, high, len(dense))

    def metric(self, scale: Scale, dense: Scores, pruned: Scores) -> Estimate:
        """The metric on all examples; as `drop`."""
        (lost, won), n, right = self._seen(dense, pruned), len(self.likely), int(self.right.sum())
        (least_lost, most_lost), (least_won, most_won) = lost.bounds(MISSED), won.bounds(MISSED)
        low, high = (
            _share(scale, right - most_lost + least_won, n).low,
            _share(scale, right - least_lost + most_won, n).high,
        )
        return Estimate((right - lost.about + won.about) / n, low, high, len(dense))

    def _seen(self, dense: Scores, pruned: Scores) -> "tuple[_Seen, _Seen]":
        """Examples that are lost, and that are won."""
        told = len(dense)
        found = []
        for changed, could in ((dense > pruned, self.right), (dense < pruned, ~self.right)):
            urn = could & ~self.likely
            drawn = urn[:told]
            found.append(_Seen(int(changed.sum()), int(drawn.sum()), int((drawn & changed).sum()), int(urn.sum())))
        return found[0], found[1]


@dataclass(frozen=True)
class _Seen:
    """How many examples a cut changes one way.

    Attributes:
        certain: seen to be changed, of those read whole and of those drawn.
        drawn: of the rest, so many were read.
        changed: of those drawn.
        total: examples of the rest that could be changed this way.
    """

    certain: int
    drawn: int
    changed: int
    total: int

    def bounds(self, alpha: float) -> tuple[int, int]:
        """Least and most of all examples; the chance that they ever miss is `alpha`."""
        least, most = bounds(self.drawn, self.changed, self.total, alpha)
        return self.certain - self.changed + least, self.certain - self.changed + most

    @property
    def about(self) -> float:
        """Of all examples, as far as those drawn tell of the rest."""
        return self.certain + (self.changed * (self.total / self.drawn - 1) if self.drawn else 0.0)


def planned(
    margins: Scores, dense: Scores, sizes: Sequence[int], batch_size: int, first: float = FIRST_OF_SEARCH
) -> tuple[NDArray[np.int64], list[int], Census] | None:
    """The order of a search with a census; `None` where it could leave out too little.

    Args:
        margins: how far each example is from being scored otherwise, at least 0, (n,), in a random order.
        dense: scores of the dense model, 0 or 1, (n,).
        sizes: examples in each batch of the random order.
        batch_size: examples in a batch; the likely ones fill whole batches, so that there are few sizes.
        first: of all examples, so many are read at random first.

    Returns:
        Places in the order so far, (n,); the sizes of the new batches; and what the search must know.
    """
    n, right = len(margins), dense == 1
    if not (right | (dense == 0)).all():
        return None
    ends = np.cumsum(sizes)
    n_random = int(ends[np.searchsorted(ends, min(batch_size * max(1, round(first * n / batch_size)), n))])
    by_margin = np.argsort(margins, kind="stable")
    likely = np.zeros(n, dtype=bool)
    likely[by_margin[: round(LIKELY * n)]] = True
    if (~right & ~likely).sum() <= WRONG * n:
        likely |= ~right
    wanted = math.ceil(max(1, likely[n_random:].sum()) / batch_size) * batch_size
    free = by_margin[(by_margin >= n_random) & ~likely[by_margin]]
    likely[free[: wanted - int(likely[n_random:].sum())]] = True
    if likely.sum() > MOST * n or n - n_random - wanted < batch_size:
        return None
    after = np.arange(n_random, n)
    chosen, rest = after[likely[after]], after[~likely[after]]
    chosen = chosen[np.lexsort((margins[chosen], right[chosen]))]
    order = np.concatenate([np.arange(n_random), chosen, rest])
    kept = [size for size, end in zip(sizes, ends, strict=True) if end <= n_random]
    sizes = [*kept, *[batch_size] * (wanted // batch_size), *_cut(len(rest), batch_size)]
    return order, sizes, Census(right[order], likely[order], n_random, n_random + wanted)


def _cut(n: int, size: int) -> list[int]:
    return [size] * (n // size) + ([n % size] if n % size else [])


def _share(scale: Scale, right: int, n: int) -> Estimate:
    return metric_estimate(scale, (np.arange(n) < right).astype(np.float64))
