"""Examples that a cut may flip are read whole; of the others a random sample says how few are flipped.

Where every score is 0 or 1, hardly any cut near a tolerance flips an example that the dense model is sure of. So an
order is: some examples at random; then all that are `likely` to flip, those first that a cut could make better; then
the rest at random. Of the likely nothing is estimated. How many of the rest are lost, or won, at most, is a question to
an urn (`core.sensitivity.statistics.urn`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
# Chance, for those lost and those won each, that an interval shown after those at random ever misses what all examples
# say; the rest of the 5 % is for the intervals before.
MISSED = 0.005
# Belief, before the rest tell: flipped among them are as many as of so many examples, at a share of the likely's rate.
BELIEF, SHARE = 0.05, 0.01
# Of all examples, so many are read at random first, in whole batches and one at least: by a search, which looks at few
# cells, and by a race, which looks at all; most of those are within with hardly a flip.
FIRST_OF_SEARCH, FIRST_OF_RACE = 0.05, 0.09
LIKELY = 0.2  # of all examples, those of the smallest margins; by replays, tests/benchmarks/agreement.py
LATER = 0.5  # of the rate at which likely ones flipped so far, for those that are read later and of larger margins
WRONG = 0.1  # of all examples, so many more that the dense model is wrong on: then nothing of the rest can be won
# Of a search that forecasts: so many examples at random first, in whole batches; batches into which one is cut; and the
# share of each that is drawn at random.
FEWEST, STEPS, AT_RANDOM = 50, 2, 0.1
LEAST_BATCHES = 4  # of examples: of fewer there is too little to choose
MOST = 0.5  # of all examples: where more are likely to flip there is little to leave out


@dataclass(frozen=True)
class Census:
    """What is known of the examples of a search before a cell is measured.

    Attributes:
        right: whether the dense model is right on an example, bool (n,), in the search's order.
        likely: which examples are read whole, bool (n,).
        rank: of the likely ones, in which order those are read that were not read at random, int (n,); of no others.
        n_random: so many, from the first on, are a random sample of all.
        n_whole: after so many all that are likely were read.
        n_steps: batches that the likely ones are read in.
        drawn: which were drawn at random, whatever their margin, bool (n,).
    """

    right: NDArray[np.bool_]
    likely: NDArray[np.bool_]
    rank: NDArray[np.int64]
    n_random: int
    n_whole: int
    n_steps: int
    drawn: NDArray[np.bool_]

    @cached_property
    def at_random(self) -> "Census":
        """The same examples while those read are a random sample of all: none is read whole."""
        return replace(self, likely=np.zeros_like(self.likely), n_random=0, n_whole=0)

    def look(self, dense: Scores, pruned: Scores, tolerance: float, level: float = LEVEL_OF_THE_REST) -> Look:
        """What the examples so far say of all, (n,) each, more than `n_random`.

        As `curtailment.look`, but exactly: whether the upper end of Tango's interval on all examples is within the
        tolerance hangs on how many are lost and won alone; it rises with the one and falls with the other.
        """
        told, n = len(dense), len(self.likely)
        if told < self.n_whole:
            return self._half_way(dense, pruned, tolerance)
        lost, won = self._seen(dense, pruned)
        # one bound of the two each way; where nothing is left to be won there is but one
        one = level if won.drawn == won.total else level / 2
        beyond = tango(lost.bounds(one)[0], won.bounds(one)[1], n)[1] > tolerance
        within = tango(lost.bounds(level)[1], won.certain, n)[1] <= tolerance
        belief = BELIEF * lost.total
        rate = (lost.changed + belief * SHARE * max(lost.certain, 1) / max(n - lost.total, 1)) / (lost.drawn + belief)
        left = lost.total - lost.drawn
        high = tango(lost.certain + rate * left, won.about, n)[1]
        verdict: Verdict | None = "beyond" if beyond else "within" if within else None
        return Look(verdict, high, math.sqrt(left * rate) / n, told)

    def _half_way(self, dense: Scores, pruned: Scores, tolerance: float) -> Look:
        """While the likely ones are read: what is certain, and a forecast, on which hangs which cell is wanted next."""
        told, n, about = len(dense), len(self.likely), []
        lost, won = self._seen(dense, pruned)
        if self.right[told:].all():  # nothing can be won any more, and what is lost is lost for good
            least = tango(lost.certain, won.certain, n)[1]
            if least > tolerance:
                return Look("beyond", least, 0.0, told)
        read = self.read_whole(told)
        for seen, could in ((lost, self.right), (won, ~self.right)):
            of_read = (seen.certain - seen.changed) / max(int((could & read).sum()), 1)
            later = int((could & self.likely & ~read).sum())
            about.append(seen.certain + LATER * of_read * later + seen.rate * (seen.total - seen.drawn - later))
        high = tango(min(about[0], n - about[1]), about[1], n)[1]
        return Look(None, high, math.sqrt(sum(about)) / 2 / n, told)

    def drop(self, dense: Scores, pruned: Scores) -> Estimate:
        """The drop on all examples, from those so far, more than `n_random`; its interval holds at every moment."""
        (lost, won), n, missed = self._seen(dense, pruned), len(self.likely), self._missed(len(dense))
        (least_lost, most_lost), (least_won, most_won) = lost.bounds(missed), won.bounds(missed)
        low, high = tango(least_lost, most_won, n)[0], tango(most_lost, least_won, n)[1]
        return Estimate((lost.about - won.about) / n, low, high, len(dense))

    def metric(self, scale: Scale, dense: Scores, pruned: Scores) -> Estimate:
        """The metric on all examples; as `drop`."""
        (lost, won), n, missed = self._seen(dense, pruned), len(self.likely), self._missed(len(dense))
        (least_lost, most_lost), (least_won, most_won) = lost.bounds(missed), won.bounds(missed)
        right = int(self.right.sum())
        low, high = right - most_lost + least_won, right - least_lost + most_won
        value = (right - lost.about + won.about) / n
        return Estimate(value, share_of(scale, low, n).low, share_of(scale, high, n).high, len(dense))

    def _missed(self, told: int) -> float:
        """Chance that a bound shown after so many is wrong; half of it is for all steps on the way."""
        return MISSED / 2 if told >= self.n_whole else MISSED / 2 / self.n_steps

    def read_whole(self, told: int) -> NDArray[np.bool_]:
        """Likely ones up to the last read as one, (n,): of all others, those drawn so far are a random sample."""
        if told >= self.n_whole:
            return self.likely
        return self.likely & (self.rank <= self.rank[:told][~self.drawn[:told]].max(initial=-1))

    def _seen(self, dense: Scores, pruned: Scores) -> "tuple[_Seen, _Seen]":
        """Examples that are lost, and that are won."""
        told = len(dense)
        rest, found = ~self.read_whole(told), []
        for changed, could in ((dense > pruned, self.right), (dense < pruned, ~self.right)):
            urn = could & rest
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
        return self.certain + self.rate * (self.total - self.drawn)

    @property
    def rate(self) -> float:
        """Of those drawn."""
        return self.changed / self.drawn if self.drawn else 0.0


def planned(
    margins: Scores,
    dense: Scores,
    sizes: Sequence[int],
    batch_size: int,
    key: NDArray[np.int64],
    first: float = FIRST_OF_SEARCH,
) -> tuple[NDArray[np.int64], list[int], Census] | None:
    """The order of a search with a census; `None` where it could leave out too little.

    Args:
        margins: how far each example is from being scored otherwise, at least 0, (n,), in a random order.
        dense: scores of the dense model, 0 or 1, (n,).
        sizes: examples in each batch of the random order.
        batch_size: examples in a batch; the likely ones fill whole batches, so that there are few sizes.
        key: by which equal margins are told apart: of each example a number that owes nothing to its place in the
            order, (n,). By place, the first of those that are equal would be likely and the rest no random sample.
        first: of all examples, so many are read at random first.

    Returns:
        Places in the order so far, (n,); the sizes of the new batches; and what the search must know.
    """
    n, right = len(margins), dense == 1
    if not _is_hits(dense):
        return None
    ends = np.cumsum(sizes)
    n_random = int(ends[np.searchsorted(ends, min(batch_size * max(1, round(first * n / batch_size)), n))])
    by_margin = np.lexsort((key, margins))
    likely = _likely(by_margin, right)
    wanted = math.ceil(max(1, likely[n_random:].sum()) / batch_size) * batch_size
    free = by_margin[(by_margin >= n_random) & ~likely[by_margin]]
    filled = free[: wanted - int(likely[n_random:].sum())]
    if len(filled):
        # of the random first ones too, or what is left of them would be no sample of what is left of the others
        likely[by_margin[: int(np.flatnonzero(by_margin == filled[-1])[0]) + 1]] = True
    if likely.sum() > MOST * n or n - n_random - wanted < batch_size:
        return None
    after = np.arange(n_random, n)
    chosen, rest = after[likely[after]], after[~likely[after]]
    chosen = chosen[np.lexsort((key[chosen], margins[chosen], right[chosen]))]  # those first that could be won
    rank = _ranks(np.lexsort((key, margins, right, ~likely)))
    order = np.concatenate([np.arange(n_random), chosen, rest])
    kept = [size for size, end in zip(sizes, ends, strict=True) if end <= n_random]
    sizes = [*kept, *[batch_size] * (wanted // batch_size), *_cut(len(rest), batch_size)]
    drawn = np.ones(n, dtype=bool)
    drawn[n_random : n_random + wanted] = False
    steps = wanted // batch_size
    return order, sizes, Census(right[order], likely[order], rank[order], n_random, n_random + wanted, steps, drawn)


def interleaved(
    margins: Scores, dense: Scores, sizes: Sequence[int], batch_size: int, key: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[int], Census] | None:
    """As `planned`, for a search that forecasts what it has not read (`calibrated.py`).

    Of the first batches one or two are random. Those after them are small, for a cell is often decided within a few;
    each holds the smallest margins that are left, and some examples at random, by which the forecasts are audited. Of
    all that is not read whole those at random are a random sample at every step: a census can go on from any of them.
    """
    n, right = len(margins), dense == 1
    if not _is_hits(dense) or batch_size < 2:  # a batch holds one of each, and no more than the workload says
        return None
    by_margin = np.lexsort((key, margins))
    likely = _likely(by_margin, right)
    ranked = np.concatenate([by_margin[likely[by_margin]], by_margin[~likely[by_margin]]])
    ends = np.cumsum(sizes)
    n_random, step = int(ends[min(int(np.searchsorted(ends, FEWEST)), len(ends) - 1)]), max(2, batch_size // STEPS)
    n_drawn = max(1, round(AT_RANDOM * step))
    read = np.zeros(n, dtype=bool)
    read[:n_random] = True
    order, drawn = [np.arange(n_random)], [np.ones(n_random, dtype=bool)]
    at_random, at_rank, n_read = n_random, 0, n_random  # of each way, all before are read
    while at_rank < likely.sum():
        if n - n_read < step + batch_size:
            return None
        taken = at_random + np.flatnonzero(~read[at_random : at_random + n_drawn + at_rank])[:n_drawn]
        read[taken] = True
        at_random = int(taken[-1]) + 1
        at = at_rank + np.flatnonzero(~read[ranked[at_rank : at_rank + n_read + step]])[: step - n_drawn]
        read[ranked[at]] = True
        at_rank = int(at[-1]) + 1
        n_read += step
        order.append(np.concatenate([taken, ranked[at]]))
        drawn.append(np.arange(step) < n_drawn)
    if at_rank > MOST * n:
        return None
    rest = np.flatnonzero(~read)
    n_whole, steps = n - len(rest), len(order) - 1
    whole = np.zeros(n, dtype=bool)
    whole[ranked[:at_rank]] = True
    new = np.concatenate([*order, rest])
    kept = [size for size, end in zip(sizes, ends, strict=True) if end <= n_random]
    sizes = [*kept, *[step] * steps, *_cut(len(rest), batch_size)]
    was_drawn = np.concatenate([*drawn, np.ones(len(rest), dtype=bool)])
    return new, sizes, Census(right[new], whole[new], _ranks(ranked)[new], n_random, n_whole, steps, was_drawn)


def _is_hits(scores: Scores) -> bool:
    return bool(((scores == 1) | (scores == 0)).all())


def _likely(by_margin: NDArray[np.int64], right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    likely = np.zeros(len(right), dtype=bool)
    likely[by_margin[: round(LIKELY * len(right))]] = True
    if (~right & ~likely).sum() <= WRONG * len(right):
        likely |= ~right
    return likely


def _ranks(order: NDArray[np.int64]) -> NDArray[np.int64]:
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _cut(n: int, size: int) -> list[int]:
    return [size] * (n // size) + ([n % size] if n % size else [])


def share_of(scale: Scale, right: int, n: int) -> Estimate:
    """The metric of n examples of which so many score 1."""
    return metric_estimate(scale, (np.arange(n) < right).astype(np.float64))
