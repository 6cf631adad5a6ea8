"""Who suffers from a cut: by hand on tiny evidence, and against numpy on larger."""

import itertools
import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import SecateurError
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.slices import broken_examples, column_names, is_sliceable, slice_drops
from core.sensitivity.statistics.intervals import TOO_LARGE, drop_estimate, metric_estimate
from core.workspace import Workspace
from tests.scales import ACCURACY, CROSS_ENTROPY, PERPLEXITY


def result_of(scale, *batches):
    return {"scale": asdict(scale), "batches": list(batches), "dense_cell": "dense"}


def batch(*scores, weights=None):
    return BatchEvidence(np.array(scores, "f4"), True, None if weights is None else np.array(weights, "f4"))


@pytest.fixture
def store(tmp_path):
    """Five animals in two batches: the cut loses both cats, wins a dog, and has not seen the second batch of `half`."""
    made = EvidenceStore(Workspace(tmp_path))
    made.add_batch("b0", [0, 1, 2], {"class": ["cat", "cat", "dog"], "night": [1, 0, 1]})
    made.add_batch("b1", [3, 4], {"class": ["dog", "fox"], "night": [0, 0]})
    made.add("dense", {"b0": batch(1, 1, 0), "b1": batch(1, 1)})
    made.add("cut", {"b0": batch(0, 0, 1), "b1": batch(1, 1)})
    made.add("half", {"b0": batch(0, 1, 1)})
    return made


RESULT = result_of(ACCURACY, "b0", "b1")


def test_each_class_has_its_own_drop_the_worst_first(store):
    cat, fox_or_dog, last = slice_drops(store, RESULT, "cut", "class")
    assert (cat.value, cat.n, cat.drop.value, cat.metric.value) == ("cat", 2, 1.0, 0.0)
    assert (fox_or_dog.value, fox_or_dog.n, fox_or_dog.drop.value, fox_or_dog.metric.value) == ("dog", 2, -0.5, 1.0)
    assert (last.value, last.n, last.drop, last.metric) == ("fox", 1, None, None)  # one example is no interval


def test_intervals_are_those_of_a_whole_map(store):
    cat = slice_drops(store, RESULT, "cut", "class")[0]
    assert cat.drop == drop_estimate(ACCURACY, np.ones(2), np.zeros(2))
    assert cat.metric == metric_estimate(ACCURACY, np.zeros(2))


def test_a_cell_that_is_measured_in_part_is_compared_on_that_part(store):
    assert [(one.value, one.n) for one in slice_drops(store, RESULT, "half", "class")] == [("cat", 2), ("dog", 1)]
    assert broken_examples(store, RESULT, "half", 9).n == 3
    assert slice_drops(store, RESULT, "not measured", "class") == ()
    assert broken_examples(store, RESULT, "not measured", 9) == broken_examples(store, RESULT, "", 9)


def test_any_column_will_do_and_another_is_refused_with_those_there_are(store):
    assert column_names(store, RESULT) == ("class", "night")
    assert {one.value: one.drop.value for one in slice_drops(store, RESULT, "cut", "night")} == {
        0: pytest.approx(1 / 3),
        1: 0.0,
    }
    with pytest.raises(SecateurError, match=r"no column 'colour' in this run; choose one of \['class', 'night'\]"):
        slice_drops(store, RESULT, "cut", "colour")


def test_broken_examples_are_named_with_what_is_known_of_them_and_counted_in_all(store):
    found = broken_examples(store, RESULT, "cut", 1)
    assert (found.n_broken, found.n_better, found.n) == (2, 1, 5)
    (one,) = found.examples
    assert (one.position, dict(one.columns), one.dense_score, one.score) == (0, {"class": "cat", "night": 1}, 1.0, 0.0)


def test_the_largest_loss_comes_first_whichever_way_is_better(store):
    """Of a loss, more is worse: example 2 loses 1, examples 0 and 1 gain; 3 and 4 stay."""
    lower = result_of(CROSS_ENTROPY, "b0", "b1")
    found = broken_examples(store, lower, "cut", 9)
    assert [one.position for one in found.examples] == [2]
    assert (found.n_broken, found.n_better) == (1, 2)
    store.add("graded", {"b0": batch(1.5, 4, 0.25), "b1": batch(1, 1)})
    assert [one.position for one in broken_examples(store, lower, "graded", 9).examples] == [1, 0, 2]


def test_a_score_that_is_no_number_is_the_worst_and_has_no_drop(store):
    store.add("nan", {"b0": batch(0, 1, float("nan")), "b1": batch(float("inf"), 1)})
    found = broken_examples(store, RESULT, "nan", 9)
    assert [(one.position, one.score) for one in found.examples] == [(2, None), (3, None), (0, 0.0)]
    drops = {one.value: one.drop and one.drop.value for one in slice_drops(store, RESULT, "nan", "class")}
    assert drops == {"cat": 0.5, "dog": None, "fox": None}
    json.dumps(asdict(found), allow_nan=False)


def test_a_class_in_which_one_example_weighs_has_no_interval(store):
    store.add("weighed", {"b0": batch(1, 2, 3, weights=[1, 0, 2]), "b1": batch(1, 1, weights=[3, 1])})
    result = {**result_of(PERPLEXITY, "b0", "b1"), "dense_cell": "weighed"}
    drops = {one.value: one.drop for one in slice_drops(store, result, "cut", "class")}
    assert drops["cat"] is None
    assert drops["fox"] is None
    expected = drop_estimate(PERPLEXITY, np.array([3.0, 1.0]), np.array([1.0, 1.0]), np.array([2.0, 3.0]))
    assert drops["dog"] == expected


def test_a_perplexity_beyond_all_numbers_is_none(store):
    store.add("far", {"b0": batch(900, 901, 1), "b1": batch(1.5, 1)})
    drops = {one.value: one.drop for one in slice_drops(store, result_of(PERPLEXITY, "b0", "b1"), "far", "class")}
    assert drops["cat"] is None
    assert drops["dog"] is not None


@pytest.mark.parametrize("result", [None, {}, {"scale": asdict(ACCURACY), "batches": []}])
def test_a_run_of_an_older_version_says_so(store, result):
    assert not is_sliceable(result)
    if result:
        assert column_names(store, result) == ()
        with pytest.raises(SecateurError, match="made by an older Secateur; sweep again"):
            broken_examples(store, result, "cut", 9)


def test_what_is_known_of_a_batch_may_be_said_better_later(store):
    store.add_batch("b0", [0, 1, 2], {"class": ["kitten", "cat", "dog"]})
    assert [one.value for one in slice_drops(store, RESULT, "cut", "class")][-1] == "kitten"
    found = store.read_batches(["b0", "b1", "b2"])
    assert found.keys() == {"b0", "b1"}
    assert found["b0"].positions.tolist() == [0, 1, 2]
    assert found["b0"].positions.dtype == np.int64
    assert found["b1"].columns == {"class": ("dog", "fox"), "night": (0, 0)}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), scale=st.sampled_from([ACCURACY, CROSS_ENTROPY, PERPLEXITY]))
def test_slices_are_what_numpy_makes_of_the_same_scores(tmp_path_factory, data, scale):
    n = data.draw(st.integers(1, 40))
    of = st.integers(0, 1) if scale.name == "accuracy" else st.floats(0, 20, width=32)
    dense, cut = (np.array(data.draw(st.lists(of, min_size=n, max_size=n)), "f4") for _ in range(2))
    names = data.draw(st.lists(st.sampled_from(["a", "b", "c", 1, 2]), min_size=n, max_size=n))
    bounds = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=3))})
    pieces = list(itertools.pairwise(bounds))
    store = EvidenceStore(Workspace(tmp_path_factory.mktemp("ws")))
    for a, b in pieces:
        store.add_batch(f"{a}", range(a, b), {"class": names[a:b]})
    for key, scores in (("dense", dense), ("cut", cut)):
        store.add(key, {f"{a}": BatchEvidence(scores[a:b], True) for a, b in pieces})
    result = result_of(scale, *(f"{a}" for a, _ in pieces))

    drops = slice_drops(store, result, "cut", "class")
    assert sum(one.n for one in drops) == n
    assert {one.value for one in drops} == set(names)
    values = [one.drop.value for one in drops if one.drop]
    assert values == sorted(values, reverse=True)
    for one in drops:
        at = np.array([name == one.value for name in names])
        means = [float(scores[at].astype("f8").mean()) for scores in (dense, cut)]
        before, after = np.exp(means) if scale.aggregate == "exp_mean" else means
        no_end = at.sum() > 1 and metric_estimate(scale, cut[at].astype("f8")).high > TOO_LARGE
        assert (one.drop is None) == (at.sum() < 2 or no_end)
        if one.drop:
            assert one.drop.value == pytest.approx(scale.drop(before, after), rel=1e-6, abs=1e-9)
            assert one.drop.low <= one.drop.value <= one.drop.high

    loss = (dense - cut if scale.higher_is_better else cut - dense).astype("f8")
    found = broken_examples(store, result, "cut", 5)
    assert (found.n_broken, found.n_better, found.n) == ((loss > 0).sum(), (loss < 0).sum(), n)
    assert len(found.examples) == min(5, found.n_broken)
    assert [loss[one.position] for one in found.examples] == sorted(loss[loss > 0], reverse=True)[:5]
    assert [one.columns["class"] for one in found.examples] == [names[one.position] for one in found.examples]
