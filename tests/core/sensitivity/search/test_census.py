"""A census reads what a cut may flip, and says of all examples what an exact sweep says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import CellResult, Cut
from core.sensitivity.search.census import (
    FIRST_OF_RACE,
    LEVEL_AT_RANDOM,
    LEVEL_OF_ALL,
    LEVEL_OF_THE_REST,
    interleaved,
    planned,
)
from core.sensitivity.search.curtailment import LEVEL
from core.sensitivity.search.scheduler import Search
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from tests.core.sensitivity.search.world import ACCURACY, CURVES, SIZE, World


def test_the_order_is_a_random_sample_then_the_likely_then_the_rest():
    world = World(CURVES[:1])
    order, sizes, census = planned(world.margins, world.dense, world.sizes, SIZE, np.arange(len(world.dense)))
    assert sorted(order.tolist()) == list(range(2000))
    assert order[: census.n_random].tolist() == list(range(census.n_random))
    assert census.n_random == 100
    assert sizes[:3] == [10, 40, 50]
    assert set(sizes[3:]) == {SIZE}
    chosen = order[census.n_random : census.n_whole]
    assert census.likely[census.n_random : census.n_whole].all()
    assert not census.likely[census.n_whole :].any()
    wrong = ~world.right[chosen]
    assert wrong[: wrong.sum()].all()  # those that could be won come first, each by its margin
    assert (np.diff(world.margins[chosen[wrong]]) >= 0).all()
    assert (np.diff(world.margins[chosen[~wrong]]) >= 0).all()
    rest = order[census.n_whole :]
    assert world.right[rest].all()
    assert world.margins[rest].min() >= world.margins[chosen[~wrong]].max()
    assert (np.diff(rest) > 0).all()  # in the order that they were drawn in


@pytest.mark.parametrize(
    ("accuracy", "scores"), [(0.3, None), (1.0, 0.5)], ids=["most of it is wrong", "scores that are no hits"]
)
def test_there_is_none_where_little_could_be_left_out(accuracy, scores):
    world = World(CURVES[:1], accuracy=accuracy)
    dense = world.dense if scores is None else np.full(2000, scores)
    margins = world.margins * (0.01 if scores is None else 1)
    found = planned(margins, dense, world.sizes, SIZE, np.arange(len(dense)))
    if scores is None:  # too many are wrong to be read whole: those stay among the rest, and may be won
        assert found is not None
        assert not world.right[found[0][found[2].n_whole :]].all()
    else:
        assert found is None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), accuracy=st.sampled_from([0.6, 0.93, 1.0]), sure=st.sampled_from([0.0, 0.02]))
def test_answers_what_an_exact_sweep_answers_whatever_the_margins_say(seed, accuracy, sure):
    world = World(CURVES, seed=seed, accuracy=accuracy, sure=sure)
    search, _ = world.search(tolerance=0.02, seed=seed)
    asked = world.run(search)
    cells, exact = world.exact(0.02)
    wrong = sum(answer.sparsity != exact.get(target) for target, answer in search.answers().items())
    assert wrong <= 1  # of three; a verdict at the very edge may be false in 3 of 100
    for p in range(len(world.cells)):
        assert [b for q, b in asked if q == p] == list(range(sum(q == p for q, _ in asked)))
        state = search.state(p)
        if state.state == "finished":
            assert (state.verdict == "within") == (cells[p].drop.high <= 0.02)


def test_reads_less_than_a_random_order_does():
    world = World(CURVES, n=4000)
    search, _ = world.search(tolerance=0.02)
    world.run(search)
    random = Search("tolerance", world.cells, ACCURACY, world.sizes, tolerance=0.02)
    order = np.random.default_rng(0).permutation(4000)
    ends = [0, *np.cumsum(world.sizes).tolist()]
    for a, b in itertools.pairwise(ends):
        random.tell_dense(world.dense[order[a:b]])
    while wanted := random.next():
        for p in wanted[1]:
            random.tell(p, wanted[0], world.scores[p][order[ends[wanted[0]] : ends[wanted[0] + 1]]], True)
    told = [sum(s.state(p).n for p in range(len(world.cells))) for s in (search, random)]
    assert told[0] < 0.8 * told[1]
    assert search.answers().keys() == random.answers().keys()


@pytest.mark.parametrize("accuracy", [0.6, 0.93])
def test_what_is_shown_holds_what_all_examples_say_at_every_moment(accuracy):
    held = shown = 0
    for seed in range(12):
        world = World([(0.3, 0.6, 0.9, 1.5, 3.0)], seed=seed, accuracy=accuracy, sure=0.01)
        search, _census = world.search("race", width=0.001, seed=seed, first=FIRST_OF_RACE)
        truth = [drop_estimate(ACCURACY, world.dense, s).value for s in world.scores]
        metrics = [float(s.mean()) for s in world.scores]
        while wanted := search.next():
            rows = world.order[world.edges[wanted[0]] : world.edges[wanted[0] + 1]]
            for p in wanted[1]:
                search.tell(p, wanted[0], world.scores[p][rows], True)
                if search.state(p).n >= 50:
                    drop, metric = search.drop(p), search.metric(p)
                    held += drop.low <= truth[p] <= drop.high and metric.low <= metrics[p] <= metric.high
                    shown += 1
    assert shown > 1000
    assert held / shown >= 0.95


def test_estimates_do_not_lean_towards_what_was_chosen():
    world = World([(0.8,)], n=2000)
    errors, halfway = [], []
    truth = drop_estimate(ACCURACY, world.dense, world.scores[0]).value
    for seed in range(60):
        search, census = world.search("race", width=0.0001, seed=seed)
        while wanted := search.next():
            rows = world.order[world.edges[wanted[0]] : world.edges[wanted[0] + 1]]
            search.tell(0, wanted[0], world.scores[0][rows], True)
            n = search.state(0).n
            if n == census.n_whole:
                errors.append(search.drop(0).value - truth)
            elif n == census.n_random + 3 * SIZE:
                halfway.append(search.drop(0).value - truth)
    for found in (errors, halfway):
        assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found)) + 1e-9
    assert np.std(errors) < np.std(halfway)


def test_at_its_end_it_is_what_all_examples_say():
    world = World(CURVES[:1], n=500)
    search, _ = world.search("race", tolerance=1e-9)
    world.run(search)
    for p, scores in enumerate(world.scores):
        if search.state(p).state == "finished":
            assert search.drop(p) == drop_estimate(ACCURACY, world.dense[world.order], scores[world.order])
            assert search.metric(p) == metric_estimate(ACCURACY, scores[world.order])


def test_told_again_what_was_known_it_asks_what_it_would_have_asked():
    world = World(CURVES)
    whole, _ = world.search(tolerance=0.02)
    asked = world.run(whole)
    again, _ = world.search(tolerance=0.02)
    before = world.run(again, limit=7)
    assert before + world.run(again) == asked
    assert again.answers() == whole.answers()


def test_spends_the_chance_of_a_false_verdict_once():
    assert pytest.approx(LEVEL) == LEVEL_AT_RANDOM + LEVEL_OF_ALL + LEVEL_OF_THE_REST


def test_false_verdicts_at_the_very_edge_stay_below_the_level_where_an_adversary_hides_all_flips_in_the_rest():
    n, wrong = 1500, 0
    rng = np.random.default_rng(5)
    margins = rng.gamma(3, 1.2, n)
    dense = np.ones(n)
    lost = next(k for k in range(1, n) if drop_estimate(ACCURACY, dense, (np.arange(n) >= k).astype(float)).high > 0.02)
    sure = np.argsort(-margins)[: n // 2]
    cell = [CellResult(Cut("t", "weight", 0.5, "magnitude"), 1, 2)]
    rounds = 200
    for seed in range(rounds):
        scores = dense.copy()
        scores[np.random.default_rng(seed).permutation(sure)[:lost]] = 0  # just beyond
        order = np.random.default_rng(seed + 1000).permutation(n)
        places, sizes, census = planned(margins[order], dense, [10, 40, *[50] * 29], 50, order)
        order, ends = order[places], [0, *np.cumsum(sizes).tolist()]
        search = Search("race", cell, ACCURACY, sizes, tolerance=0.02, census=census)
        for a, b in itertools.pairwise(ends):
            search.tell_dense(dense[order[a:b]])
        while asked := search.next():
            search.tell(0, asked[0], scores[order[ends[asked[0]] : ends[asked[0] + 1]]], True)
        wrong += search.state(0).verdict == "within"
    assert wrong / rounds <= LEVEL + 3 * np.sqrt(LEVEL / rounds)


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("plan", [planned, interleaved])
def test_what_is_drawn_of_the_rest_is_a_sample_of_it_also_where_margins_are_equal(plan, is_tied):
    """All flips lie about the margin where the likely ones end: of a level of equal ones a part is likely."""
    n, size, rng = 512, 64, np.random.default_rng(3)
    errors, missed = [], 0
    for _ in range(150):
        margins = rng.permutation(n).astype(float)
        level = (margins >= 0.15 * n) & (margins < 0.35 * n)
        lost = level & (rng.random(n) < 0.3)
        margins = np.where(level & is_tied, 0.15 * n, margins)
        how = (FIRST_OF_RACE,) if plan is planned else ()
        found = plan(margins, np.ones(n), [size] * (n // size), size, rng.permutation(n), *how)
        assert found is not None
        order, sizes, census = found
        pruned = (~lost)[order].astype(float)
        for told in np.cumsum(sizes):
            if census.n_whole <= told < n:
                seen, _ = census._seen(np.ones(told), pruned[:told])
                low, high = seen.bounds(0.01)
                missed += not low <= lost.sum() <= high
                if told == census.n_whole:
                    errors.append(seen.about - lost.sum())
    assert missed <= 6  # of 150 rounds, at 1 %
    assert abs(np.mean(errors)) < 4 * np.std(errors) / len(errors) ** 0.5
