"""Forecasts: the answers of an exact sweep from fewer examples, and given up where they are wrong."""

import itertools

import numpy as np
import pytest

from core import CellResult, Cut
from core.sensitivity.search import calibrated
from core.sensitivity.search.calibrated import Audit
from core.sensitivity.search.census import interleaved
from core.sensitivity.statistics.intervals import drop_estimate
from tests.core.sensitivity.search.world import ACCURACY, CURVES, GRID, SIZE, World

MANY = [tuple(harm * k for harm in curve) for curve in CURVES for k in (0.6, 0.8, 1.0, 1.3)]


def hidden(world, share):
    """Every cut flips so many of the examples that no small margin tells of, and none else."""
    middle = np.argsort(world.margins)[len(world.margins) // 2 :]
    for i, scores in enumerate(world.scores):
        scores[:] = world.dense
        lost = np.random.default_rng(i).permutation(middle[world.right[middle]])[: round(share * len(scores))]
        scores[lost] = 0.0


def test_the_order_is_a_few_at_random_then_small_margins_with_some_at_random():
    world = World(CURVES[:1])
    found = interleaved(world.margins, world.dense, world.sizes, SIZE, np.arange(2000))
    assert found is not None
    order, sizes, census = found
    assert sorted(order.tolist()) == list(range(2000))
    assert sizes[:2] == [SIZE // 5, SIZE - SIZE // 5]
    assert census.n_random == SIZE  # 50 at least: fewer tell little of what margins do not
    assert order[:SIZE].tolist() == list(range(SIZE))
    assert set(sizes[2 : census.n_steps + 2]) == {SIZE // 2}
    for a, b in itertools.pairwise(np.cumsum(sizes)[1 : census.n_steps + 2]):
        drawn = census.drawn[a:b]
        assert drawn.sum() == 2  # a tenth
        unread = np.setdiff1d(np.arange(2000), order[:a])
        assert order[a:b][drawn].tolist() == unread[:2].tolist()  # the next ones of the random order
        left = np.setdiff1d(unread, order[a:b][drawn])
        by_rank = np.argsort(census.rank[np.argsort(order)][left])
        assert sorted(left[by_rank[: SIZE // 2 - 2]]) == sorted(order[a:b][~drawn])  # the least sure that are left
    assert census.n_whole == sum(sizes[: census.n_steps + 2])
    assert census.likely[census.drawn[: census.n_whole].sum() :].any()
    read = np.zeros(2000, dtype=bool)
    read[: census.n_whole] = True
    assert read[census.likely].all()
    rest = order[census.n_whole :]
    assert (np.diff(rest) > 0).all()  # in the order that they were drawn in


@pytest.mark.parametrize("seed", range(4))
def test_answers_what_an_exact_sweep_answers_with_fewer_examples_than_a_census(seed):
    world = World(MANY, n=4000, seed=seed)
    _, exact = world.exact(0.02)
    told, wrong = [], []
    for forecast in (True, False):
        search, _ = world.search(tolerance=0.02, seed=seed, calibrated=forecast)
        world.run(search)
        told.append(sum(search.state(p).n for p in range(len(world.cells))))
        wrong.append(sum(answer.sparsity != exact.get(t) for t, answer in search.answers().items()))
        assert all(answer.forecast is forecast or not answer.certain for answer in search.answers().values())
        states = {search.state(p).state for p in range(len(world.cells))}
        assert ("forecast" in states, "stopped" in states) == (forecast, not forecast)
    assert told[0] < 0.8 * told[1]
    assert wrong[0] <= 1  # of twelve


def test_those_at_random_alone_decide_nothing():
    world = World(MANY, n=2000)
    search, census = world.search("race", tolerance=0.02, calibrated=True)
    for _ in range(2):
        batch, positions = search.next()
        for p in positions:
            search.tell(p, batch, world.scores[p][world.order[world.edges[batch] : world.edges[batch + 1]]], True)
            assert search.state(p).verdict is None
            assert search.drop(p).low <= search.drop(p).value <= search.drop(p).high
    assert {search.state(p).n for p in range(len(world.cells))} == {census.n_random}


@pytest.mark.parametrize("accuracy", [0.7, 0.93])
def test_what_is_shown_holds_what_all_examples_say(accuracy):
    held = shown = 0
    for seed in range(5):
        world = World(MANY[:6], n=2000, seed=seed, accuracy=accuracy)
        truth = [drop_estimate(ACCURACY, world.dense, s).value for s in world.scores]
        search, _ = world.search("race", tolerance=0.02, seed=seed, calibrated=True)
        world.run(search)
        for p, scores in enumerate(world.scores):
            if search.state(p).state == "forecast":
                drop, metric = search.drop(p), search.metric(p)
                held += drop.low <= truth[p] <= drop.high and metric.low <= scores.mean() <= metric.high
                shown += 1
    assert shown > 100
    assert held / shown >= 0.95


@pytest.mark.parametrize("mode", ["tolerance", "race"])
@pytest.mark.parametrize("share", [0.03, 0.06])
def test_flips_that_no_small_margin_tells_of_are_told_by_those_at_random(mode, share):
    world = World(MANY, n=4000)
    hidden(world, share)
    search, _ = world.search(mode, tolerance=0.02, calibrated=True)
    world.run(search)
    assert {search.state(p).verdict for p in range(len(world.cells))} <= {None, "beyond"}
    assert all(answer.sparsity is None for answer in search.answers().values())


@pytest.mark.parametrize("share", [0.03, 0.06])
@pytest.mark.parametrize("mode", ["tolerance", "race"])
def test_flips_that_no_forecast_knows_end_them_and_a_census_says_what_all_examples_say(monkeypatch, mode, share):
    monkeypatch.setattr(calibrated, "LOST", (1e-5,))  # only margins decide, is believed
    monkeypatch.setattr(calibrated, "DEGREES", (30.0,))
    world = World(MANY, n=4000)
    hidden(world, share)
    search, _ = world.search(mode, tolerance=0.02, calibrated=True)
    world.run(search)
    cells, _ = world.exact(0.02)
    assert not search.is_forecasting
    assert not search.forecasts.hold
    assert not any(answer.forecast for answer in search.answers().values())
    for p, cell in enumerate(cells):
        state = search.state(p)
        assert state.state != "forecast"
        assert state.verdict in (None, "within" if cell.drop.high <= 0.02 else "beyond")
        if mode == "race":
            assert state.verdict is not None


def test_a_cut_that_loses_what_the_model_is_sure_of_is_beyond_among_those_that_do_not():
    """A class that is forgotten: only what is drawn at random tells of it."""
    world = World([*MANY, (0.1, 0.1, 0.1, 0.1, 0.1)], n=4000)
    sure = np.argsort(world.margins)[2000:]
    for p in range(len(world.cells) - 5, len(world.cells)):
        world.scores[p][np.random.default_rng(p).permutation(sure)[:400]] = 0.0
    search, _ = world.search(tolerance=0.02, calibrated=True)
    world.run(search)
    assert search.answers()[f"t{len(MANY)}"].sparsity is None


def test_told_again_what_was_known_it_asks_what_it_would_have_asked():
    world = World(MANY, n=2000)
    whole, _ = world.search(tolerance=0.02, calibrated=True)
    asked = world.run(whole)
    again, _ = world.search(tolerance=0.02, calibrated=True)
    before = world.run(again, limit=9)
    assert before + world.run(again) == asked
    assert again.answers() == whole.answers()


def test_an_audit_holds_what_was_forecast_and_nothing_far_from_it():
    rng = np.random.default_rng(0)
    gave_up = {1.0: 0, 6.0: 0, 1 / 6: 0}
    for times in gave_up:
        for _ in range(50):
            audit = Audit()
            for _ in range(400):
                audit.take(0.2, int(rng.poisson(0.2 * times)))
            gave_up[times] += not audit.holds
    assert gave_up[1.0] == 0
    assert gave_up[6.0] == 50
    assert gave_up[1 / 6] >= 40


def test_an_audit_that_failed_stays_failed():
    audit = Audit()
    audit.take(1.0, 40)
    assert not audit.holds
    audit.take(39.0, 0)
    assert not audit.holds


def test_margins_of_zero_and_few_cells_are_forecast_too():
    world = World([(0.3,)], n=1000)
    world.margins[:] = 0.0
    search, _ = world.search("race", tolerance=0.02, calibrated=True)
    world.run(search)
    assert search.drop(0) is not None
    assert np.isfinite([search.drop(0).low, search.drop(0).high]).all()


def test_what_has_no_curve_is_measured_on_once_forecasts_are_given_up():
    """A whole head or block, cut alone, has no sparsity: a search wants it until it is decided."""
    world = World(MANY, n=2000)
    world.cells = [
        CellResult(Cut(cell.cut.target, "head"), 1, 2) if p % len(GRID) == 0 else cell
        for p, cell in enumerate(world.cells)
    ]
    search, _ = world.search(tolerance=0.02, calibrated=True)
    world.run(search)
    heads = [p for p, cell in enumerate(world.cells) if cell.cut.granularity == "head"]
    assert "forecast" in {search.state(p).state for p in heads}
    search.forecasts.decided.holds = False
    search._give_up_forecasts(search.tolerance)
    world.run(search)
    assert {search.state(p).state for p in heads} <= {"stopped", "finished"}
    for p in heads:
        truth = drop_estimate(ACCURACY, world.dense, world.scores[p])
        assert search.state(p).verdict == ("within" if truth.high <= 0.02 else "beyond")


def test_of_batches_of_one_nothing_is_forecast():
    world = World(CURVES[:1], n=200)
    assert interleaved(world.margins, world.dense, [1] * 200, 1, np.arange(200)) is None
    for size in (2, 3):
        sizes = [size] * (200 // size) + ([200 % size] if 200 % size else [])
        order, found, _ = interleaved(world.margins, world.dense, sizes, size, np.arange(200))
        assert max(found) <= size
        assert sorted(order.tolist()) == list(range(200))


@pytest.mark.parametrize("share", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_margins_that_are_not_finite_are_those_of_sure_examples(value, share):
    world = World([(0.3,)], n=1000)
    world.margins[np.argsort(world.margins)[round((1 - share) * 1000) :]] = value
    search, _ = world.search("race", tolerance=0.02, calibrated=True)
    world.run(search, limit=4)
    told = search.drop(0), search.metric(0)
    assert np.isfinite([(one.value, one.low, one.high) for one in told]).all()
