"""What a cut will do to the examples that were not read, forecast by how sure the dense model is of each.

A cut moves the margin of an example at random: by `shift` scales on average, Student's t beyond; and of those that the
model is sure of, and right on, a share `lost` is lost whatever their margin (a cut that forgets a class). Which scales,
shifts and shares there are is a grid; how likely each is of a cell, its own examples say, and how common, all cells
together (empirical Bayes). A cell needs no more once its forecast is `ERRORS` standard errors from the tolerance.

Nothing here is guaranteed. Some examples of every batch are drawn at random, and two audits over all cells hold what
happens to them against what was forecast: a test martingale of what is told next, and the same sum, looking back, of
what cells are decided by, which sees what no cell is told of any more. By either the forecasts are given up for good.

Sources: Kossen et al. 2021, arXiv:2103.05331 (active testing); Angelopoulos et al. 2023, arXiv:2301.09633 (forecasts
that a sample sets right); Waudby-Smith & Ramdas 2023, JRSS-B 86:1 (betting on a conditional mean).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from core.sensitivity.report import Estimate
from core.sensitivity.search.census import LIKELY, Census, share_of
from core.sensitivity.search.curtailment import Look, Verdict
from core.sensitivity.statistics.intervals import Scores, tango
from core.workload.scale import Scale

Floats = NDArray[np.float64]
# All by replays of recorded sweeps, tests/benchmarks/agreement.py --rule calibrated.
ERRORS = 2.6  # standard errors between a forecast and the tolerance
OFF = 0.3  # of what is forecast of the examples that are left, so much is added to its error: no model is right
SCALES = np.geomspace(0.02, 6.0, 16)  # of a cut's moves, in medians of the margins
SHIFTS = (-0.6, -0.3, 0.0, 0.3)  # of the moves, in scales: towards another class is negative
LOST = (1e-5, 0.001, 0.003, 0.01, 0.03, 0.1)  # of those beyond the likely ones: only such tell of it, drawn at random
WON = 0.2  # of that share, of those that the model is wrong on
DEGREES = (4.0, 30.0)  # of freedom: tails
BINS = 100  # of margins, each way
DOUBT = 0.6  # standard errors by which cells far below an answer are taken for worse than they look, see `bracket`
FLAT = 0.1  # of the belief in how common a move is, the share that no cell has a say in
FIRST_POOL, POOL_AGAIN = 20, 1.3  # verdicts after which cells are pooled, and pooled again
MOST_POOLED, ROUNDS = 400, 15  # cells that are pooled; steps of expectation and maximization
# The audit: forecasts are given up if what happens is surely more than `SLACK` times, or less than one `SLACK`th of,
# what was forecast. The slack is also for cells that are wrong about the same examples.
SLACK, SURE = 2.0, 0.001
MORE, LESS = (1.5, 2.0, 4.0), (0.7, 0.5, 0.25)


@dataclass(frozen=True)
class Forecast:
    """Examples that a cut changes, of all.

    Attributes:
        lost, won: as many, those seen among them.
        lost_error, won_error, net_error: standard errors of them, and of their difference.
    """

    lost: float
    won: float
    lost_error: float
    won_error: float
    net_error: float


class Forecasts:
    """The forecasts of a search's cells.

    Args:
        census: of the examples in their order; see `interleaved`.
        margins: of the examples in their order, at least 0, (n,); what is not finite is as sure as the surest.
        ends: examples told after each batch.
        n_cells: of the search.
    """

    def __init__(self, census: Census, margins: Scores, ends: list[int], n_cells: int) -> None:
        self._census, self._ends, self._n = census, ends, len(margins)
        finite = np.isfinite(margins)  # a class that the model rules out is infinitely far
        margins = np.where(finite, margins, margins[finite].max(initial=0.0))
        order = np.argsort(margins, kind="stable")
        self._bin = np.empty(self._n, dtype=np.int64)
        self._bin[order] = np.arange(self._n) * BINS // self._n * 2
        self._bin += census.right  # odd: can be lost; even: can be won
        self._total = np.bincount(self._bin, minlength=2 * BINS)
        middle = np.bincount(self._bin, margins, 2 * BINS) / np.maximum(self._total, 1)
        self._flips = _flips(middle, float(np.median(margins)) or 1.0)
        self._log_kept = np.log1p(-self._flips)
        self._log_odds = np.log(self._flips) - self._log_kept
        self._prior = np.full(self._flips.shape[1], 1 / self._flips.shape[1])
        self._spread = self._flips * (1 - self._flips)
        self._seen = np.zeros((n_cells, 2 * BINS), dtype=np.int32)  # flips
        self._told = np.zeros(n_cells, dtype=np.int64)
        self._n_verdicts, self._pool_at = 0, float(min(FIRST_POOL, n_cells))
        self._left = lru_cache(maxsize=32)(self._left_after)
        self._expected = np.zeros(n_cells)  # flips among those of the next batch that are drawn at random
        # of what was told next, and of what decided a cell: one that is decided is told of no more
        self.ahead, self.decided = Audit(), Audit()

    @property
    def hold(self) -> bool:
        """Whether the forecasts are to be believed."""
        return self.ahead.holds and self.decided.holds

    def look(self, position: int, dense: Scores, pruned: Scores, tolerance: float) -> Look:
        """As `curtailment.look`, of a cell that has been told more than before, but not of all: (n,) each."""
        self._take(position, dense, pruned)
        told, n = len(dense), self._n
        found = self._forecast(position)
        high = tango(min(found.lost, n - found.won), found.won, n)[1]
        error = found.net_error / n
        verdict: Verdict | None = None
        # the first batch alone is little: of 50 examples one in ten cells of 4 points shows no flip at all
        if told > self._census.n_random and abs(high - tolerance) >= ERRORS * error:
            verdict = "within" if high <= tolerance else "beyond"
            self._look_back(position, dense != pruned)
        return Look(verdict, high, error, told)

    def drop(self, position: int) -> Estimate:
        """The drop on all examples that is forecast of a cell; its interval holds as far as the forecasts do."""
        (least_lost, lost, most_lost), (least_won, won, most_won) = self._reach(position)
        low, high = tango(least_lost, most_won, self._n)[0], tango(most_lost, least_won, self._n)[1]
        return Estimate((lost - won) / self._n, low, high, int(self._told[position]))

    def metric(self, scale: Scale, position: int) -> Estimate:
        """The metric on all examples; as `drop`."""
        (least_lost, lost, most_lost), (least_won, won, most_won) = self._reach(position)
        n, right = self._n, int(self._census.right.sum())
        low, high = math.floor(right - most_lost + least_won), math.ceil(right - least_lost + most_won)
        value = (right - lost + won) / n
        return Estimate(value, share_of(scale, low, n).low, share_of(scale, high, n).high, int(self._told[position]))

    def _reach(self, position: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Least, about and most of the examples that are lost, and of those won; what was seen is certain."""
        found, seen, right = self._forecast(position), self._seen[position], int(self._census.right.sum())
        off_lost, off_won = ERRORS * found.lost_error, ERRORS * found.won_error
        return (
            (max(float(seen[1::2].sum()), found.lost - off_lost), found.lost, min(right, found.lost + off_lost)),
            (max(float(seen[::2].sum()), found.won - off_won), found.won, min(self._n - right, found.won + off_won)),
        )

    def _take(self, position: int, dense: Scores, pruned: Scores) -> None:
        before, told = int(self._told[position]), len(dense)
        flipped = dense[before:] != pruned[before:]
        self._seen[position] += np.bincount(self._bin[before:told][flipped], minlength=2 * BINS).astype(np.int32)
        self._told[position] = told
        if before:
            self.ahead.take(float(self._expected[position]), int(flipped[self._census.drawn[before:told]].sum()))
        self._n_verdicts += 1
        if self._n_verdicts >= self._pool_at:
            self._pool()
            self._pool_at = self._n_verdicts * POOL_AGAIN
        self._expected[position] = self._belief(position) @ self._left(told).next_drawn

    def _look_back(self, position: int, flipped: NDArray[np.bool_]) -> None:
        """Audit what decides a cell: does it say of those drawn at random so far what happened to them?"""
        told = len(flipped)
        left = self._left(told)
        self.decided.take(float(self._belief(position) @ left.drawn), int(flipped[left.is_drawn].sum()))

    def _forecast(self, position: int) -> Forecast:
        belief, left, seen = self._belief(position), self._left(int(self._told[position])), self._seen[position]
        lost, won = float(belief @ left.lost), float(belief @ left.won)
        net = lost - won
        of_lost = float(belief @ (left.spread_lost + (left.lost - lost) ** 2))
        of_won = float(belief @ (left.spread_won + (left.won - won) ** 2))
        of_net = float(belief @ (left.spread_lost + left.spread_won + (left.lost - left.won - net) ** 2))
        on_the_edge = 0.25  # half an example, squared
        return Forecast(
            int(seen[1::2].sum()) + lost,
            int(seen[::2].sum()) + won,
            math.sqrt(of_lost + (OFF * lost) ** 2),
            math.sqrt(of_won + (OFF * won) ** 2),
            math.sqrt(of_net + (OFF * (lost + won)) ** 2 + on_the_edge),
        )

    def _belief(self, position: int) -> Floats:
        """How likely each kind of move is of a cell, by its own examples and by all cells."""
        log = self._log_likelihood(np.array([position]))[0]
        belief: Floats = self._prior * np.exp(log - log.max())
        return belief / belief.sum()

    def _log_likelihood(self, positions: NDArray[np.int64]) -> Floats:
        kept = np.stack([self._left(int(self._told[position])).log_kept for position in positions])
        found: Floats = kept + self._seen[positions] @ self._log_odds
        return found

    def _pool(self) -> None:
        """How common each kind of move is among the cells."""
        known = np.flatnonzero(self._told)
        log = self._log_likelihood(known[:: math.ceil(len(known) / MOST_POOLED)])
        likelihood = np.exp(log - log.max(1, keepdims=True))
        n_moves = likelihood.shape[1]
        common = np.full(n_moves, 1 / n_moves)
        for _ in range(ROUNDS):
            common = common * (likelihood / (likelihood @ common)[:, None]).mean(0)
            common = (1 - FLAT) * common / common.sum() + FLAT / n_moves
        self._prior = common

    def _left_after(self, told: int) -> "_Left":
        read = np.bincount(self._bin[:told], minlength=2 * BINS)
        left = self._total - read
        next_end = next((end for end in self._ends if end > told), told)
        drawn = np.bincount(self._bin[told:next_end][self._census.drawn[told:next_end]], minlength=2 * BINS)
        # those that were drawn among the likely ones, and read whole since, tell nothing of what is left
        is_drawn = self._census.drawn[:told] & ~self._census.read_whole(told)[:told]
        return _Left(
            np.asarray(read @ self._log_kept, dtype=np.float64),
            left[1::2] @ self._flips[1::2],
            left[::2] @ self._flips[::2],
            left[1::2] @ self._spread[1::2],
            left[::2] @ self._spread[::2],
            drawn @ self._flips,
            is_drawn,
            np.bincount(self._bin[:told][is_drawn], minlength=2 * BINS) @ self._flips,
        )


@dataclass(frozen=True)
class _Left:
    """After so many examples, by each kind of move, (moves,).

    Attributes:
        log_kept: chance that none of those read flips; logarithm.
        lost, won: flips that are expected among those not read.
        spread_lost, spread_won: their variances.
        next_drawn: flips that are expected among those of the next batch that are drawn at random.
        is_drawn: which of those read are a random sample of what is not read whole, (told,).
        drawn: flips that are expected among them.
    """

    log_kept: Floats
    lost: Floats
    won: Floats
    spread_lost: Floats
    spread_won: Floats
    next_drawn: Floats
    is_drawn: NDArray[np.bool_]
    drawn: Floats


class Audit:
    """Whether what happens to examples drawn at random is what is forecast of them, over all cells.

    If q is the chance of a flip and at most `SLACK` p, then θ^flip · exp((1 - θ) SLACK p) is 1 at most on average for
    θ > 1; as much the other way. So is a mixture over θ, which is made of sums alone; with a chance of 1 - `SURE` it
    never passes 1 / `SURE` (Ville).

    Attributes:
        n: flips among examples drawn at random.
        expected: as many were forecast.
        holds: whether the forecasts are to be believed; once they are not, for good.
    """

    def __init__(self) -> None:
        self.n, self.expected, self.holds = 0, 0.0, True

    def take(self, expected: float, n: int) -> None:
        """Take in a batch of one cell: flips that were forecast before, and flips."""
        self.n, self.expected = self.n + n, self.expected + expected
        for bets, slack in ((MORE, SLACK), (LESS, 1 / SLACK)):
            logs = [self.n * math.log(odds) + (1 - odds) * slack * self.expected for odds in bets]
            most = max(logs)  # before exponents, which would overflow
            wealth = most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))
            self.holds &= wealth < -math.log(SURE / 2)


def _flips(margins: Scores, median: float) -> Floats:
    """Chance that an example flips: of margins (2 bins,) of which the odd ones can be lost, by (moves,)."""
    moves = np.array(list(product(SCALES * median, SHIFTS, LOST, DEGREES)))
    scales, shifts, lost, degrees = moves.T
    far = margins[:, None] / scales
    towards, away = stdtr(degrees, -far - shifts), stdtr(degrees, -far + shifts)  # moved by more than the margin
    at = np.arange(len(margins))
    can_be_lost, is_sure = (at % 2 == 1)[:, None], (at // 2 >= LIKELY * BINS)[:, None]
    moved = np.where(can_be_lost, towards, away)
    gone = np.where(is_sure, np.where(can_be_lost, lost, WON * lost), 0.0)
    found: Floats = np.clip(gone + (1 - gone) * moved, 1e-6, 1 - 1e-6)
    return found
