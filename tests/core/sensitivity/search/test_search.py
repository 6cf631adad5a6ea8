"""The search asks for what it needs, once, in the same order each time, and answers what an exact sweep answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import CellResult, Cut, Scale, SecateurError
from core.sensitivity.report import largest_within
from core.sensitivity.search.scheduler import Search
from core.sensitivity.statistics.intervals import drop_estimate

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
SCORE = Scale("score", "points", higher_is_better=True, low=None, high=None)
F1 = Scale("F1", "fraction", True, 0.0, 1.0, "macro_f1")  # type: ignore[arg-type]
GRID = (0.1, 0.3, 0.5, 0.7, 0.9)


class World:
    """What a model would answer: curves of one drop per sparsity, and heads, on batches of 10, 40, 50, 50, ..."""

    def __init__(self, curves, heads=(), n=300, scale=ACCURACY, noise=True, seed=0):
        rng, self.scale = np.random.default_rng(seed), scale
        self.cells = [
            CellResult(Cut(f"t{i}", "weight", s, "magnitude"), 1, 2)
            for i, curve in enumerate(curves)
            for s, _ in zip(GRID, curve, strict=False)
        ]
        self.cells += [CellResult(Cut(f"h:{i}", "head"), 1, 1) for i in range(len(heads))]
        self.drops = [*(drop for curve in curves for drop in curve), *heads]
        self.dense = np.ones(n)
        self.scores = [
            (rng.permutation(n) >= round(drop * n)).astype(float) if noise else self.dense - drop for drop in self.drops
        ]
        self.edges = [0, 10, *range(50, n, 50), n]

    def slices(self, scores):
        return [scores[a:b] for a, b in zip(self.edges, self.edges[1:], strict=False)]

    def search(self, mode="tolerance", **how):
        dense = self.slices(self.dense)
        search = Search(mode, self.cells, self.scale, [len(scores) for scores in dense], **how)
        for scores in dense:
            search.tell_dense(scores, np.ones(len(scores)) if self.scale.of_set else None)  # the truth of a set metric
        return search

    def run(self, search, unchanged=(), broken=(), limit=10_000):
        asked = []
        while (wanted := search.next()) and limit:
            limit -= 1
            batch, positions = wanted
            assert positions
            for position in positions:
                asked.append((position, batch))
                if position in broken:
                    search.fail(position, "it broke")
                else:
                    search.tell(position, batch, self.slices(self.scores[position])[batch], position not in unchanged)
        return asked

    def exact(self, tolerance, unchanged=(), broken=()):
        cells = []
        for i, (cell, scores) in enumerate(zip(self.cells, self.scores, strict=True)):
            drop = None if i in broken else drop_estimate(self.scale, self.dense, scores)
            state = "failed" if i in broken else "no effect" if i in unchanged else "measured"
            cells.append(CellResult(cell.cut, 1, 2, state, drop, drop))
        found = largest_within(cells, tolerance)
        return {f"t{i}": found.get(f"t{i}") for i in range(len(self.drops) // len(GRID))}

    @property
    def everything(self):
        return {(i, b) for i in range(len(self.cells)) for b in range(len(self.edges) - 1)}


drops = st.lists(st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.3]), min_size=len(GRID), max_size=len(GRID))
curves = st.lists(drops, min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(curves=curves, seed=st.integers(0, 5), tolerance=st.sampled_from([0.0, 0.02, 0.05]))
def test_exact_asks_everything_once_and_answers_as_the_report_does(curves, seed, tolerance):
    world = World(curves, heads=(0.1,), seed=seed)
    search = world.search("exact", tolerance=tolerance)
    asked = world.run(search)
    assert len(asked) == len(set(asked))
    assert set(asked) == world.everything
    answers = search.answers()
    assert {t: a.sparsity for t, a in answers.items()} == world.exact(tolerance)
    assert all(search.state(i).state == "finished" for i in range(len(world.cells)))


@settings(max_examples=40, deadline=None)
@given(
    curves=curves,
    seed=st.integers(0, 5),
    how=st.sampled_from(
        [
            ("tolerance", {"tolerance": 0.05}),
            ("race", {"tolerance": 0.05}),
            ("race", {"width": 0.2}),
            ("race", {"tolerance": 0.0, "width": 0.3}),
        ]
    ),
)
def test_every_mode_ends_and_never_asks_for_a_batch_twice_or_out_of_order(curves, seed, how):
    mode, given_ = how
    world = World(curves, heads=(0.0, 0.2), seed=seed)
    search = world.search(mode, **given_)
    asked = world.run(search)
    assert search.next() is None
    for position in range(len(world.cells)):
        batches = [b for p, b in asked if p == position]
        assert batches == list(range(len(batches)))
        assert batches  # the first batch of every cell: a whole map
    assert all(search.state(i).state != "open" for i in range(len(world.cells)))


@settings(max_examples=30, deadline=None)
@given(curves=curves, seed=st.integers(0, 5), cut=st.floats(0, 1))
def test_told_again_what_was_known_it_asks_what_it_would_have_asked(curves, seed, cut):
    world = World(curves, heads=(0.1,), seed=seed)
    whole = world.search(tolerance=0.05)
    asked = world.run(whole)
    first, second = world.search(tolerance=0.05), world.search(tolerance=0.05)
    visits = round(cut * 8)
    before = world.run(first, limit=visits)
    resumed = world.run(second, limit=visits)  # a new process is told the same evidence again
    assert before == resumed == asked[: len(before)]
    assert before + world.run(second) == asked
    assert second.answers() == whole.answers()


@settings(max_examples=60, deadline=None)
@given(curves=curves, tolerance=st.sampled_from([-0.01, 0.0, 0.02, 0.05]))
def test_without_noise_the_answer_is_exact_on_curves_of_any_shape(curves, tolerance):
    world = World(curves, scale=SCORE, noise=False)
    search = world.search(tolerance=tolerance)
    world.run(search)
    answers = search.answers()
    assert {t: a.sparsity for t, a in answers.items()} == world.exact(tolerance)
    assert all(a.certain for a in answers.values())


def test_a_tolerance_search_spends_little_and_says_so():
    rise = (0.0, 0.0, 0.002, 0.1, 0.5)
    world = World([rise] * 4, heads=(0.0, 0.4), n=10_000)
    search = world.search(tolerance=0.02)
    world.run(search)
    assert {a.sparsity for a in search.answers().values()} == {0.5}
    assert all(a.certain and a.monotone for a in search.answers().values())
    assert sum(search.state(i).n for i in range(len(world.cells))) < 0.1 * 10_000 * len(world.cells)
    states = [search.state(i) for i in range(len(world.cells))]
    assert [s.state for s in states[2:4]] == ["stopped", "stopped"]
    assert [s.verdict for s in states[2:4]] == ["within", "beyond"]
    assert states[0].state == "early"
    assert [s.verdict for s in states[-2:]] == ["within", "beyond"]  # heads race on their own
    early = search.drop(0)
    assert early is not None
    assert early.n == states[0].n
    assert early.high - early.low > 0.05  # few examples, and the interval says it


def test_a_bump_is_found_and_ends_the_answer():
    world = World([(0.0, 0.0, 0.3, 0.0, 0.4)], n=5000)
    search = world.search(tolerance=0.02)
    world.run(search)
    answer = search.answers()["t0"]
    assert (answer.sparsity, answer.certain) == (0.3, True)
    # that what lies above the bump is within is not asked, unless it was met on the way
    reached = World([(0.0, 0.03, 0.0, 0.0, 0.4)], n=5000, seed=1)
    search = reached.search(tolerance=0.02)
    reached.run(search)
    assert search.answers()["t0"].sparsity in (0.1, 0.7)


def test_a_failed_cell_ends_the_answer_and_wants_nothing_more():
    world = World([(0.0, 0.0, 0.0, 0.0, 0.0)])
    search = world.search(tolerance=0.05)
    asked = world.run(search, broken={2})
    assert [b for p, b in asked if p == 2] == [0]
    assert search.state(2).reason == "it broke"
    assert search.drop(2) is None
    assert search.answers()["t0"].sparsity == world.exact(0.05, broken={2})["t0"] == 0.3


@pytest.mark.parametrize("mode", ["exact", "tolerance"])
@pytest.mark.parametrize("unchanged", [{0, 1, 2, 3, 4}, {4}, {0, 3}])
def test_cells_of_no_effect_are_neutral(mode, unchanged):
    world = World([(0.0, 0.0, 0.0, 0.0, 0.0)])
    search = world.search(mode, tolerance=0.05)
    world.run(search, unchanged=unchanged)
    assert search.answers()["t0"].sparsity == world.exact(0.05, unchanged=unchanged)["t0"]


def test_a_race_for_width_stops_where_the_anytime_interval_is_narrow():
    world = World([(0.0, 0.0, 0.0, 0.0, 0.5)], n=2000)
    search = world.search("race", width=0.1)
    world.run(search)
    for i in range(5):
        drop, progress = search.drop(i), search.state(i)
        assert drop is not None
        assert progress.state == ("finished" if progress.n == 2000 else "stopped")
        assert drop.high - drop.low <= 0.1
    assert search.state(4).n > search.state(0).n
    assert search.answers() == {}


def test_a_metric_of_the_whole_set_is_never_stopped_early_but_bisected():
    world = World([(0.0, 0.0, 0.0, 0.3, 0.5)], n=300)
    world.scale = F1
    race = world.search("race", tolerance=0.05)
    assert set(world.run(race)) == world.everything
    search = world.search(tolerance=0.05)
    asked = world.run(search)
    assert set(asked) < world.everything
    assert search.answers()["t0"].sparsity == 0.5


def test_a_goal_is_needed():
    world = World([(0.0,) * 5])
    with pytest.raises(SecateurError, match="tolerance"):
        world.search("tolerance")
    with pytest.raises(SecateurError, match="width"):
        world.search("race")


def test_the_whole_map_comes_first_and_batches_are_shared():
    world = World([(0.0, 0.0, 0.01, 0.1, 0.5)] * 3, n=2000)
    search = world.search(tolerance=0.02)
    batch, positions = search.next()
    assert (batch, positions) == (0, tuple(range(15)))
    world.run(search, limit=1)
    batch, positions = search.next()
    assert batch == 1
    assert len(positions) >= 3  # at least one cell of each target
