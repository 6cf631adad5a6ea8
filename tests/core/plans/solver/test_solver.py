"""The solver against brute force, dynamic programming, HiGHS, and by hand."""

import itertools
import random
from itertools import product
from math import fsum, inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from core import SecateurError
from core.plans.solver.enumeration import PRECISION
from core.plans.solver.knapsack import Row, least_cost, least_harm

# What is left of 100 weights at 0, 50, 90 %; of 10 weights likewise.
LARGE = Row("large", (0.0, 1.0, 5.0), (100.0, 50.0, 10.0))
SMALL = Row("small", (0.0, 0.5, 3.0), (10.0, 5.0, 1.0))

numbers = st.one_of(st.integers(0, 20).map(float), st.floats(0, 10).map(lambda x: round(x, 3)))
one_row = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4)
several = st.lists(one_row, min_size=1, max_size=5)
# so coarse that a limit either is a sum of these numbers or is further from every sum than rounding errors reach
shares = st.floats(-0.1, 1.1).map(lambda x: round(x, 4))


def as_rows(pairs):
    return [Row(str(i), *map(tuple, zip(*row, strict=True))) for i, row in enumerate(pairs)]


def brute_force(rows, limit, by_harm=True):
    """Least objective within the limit, by trying every choice; `None` if there is none."""
    best = None
    for levels in product(*(range(len(row.harm)) for row in rows)):
        harm = fsum(row.harm[i] for row, i in zip(rows, levels, strict=True))
        cost = fsum(row.cost[i] for row, i in zip(rows, levels, strict=True))
        value, weight = (harm, cost) if by_harm else (cost, harm)
        if weight <= limit + 1e-9 and (best is None or value < best):
            best = value
    return best


def random_rows(seed, n, levels, harm=None):
    """Layers of very different sizes, with harm that rises with the sparsity, more or less."""
    generator = np.random.default_rng(seed)
    sparsity = np.linspace(0, 0.95, levels)
    size = np.round(np.exp(generator.normal(8, 2, n))) + 1
    cost = np.round(size[:, None] * (1 - sparsity))
    harms = np.exp(generator.normal(-4, 2, (n, 1))) * sparsity ** generator.uniform(1, 4, (n, 1))
    harms = np.abs(harms * (1 + 0.1 * generator.normal(size=(n, levels)))) if harm is None else harm(generator, cost)
    return [
        Row(str(i), tuple(map(float, h)), tuple(map(float, c)))
        for i, (h, c) in enumerate(zip(harms, cost, strict=True))
    ]


def middle(rows, share=0.5):
    low, high = (fsum(f(row.cost) for row in rows) for f in (min, max))
    return float(round(low + share * (high - low)))


def test_half_of_the_weights_go_where_they_harm_least():
    solved = least_harm([LARGE, SMALL], 60)
    assert (solved.levels, solved.harm, solved.cost) == ((1, 0), 1.0, 60.0)
    assert (solved.proven, solved.feasible, solved.bound) == (True, True, pytest.approx(1.0))


def test_the_limit_that_is_met_exactly_is_met_and_one_less_is_not():
    assert least_harm([LARGE, SMALL], 59).levels == (1, 1)
    assert least_cost([LARGE, SMALL], 1.5).levels == (1, 1)
    assert least_cost([LARGE, SMALL], 1.49).levels == (1, 0)


def test_without_a_limit_nothing_is_cut_and_with_any_harm_allowed_all_that_can_be():
    assert least_harm([LARGE, SMALL], inf).levels == (0, 0)
    solved = least_cost([LARGE, SMALL], inf)
    assert (solved.levels, solved.cost, solved.bound, solved.proven) == ((2, 2), 11.0, 11.0, True)


def test_what_cannot_be_reached_gives_what_comes_nearest_and_says_so():
    solved = least_harm([LARGE, SMALL], 10)
    assert (solved.levels, solved.cost, solved.feasible) == ((2, 2), 11.0, False)
    solved = least_cost([LARGE, SMALL], -1)
    assert (solved.levels, solved.harm, solved.feasible) == ((0, 0), 0.0, False)


def test_of_what_comes_equally_near_the_least_harmful_is_taken():
    assert least_harm([Row("a", (3.0, 1.0, 2.0), (5.0, 5.0, 9.0))], 1).levels == (1,)


def test_only_allowed_levels_are_taken_and_they_keep_their_numbers():
    solved = least_harm([LARGE, SMALL], 60, allowed=[[2], None])
    assert (solved.levels, solved.harm) == ((2, 0), 5.0)


def test_a_lock_may_make_a_goal_impossible():
    solved = least_harm([LARGE, SMALL], 60, allowed=[[0], None])
    assert (solved.levels, solved.cost, solved.feasible) == ((0, 2), 101.0, False)


def test_a_cut_that_helps_is_taken():
    assert least_harm([Row("a", (0.0, -0.5), (2.0, 1.0))], 10).levels == (1,)


def test_nothing_to_choose_is_the_empty_choice():
    assert (least_harm([], 1).levels, least_harm([], 1).feasible, least_harm([], -1).feasible) == ((), True, False)


def test_a_fraction_that_cannot_be_written_exactly_does_not_break_a_limit():
    rows = [Row(str(i), (0.0, 1.0), (0.2, 0.1)) for i in range(3)]
    solved = least_harm(rows, 0.3)  # 0.1 + 0.1 + 0.1 is 0.30000000000000004
    assert (solved.levels, solved.feasible) == ((1, 1, 1), True)


def test_small_costs_beside_large_ones_count():
    rows = [Row("large", (0.0, 1.0), (1e12, 1e12 - 1)), Row("small", (0.0, 0.5), (2.0, 1.0))]
    assert least_harm(rows, 1e12 + 1).levels == (0, 1)
    assert least_harm(rows, 1e12).levels == (1, 1)


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_is_no_number_is_refused_with_the_row_s_name(bad):
    with pytest.raises(SecateurError, match=r"conv1 must be finite numbers; leave out"):
        Row("conv1", (0.0, bad), (2.0, 1.0))
    with pytest.raises(SecateurError, match=r"conv1 must be finite numbers"):
        Row("conv1", (0.0, 1.0), (2.0, bad))


def test_other_wrong_arguments_are_told():
    with pytest.raises(
        SecateurError, match=r"conv1 needs a harm and a cost for each level.*got 2 of harm and 1 of cost"
    ):
        Row("conv1", (0.0, 1.0), (1.0,))
    with pytest.raises(SecateurError, match="at least one"):
        Row("conv1", (), ())
    with pytest.raises(SecateurError, match=r"the limit is not a number \(NaN\)"):
        least_harm([LARGE], nan)
    with pytest.raises(SecateurError, match=r"large has levels 0 to 2, .*; got \[3\]"):
        least_harm([LARGE], 50, allowed=[[3]])
    with pytest.raises(SecateurError, match=r"one of them at least must be allowed; got \[\]"):
        least_harm([LARGE], 50, allowed=[[]])
    with pytest.raises(SecateurError, match="for each of 1 rows; got 2"):
        least_harm([LARGE], 50, allowed=[None, None])


@settings(max_examples=300, deadline=None)
@given(pairs=several, share=shares, by_harm=st.booleans())
def test_nothing_is_better_as_trying_every_choice_shows(pairs, share, by_harm):
    rows = as_rows(pairs)
    of = [row.cost if by_harm else row.harm for row in rows]
    low, high = (sum(f(weights) for weights in of) for f in (min, max))
    limit = low + share * (high - low)
    solved = (least_harm if by_harm else least_cost)(rows, limit)
    best = brute_force(rows, limit, by_harm)
    value, weight = (solved.harm, solved.cost) if by_harm else (solved.cost, solved.harm)
    assert solved.proven
    assert solved.bound <= value
    assert solved.feasible == (best is not None)
    assert weight <= limit + 1e-9 if solved.feasible else weight == pytest.approx(low)
    if best is not None:
        assert value == pytest.approx(best)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_whole_costs_agree_with_dynamic_programming(data):
    row = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), min_size=1, max_size=6)
    rows = as_rows([[(float(h), float(c)) for h, c in r] for r in data.draw(st.lists(row, min_size=1, max_size=25))])
    limit = data.draw(st.integers(0, 150))
    best = {0: 0.0}  # by cost
    for one in rows:
        grown = {}
        for so_far, harm in best.items():
            for h, c in zip(one.harm, one.cost, strict=True):
                if so_far + c <= limit:
                    grown[so_far + c] = min(grown.get(so_far + c, inf), harm + h)
        best = grown
    solved = least_harm(rows, limit)
    assert solved.feasible == bool(best)
    assert not best or solved.harm == min(best.values())
    assert solved.proven


def by_highs(rows, limit, about):
    """Least harm by mixed-integer programming over all levels; `about` scales it, for HiGHS stops at 1e-6."""
    harm, cost = (np.concatenate([getattr(row, name) for row in rows]) for name in ("harm", "cost"))
    of = np.repeat(np.arange(len(rows)), [len(row.harm) for row in rows])
    one_each = csr_matrix((np.ones(len(of)), (of, np.arange(len(of)))))
    scale = cost.max()
    found = milp(
        1000 * harm / about, integrality=np.ones(len(of)), bounds=Bounds(0, 1), options={"mip_rel_gap": 0},
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(cost[None, :] / scale, -np.inf, limit / scale)],
    )  # fmt: skip
    return float(harm[np.flatnonzero(found.x > 0.5)].sum())


@pytest.mark.parametrize("seed", range(5))
def test_mixed_integer_programming_finds_nothing_better(seed):
    rows = random_rows(seed, 40, 20)
    limit = middle(rows)
    solved = least_harm(rows, limit)
    assert solved.cost <= limit
    assert solved.proven
    highs = by_highs(rows, limit, solved.harm)
    assert solved.harm <= highs * (1 + 1e-9)
    assert solved.harm == pytest.approx(highs, rel=1e-6)


def greedy(rows, limit):
    """Cut the step of least harm per weight until the limit is kept."""
    levels = [0] * len(rows)
    while sum(row.cost[i] for row, i in zip(rows, levels, strict=True)) > limit:
        steps = [
            ((row.harm[j] - row.harm[i]) / (row.cost[i] - row.cost[j]), at, j)
            for at, (row, i) in enumerate(zip(rows, levels, strict=True))
            for j in range(i + 1, len(row.harm))
            if row.cost[j] < row.cost[i]
        ]
        _, at, j = min(steps)
        levels[at] = j
    return sum(row.harm[i] for row, i in zip(rows, levels, strict=True))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_it_is_never_worse_than_greedy(share):
    rows = random_rows(7, 30, 10)
    assert least_harm(rows, middle(rows, share)).harm <= greedy(rows, middle(rows, share)) + 1e-12


def test_a_thousand_rows_are_proven():
    rows = random_rows(3, 1000, 20)
    solved = least_harm(rows, middle(rows))
    assert solved.proven
    assert solved.cost <= middle(rows)
    assert solved.bound <= solved.harm <= solved.bound + PRECISION * solved.harm * 1.01


def test_both_questions_have_one_answer():
    rows = random_rows(5, 200, 20)
    solved = least_harm(rows, middle(rows))
    back = least_cost(rows, solved.harm)
    assert back.cost <= solved.cost
    assert back.proven


def test_cuts_that_harm_nothing_are_made_only_as_far_as_the_question_asks():
    rows = [Row(str(i), (0.0, 0.0), (10.0, 1.0)) for i in range(50)]
    assert least_harm(rows, 300).harm == 0
    assert least_harm(rows, 300).cost <= 300
    assert least_cost(rows, 0).cost == 50


def test_equal_rows_are_no_trouble_and_the_answer_is_the_same_each_time():
    rows = [Row(str(i), (0.0, 1.0, 3.0), (10.0, 6.0, 1.0)) for i in range(300)]
    first, second = (least_harm(rows, 1501) for _ in range(2))
    assert first == second
    assert first.proven
    # of 3000 go 1499: the large steps take 9 off for 3, the small ones 4 off for 1; 4 per harm is better
    assert first.harm == brute_equal(300, 1501)


def brute_equal(n, limit):
    return min(
        b + 3 * c for b in range(n + 1) for c in range(n + 1 - b) if 10 * (n - b - c) + 6 * b + c <= limit
    )  # fmt: skip


def test_when_the_time_is_up_the_gap_is_told():
    def strongly_correlated(generator, cost):
        return cost.max(axis=1, keepdims=True) - cost + 3.7 * (np.arange(cost.shape[1]) > 0)

    rows = random_rows(1, 300, 20, strongly_correlated)
    rows = [
        Row(
            row.name,
            tuple(h + i * 1e-7 for h in row.harm[:1]) + row.harm[1:],
            tuple(c * 1.0000001**i for c in row.cost),
        )
        for i, row in enumerate(rows)
    ]
    solved = least_harm(rows, middle(rows), time_limit=0.0)
    assert solved.feasible
    assert not solved.proven
    assert solved.bound < solved.harm
    assert solved.cost <= middle(rows)


@settings(max_examples=100, deadline=None)
@given(pairs=several, share=st.floats(0, 1))
def test_more_room_never_harms(pairs, share):
    rows = as_rows(pairs)
    limit = sum(min(row.cost) + share * (max(row.cost) - min(row.cost)) for row in rows)
    assert least_harm(rows, limit + 1).harm <= least_harm(rows, limit).harm + 1e-9


def test_a_level_on_the_line_between_two_others_is_not_overlooked():
    # a: 100 at no harm, 55 at 0.09, 50 at 0.1 (on one line), 10 at 1; b: 40 at 0.55, 20 at 0.6
    rows = [Row("a", (0.0, 0.09, 0.1, 1.0), (100.0, 55.0, 50.0, 10.0)), Row("b", (0.5, 0.575, 0.6), (60.0, 30.0, 20.0))]
    found = least_harm(rows, 75.0)
    assert found.levels == (1, 2)
    assert found.harm == pytest.approx(0.69)


@pytest.mark.parametrize("seed", range(60))
def test_of_few_rows_with_many_levels_no_choice_is_better(seed):
    rng = random.Random(seed)
    rows = []
    for _ in range(rng.choice((1, 2, 3))):
        weight, digits, n = rng.randint(50, 400), rng.choice((1, 2, 6)), rng.randint(2, 12)
        harm = sorted(round(rng.random(), digits) for _ in range(n))
        rows.append(Row("row", tuple(harm), tuple(weight * (1 - i / 20) for i in range(n))))
    limit = rng.uniform(0.7, 0.95) * sum(row.cost[0] for row in rows)
    choices = itertools.product(*(range(len(row.harm)) for row in rows))
    within = [c for c in choices if sum(row.cost[i] for row, i in zip(rows, c, strict=True)) <= limit + 1e-9]
    found = least_harm(rows, limit)
    assert found.feasible == bool(within)
    if within:
        best = min(sum(row.harm[i] for row, i in zip(rows, c, strict=True)) for c in within)
        assert found.harm == pytest.approx(best, abs=1e-8)
