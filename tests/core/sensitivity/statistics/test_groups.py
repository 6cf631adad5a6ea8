"""Drops of all groups together: what a group may lose, and who is worse after looking at many."""

import numpy as np
import pytest
from scipy.stats import norm

from core.sensitivity.statistics.groups import GroupDrop, are_kept, are_shown, excess, group_drops, told_groups
from core.sensitivity.statistics.intervals import drop_estimate, tango
from tests.scales import ACCURACY, CROSS_ENTROPY, F1


def classes(*groups):
    """Columns, dense and cut scores: of each group its value, examples, how many the cut loses and wins."""
    values, dense, cut = [], [], []
    for value, n, lost, won in groups:
        values += [value] * n
        dense += [1.0] * (n - won) + [0.0] * won
        cut += [0.0] * lost + [1.0] * (n - lost)
    return {"class": values}, np.array(dense), np.array(cut)


def tango_by_hand(lost, won, n, z):
    """Ends of Tango's interval by a fine grid of his score test, for level z."""
    delta = np.linspace(-0.9999, 0.9999, 400_001)
    b = -lost - won + (2 * n - lost + won) * delta
    q = (np.sqrt(np.maximum(0, b * b + 8 * n * won * delta * (1 - delta))) - b) / (4 * n)
    score = (lost - won - n * delta) / np.sqrt(np.maximum(n * (2 * q + delta * (1 - delta)), 1e-300))
    inside = delta[np.abs(score) <= z]
    return inside.min(), inside.max()


def by_value(groups):
    return {group.value: group for group in groups}


def test_the_intervals_of_all_groups_are_wider_by_bonferroni():
    columns, dense, cut = classes(("a", 400, 12, 2), ("b", 300, 3, 1), ("c", 200, 0, 0), ("d", 100, 1, 4))
    found = by_value(group_drops(ACCURACY, columns, dense, cut))
    for value, (lost, won, n) in {"a": (12, 2, 400), "b": (3, 1, 300), "c": (0, 0, 200), "d": (1, 4, 100)}.items():
        own = tango_by_hand(lost, won, n, norm.ppf(0.975))
        together = tango_by_hand(lost, won, n, norm.ppf(1 - 0.025 / 4))
        assert found[value].drop.value == (lost - won) / n
        assert (found[value].drop.low, found[value].drop.high) == pytest.approx(own, abs=1e-4)
        assert (found[value].low, found[value].high) == pytest.approx(together, abs=1e-4)
    assert [group.value for group in group_drops(ACCURACY, columns, dense, cut)] == ["a", "b", "c", "d"]
    assert tango(12, 2, 400) == tango(12, 2, 400, 0.975)


def test_a_limit_is_kept_unsure_beyond_or_not_to_be_told():
    columns, dense, cut = classes(("kept", 800, 2, 1), ("unsure", 400, 6, 1), ("beyond", 300, 9, 1), ("few", 40, 0, 0))
    groups = group_drops(ACCURACY, columns, dense, cut, limits={"class": 0.02})
    assert {group.value: group.says for group in groups} == {
        "kept": "kept", "unsure": "unsure", "beyond": "beyond", "few": "too few",
    }  # fmt: skip
    assert tango(0, 0, 40)[1] > 0.02  # so that nothing could be shown of it
    assert excess(groups) == pytest.approx(8 / 300 - 0.02)
    assert not are_shown(groups)
    assert not are_kept(groups)
    mild = [group for group in groups if group.value != "beyond"]
    assert are_kept(mild)
    assert not are_shown(mild)
    assert are_shown([group for group in mild if group.value != "unsure"])
    assert are_shown(group_drops(ACCURACY, columns, dense, cut))  # nothing was asked


def test_who_is_worse_is_told_in_holms_order():
    """Two-sided normal tests of means, by hand: Holm finds a group that Bonferroni alone does not."""
    rng = np.random.default_rng(0)
    n, shifts = 2000, {"a": 0.2, "b": 0.0585, "c": 0.0, "d": -0.1}
    values = [value for value in shifts for _ in range(n)]
    noise = rng.normal(0, 1, (4, n))
    noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, ddof=1, keepdims=True)
    cut = np.concatenate([shift + row for shift, row in zip(shifts.values(), noise, strict=True)]) + 5
    dense = np.full(4 * n, 5.0)
    found = by_value(group_drops(CROSS_ENTROPY, {"kind": values}, dense, cut))
    p = {value: 2 * norm.sf(shift * np.sqrt(n)) for value, shift in shifts.items()}
    assert p["b"] < 0.05 / 3  # second in Holm's order
    assert p["b"] > 0.05 / 4 - 0.005
    assert [value for value, group in found.items() if group.worse] == ["a", "b"]
    assert found["b"].drop.value == pytest.approx(0.0585)


def test_no_group_is_called_worse_wrongly_more_often_than_promised():
    rng = np.random.default_rng(1)
    values = np.repeat(np.arange(10), 100).tolist()
    wrong = 0
    for _ in range(200):
        dense = (rng.random(1000) < 0.9).astype(float)
        swapped = rng.random(1000) < 0.1
        cut = np.where(swapped, (rng.random(1000) < 0.9).astype(float), dense)  # the same model, in law
        wrong += any(group.worse for group in group_drops(ACCURACY, {"class": values}, dense, cut))
    assert wrong <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)


def test_columns_that_are_no_groups_are_passed_over_unless_guarded():
    n = 300
    columns = {"id": list(range(n)), "all": ["x"] * n, "half": [i % 2 for i in range(n)]}
    dense, cut = np.ones(n), np.ones(n)
    assert {group.column for group in group_drops(ACCURACY, columns, dense, cut)} == {"half"}
    guarded = group_drops(ACCURACY, columns, dense, cut, limits={"all": 0.1})
    assert {group.column for group in guarded} == {"half", "all"}


def test_a_metric_of_the_set_has_no_drop_of_a_class_and_few_examples_have_no_interval():
    truth = np.array([0.0, 1.0, 0.0, 1.0] * 10)
    columns = {"class": truth.astype(int).tolist(), "half": [0, 0, 1, 1] * 10}
    found = group_drops(F1, columns, truth, 1 - truth, truth)
    assert all((group.drop is None) == (group.column == "class") for group in found)
    one = group_drops(ACCURACY, {"c": ["a", "b", "b"]}, np.ones(3), np.zeros(3), limits={"c": 0.5})
    assert by_value(one)["a"].says == "too few"
    assert by_value(one)["b"].drop == drop_estimate(ACCURACY, np.ones(2), np.zeros(2))


def test_what_a_run_keeps_comes_back():
    columns, dense, cut = classes(*((f"c{i}", 100, i, 0) for i in range(8)))
    groups = group_drops(ACCURACY, columns, dense, cut, limits={"class": 0.05})
    told = told_groups(groups)
    assert {one["of"] for one in told} == {8}
    assert GroupDrop.from_json(told[0]) == groups[0]
    assert {one["value"] for one in told} >= {"c7", "c6"}
