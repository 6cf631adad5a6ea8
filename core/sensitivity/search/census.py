"""Examples that a cut may flip are read whole; of the others a random sample says how few are flipped.

Where every score is 0 or 1, hardly any cut near a tolerance flips an example that the dense model is sure of. So an
order is: some examples at random; then all that are `likely` to flip, those first that a cut could make better; then
the rest at random. Of the likely nothing is estimated. How many of the rest are lost, or won, at most, is a question to
an urn (`core.sensitivity.statistics.urn`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.report import Estimate
from core.sensitivity.search.curtailment import Look
from core.sensitivity.statistics.intervals import Scores, metric_estimate, tango
from core.sensitivity.statistics.urn import most_marked
from core.workload.scale import Scale

# Chances of a false verdict, at most, each way: before the likely are read, and after. Together as large as `LEVEL` of
# `curtailment.py`, which a search without a census spends.
LEVEL_AT_RANDOM, LEVEL_OF_THE_REST = 0.006, 0.024
MISSED = 0.0125  # chance, each way, that an interval shown after the census ever misses what all examples say
# Belief, before the rest tell: flipped among them are as many as of so many examples, at a share of the likely's rate.
BELIEF, SHARE = 0.05, 0.01
LIKELY = 0.2  # of all examples, those of the smallest margins; with replays of three recordings: tests/benchmarks/census.py
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

    def look(self, dense: Scores, pruned: Scores, tolerance: float, level: float = LEVEL_OF_THE_REST) -> Look | None:
        """What the examples so far say of all, (n,) each, more than `n_random`; `None` for nothing new.

        As `curtailment.look`, but exactly: whether the upper end of Tango's interval on all examples is within the
        tolerance hangs on how many are lost and won alone; it rises with the one and falls with the other.
        """
        told, n = len(dense), len(self.likely)
        if told < self.n_whole and not self.right[told:].all():
            return None
        seen = self._seen(dense, pruned)
        if tango(seen.lost, seen.won_at_most(level), n)[1] > tolerance:
            return Look("beyond", tango(seen.lost, seen.won, n)[1], 0.0, told)
        if told < self.n_whole:
            return None
        belief = BELIEF * seen.rest
        rate = (seen.lost_of_rest + belief * SHARE * max(seen.lost, 1) / max(n - seen.rest, 1)) / (seen.drawn + belief)
        left = seen.rest - seen.drawn
        high = tango(seen.lost + rate * left, seen.won, n)[1]
        within = tango(seen.lost_at_most(level), seen.won, n)[1] <= tolerance
        return Look("within" if within else None, high, math.sqrt(left * rate) / n, told)

    def drop(self, dense: Scores, pruned: Scores) -> Estimate:
        """The drop on all examples, from those so far, at least `n_whole`; its interval holds at every moment."""
        seen, n = self._seen(dense, pruned), len(self.likely)
        low = tango(seen.lost, seen.won_at_most(MISSED), n)[0]
        high = tango(seen.lost_at_most(MISSED), seen.won, n)[1]
        return Estimate((seen.about_lost - seen.about_won) / n, low, high, len(dense))

    def metric(self, scale: Scale, dense: Scores, pruned: Scores) -> Estimate:
        """The metric on all examples; as `drop`."""
        seen, n, right = self._seen(dense, pruned), len(self.likely), int(self.right.sum())
        low = _share(scale, right - seen.lost_at_most(MISSED) + seen.won, n).low
        high = _share(scale, right - seen.lost + seen.won_at_most(MISSED), n).high
        return Estimate((right - seen.about_lost + seen.about_won) / n, low, high, len(dense))

    def _seen(self, dense: Scores, pruned: Scores) -> "_Seen":
        rest = ~self.likely
        drawn = rest[: len(dense)]
        lost, won, was_right = dense > pruned, dense < pruned, self.right[: len(dense)]
        return _Seen(
            int(lost.sum()), int(won.sum()),
            _Urn(int((drawn & was_right).sum()), int((drawn & lost).sum()), int((rest & self.right).sum())),
            _Urn(int((drawn & ~was_right).sum()), int((drawn & won).sum()), int((rest & ~self.right).sum())),
        )  # fmt: skip


@dataclass(frozen=True)
class _Urn:
    """Examples of the rest that a cut can change one way.

    Attributes:
        drawn: so many of them were read.
        changed: of those that were read.
        total: of the urn.
    """

    drawn: int
    changed: int
    total: int

    def at_most(self, alpha: float) -> int:
        """Changed ones that were not read, at most."""
        return 0 if self.drawn == self.total else most_marked(self.drawn, self.changed, self.total, alpha) - self.changed

    @property
    def about(self) -> float:
        """Changed ones that were not read, as far as those that were read tell."""
        return self.changed * (self.total / self.drawn - 1) if self.drawn else 0.0


@dataclass(frozen=True)
class _Seen:
    """How many examples a cut was seen to change.

    Attributes:
        lost, won: of all that were read.
        right, wrong: the rest on which the dense model is right, or wrong.
    """

    lost: int
    won: int
    right: _Urn
    wrong: _Urn

    @property
    def rest(self) -> int:
        """Examples that are not read whole."""
        return self.right.total + self.wrong.total

    @property
    def drawn(self) -> int:
        """Of the rest."""
        return self.right.drawn + self.wrong.drawn

    @property
    def lost_of_rest(self) -> int:
        """Of those drawn."""
        return self.right.changed

    @property
    def about_lost(self) -> float:
        """Of all examples."""
        return self.lost + self.right.about

    @property
    def about_won(self) -> float:
        """Of all examples."""
        return self.won + self.wrong.about

    def lost_at_most(self, alpha: float) -> int:
        """Of all examples."""
        return self.lost + self.right.at_most(alpha)

    def won_at_most(self, alpha: float) -> int:
        """Of all examples."""
        return self.won + self.wrong.at_most(alpha)


def planned(
    margins: Scores, dense: Scores, sizes: Sequence[int], batch_size: int
) -> tuple[NDArray[np.int64], list[int], Census] | None:
    """The order of a search with a census; `None` where it could leave out too little.

    Args:
        margins: how far each example is from being scored otherwise, at least 0, (n,), in a random order.
        dense: scores of the dense model, 0 or 1, (n,).
        sizes: examples in each batch of the random order.
        batch_size: examples in a batch; the likely ones fill whole batches, so that there are few sizes.

    Returns:
        Places in the order so far, (n,); the sizes of the new batches; and what the search must know.
    """
    n, right = len(margins), dense == 1
    if not (right | (dense == 0)).all():
        return None
    ends = np.cumsum(sizes)
    n_random = int(ends[np.searchsorted(ends, min(batch_size, n))])
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
