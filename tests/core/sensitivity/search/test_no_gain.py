"""Against the dense model itself nothing gains: "beyond" needs no number of examples, and is rarely false for that."""

import math
from dataclasses import replace

import numpy as np
import pytest

from core import CellResult, Cut, Scale
from core.sensitivity.report import largest_within
from core.sensitivity.search.curtailment import LEAST, LEVEL, look
from core.sensitivity.search.scheduler import Search
from core.sensitivity.statistics.intervals import drop_estimate

COSINE = Scale("cosine to dense", "cosine", higher_is_better=True, low=None, high=1.0)
KL = Scale("KL from dense", "nats", higher_is_better=False, low=0.0, high=None)
AGREEMENT = Scale("agreement", "fraction", higher_is_better=True, low=0.0, high=1.0)
LOSS = Scale("loss", "nats", higher_is_better=False, low=None, high=None)
PERPLEXITY = Scale("perplexity", "per token", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")
N = 600


def scores(scale, harm):
    """Of the dense model and of a cut that does each example so much harm."""
    best = scale.high if scale.higher_is_better else scale.low
    return np.full(len(harm), best), best - harm if scale.higher_is_better else best + harm


def one_huge(rng):
    harm = rng.gamma(2.0, 0.002, N)
    harm[0] = 12.0
    return harm


def few_huge(rng):
    return np.where(np.arange(N) < 6, 5.0, 0.0)


def long_tail(rng):
    return rng.lognormal(-4.0, 2.0, N)


def light(rng):
    return rng.gamma(4.0, 0.01, N)


def equal(rng):
    return np.full(N, 0.05)


@pytest.mark.parametrize("draw", [one_huge, few_huge, long_tail, light, equal])
def test_beyond_is_said_falsely_no_more_often_than_the_level_whatever_the_tail(draw):
    rng = np.random.default_rng(3)
    dense, pruned = scores(KL, draw(rng))
    tolerance = drop_estimate(KL, dense, pruned).high + 1e-9  # so that all of them together are just within
    false, rounds = 0, 120
    for _ in range(rounds):
        order = rng.permutation(N)
        ends = range(10, N, 15)
        verdicts = (
            look(KL, dense[r], pruned[r], None, N, tolerance, LEVEL, True).verdict
            for r in map(order.__getitem__, map(slice, ends))
        )
        false += next((v for v in verdicts if v), None) == "beyond"
    assert false / rounds <= LEVEL + 3 * math.sqrt(LEVEL / rounds)


@pytest.mark.parametrize("draw", [few_huge, long_tail, light])
def test_even_where_the_mean_itself_is_the_tolerance(draw):
    """The upper end of an interval leaves room; bets are held against the mean, which they may not pass."""
    rng = np.random.default_rng(4)
    harm = draw(rng)
    dense, pruned = scores(KL, harm)
    tolerance, false, rounds = float(harm.mean()) * (1 + 1e-9), 0, 200
    for _ in range(rounds):
        order = rng.permutation(N)
        # below LEAST nothing but a bet can say so
        false += any(
            look(KL, dense[order[:n]], pruned[order[:n]], None, N, tolerance, LEVEL, True).verdict == "beyond"
            for n in range(5, LEAST, 10)
        )
    assert false / rounds <= LEVEL + 3 * math.sqrt(LEVEL / rounds)


@pytest.mark.parametrize("scale", [COSINE, KL, AGREEMENT])
def test_what_is_clearly_beyond_shows_on_the_first_examples(scale):
    harm = np.random.default_rng(5).beta(8, 8, 1000)  # a half on average
    dense, pruned = scores(scale, harm)
    first = [part[:12] for part in (dense, pruned)]
    assert look(scale, *first, None, 1000, 0.05, dense_is_best=True).verdict == "beyond"
    assert look(scale, *first, None, 1000, 0.05).verdict is None


def test_harm_that_has_added_up_to_more_than_all_may_have_is_beyond_for_certain():
    harm = np.zeros(100)
    harm[3] = 6.0
    dense, pruned = scores(KL, harm)
    assert look(KL, dense[:4], pruned[:4], None, 100, 0.05, dense_is_best=True).verdict == "beyond"
    assert look(KL, dense[:4], pruned[:4], None, 100, 0.07, dense_is_best=True).verdict is None


@pytest.mark.parametrize("n", [12, 100, 299, 400])
def test_within_is_said_as_before_where_harm_has_no_end(n):
    """A worse example than all that were read may still come: nothing that is known of the dense model says not."""
    rng = np.random.default_rng(6)
    dense, pruned = scores(KL, rng.gamma(2.0, 0.002, 1000))
    a = look(KL, dense[:n], pruned[:n], None, 1000, 0.05, dense_is_best=True)
    assert a == look(KL, dense[:n], pruned[:n], None, 1000, 0.05)
    assert (a.verdict == "within") == (n >= LEAST)


def test_a_cosine_is_within_as_soon_as_enough_that_point_the_other_way_would_have_been_met():
    rng = np.random.default_rng(8)
    harm = rng.gamma(4.0, 0.001, 1000)
    dense, pruned = scores(COSINE, harm)

    def needed(bad):
        """Examples at which a list with so many cosines of -1 shows one, but for 1.5 % of its orders."""
        return next(n for n in range(1000) if bad * math.log1p(-n / 1000) <= math.log(LEVEL / 2))

    for tolerance in (0.1, 0.2):
        changed = [np.where(np.arange(1000) < bad, 2.0, harm) for bad in range(200)]
        bad = next(i for i, of in enumerate(changed) if drop_estimate(COSINE, *scores(COSINE, of)).high > tolerance)
        first = next(
            n
            for n in range(60, LEAST)
            if look(COSINE, dense[:n], pruned[:n], None, 1000, tolerance, LEVEL, True).verdict
        )
        assert first == pytest.approx(max(60, needed(bad)), abs=8)
    # a tolerance that a handful could break is not decided so early
    assert look(COSINE, dense[:299], pruned[:299], None, 1000, 0.02, LEVEL, True).verdict is None
    # nor is a score of which -1 is no end
    other = Scale("likeness", "points", higher_is_better=True, low=None, high=1.0)
    assert look(other, dense[:299], pruned[:299], None, 1000, 0.2, LEVEL, True).verdict is None
    far = np.where(np.arange(1000) == 3, -1.5, pruned)
    assert look(COSINE, dense[:299], far[:299], None, 1000, 0.2, LEVEL, True).verdict is None


@pytest.mark.parametrize("bad", [14, 40])
@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
def test_a_few_huge_values_make_no_cosine_within(bad, size):
    rng = np.random.default_rng(9)
    harm = rng.gamma(4.0, 0.001, 1000)
    harm[:bad] = size
    dense, pruned = scores(COSINE, harm)
    without = drop_estimate(COSINE, dense[bad:], pruned[bad:]).high
    tolerance = (drop_estimate(COSINE, dense, pruned).high + without) / 2  # beyond, by those few
    false, rounds = 0, 80
    for _ in range(rounds):
        order = rng.permutation(1000)
        false += any(
            look(COSINE, dense[order[:n]], pruned[order[:n]], None, 1000, tolerance, LEVEL, True).verdict == "within"
            for n in range(60, LEAST, 16)
        )
    assert false / rounds <= LEVEL + 3 * math.sqrt(LEVEL / rounds)


@pytest.mark.parametrize("why", ["weights", "not the best", "no end", "exp_mean"])
def test_where_an_example_could_gain_or_counts_otherwise_it_stays_as_it_was(why):
    rng = np.random.default_rng(7)
    scale = {"no end": LOSS, "exp_mean": PERPLEXITY}.get(why, KL)
    dense = np.full(400, 1.0 if why == "not the best" else 0.0)
    pruned = dense + rng.gamma(2.0, 1.0, 400)
    weights = rng.integers(1, 9, 400).astype(float) if why == "weights" else None
    for n in (20, 200, 350):
        w = None if weights is None else weights[:n]
        told = scale, dense[:n], pruned[:n], w, 400, 0.5
        assert look(*told, dense_is_best=True) == look(*told)


class Searched:
    """Curves of a metric held against the dense model: batches of 12, 52, 64, …"""

    def __init__(self, n=1000, seed=0):
        rng, grid = np.random.default_rng(seed), (0.1, 0.3, 0.5, 0.7, 0.9)
        self.cells = [CellResult(Cut(f"t{i}", "weight", s, "magnitude"), 1, 2) for i in range(6) for s in grid]
        hard = rng.gamma(4.0, 0.25, n)
        means = [0.2 * (j + 1) ** 2 * rng.uniform(0.02, 0.06) for _ in range(6) for j in range(5)]
        self.dense = np.ones(n)
        self.scores = [1 - np.minimum(mean * hard * rng.gamma(8.0, 1 / 8, n), 2.0) for mean in means]
        self.edges = [0, 12, *range(64, n, 64), n]

    def search(self, best, mode="tolerance", stop_after=None):
        sizes = np.diff(self.edges).tolist()
        search = Search(mode, self.cells, COSINE, sizes, 0.05, dense_is_best=best)
        for size in sizes:
            search.tell_dense(np.ones(size))
        return self.go_on(search)

    def go_on(self, search):
        asked = []
        while wanted := search.next():
            batch, positions = wanted
            asked.append(wanted)
            for p in positions:
                search.tell(p, batch, self.scores[p][self.edges[batch] : self.edges[batch + 1]], True)
        return search, asked

    def exact(self):
        drops = [drop_estimate(COSINE, self.dense, scores) for scores in self.scores]
        return [replace(c, state="measured", drop=d) for c, d in zip(self.cells, drops, strict=True)]


@pytest.mark.parametrize("mode", ["tolerance", "race"])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_says_what_all_examples_say_of_fewer_than_before(mode, seed):
    world = Searched(seed=seed)
    (before, _), (now, asked) = world.search(False, mode), world.search(True, mode)
    exact = world.exact()
    right = largest_within(exact, 0.05)
    assert {t: a.sparsity for t, a in now.answers().items()} == {f"t{i}": right.get(f"t{i}") for i in range(6)}
    for p, cell in enumerate(exact):
        seen, drop = now.state(p), now.drop(p)
        if seen.verdict:
            assert seen.verdict == ("within" if cell.drop.high <= 0.05 else "beyond")
        if seen.state == "stopped":  # its interval holds what all examples say
            assert drop.low <= cell.drop.value <= drop.high
    assert sum(now.state(p).n for p in range(30)) < sum(before.state(p).n for p in range(30))
    assert world.search(True, mode)[1] == asked  # told the same, it asks the same
