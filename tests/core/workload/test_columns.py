"""Columns: one value per evaluation example, and classes that are there by themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import Examples, SecateurError
from core.workload.columns import FEW


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", "a", "b"],
        ("a", "b", "a", "b"),
        np.array(["a", "b", "a", "b"]),
    ],
)
def test_a_column_is_any_sequence_of_strings(hand, values):
    with_column = replace(hand, columns={"site": values})
    with_column.check()
    assert with_column.all_columns()["site"] == ("a", "b", "a", "b")


@pytest.mark.parametrize(
    "values", [[1, 2, 3, 4], torch.tensor([1, 2, 3, 4]), np.array([1, 2, 3, 4], "i2"), range(1, 5)]
)
def test_a_column_is_any_sequence_of_integers(hand, values):
    found = replace(hand, columns={"site": values}).all_columns()["site"]
    assert found == (1, 2, 3, 4)
    assert {type(value) for value in found} == {int}


def test_flags_become_words(hand):
    flags = torch.tensor([True, False, True, True])
    assert replace(hand, columns={"night": flags}).all_columns()["night"] == ("True", "False", "True", "True")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"site": ["a"]}, r"column 'site' of hand has 1 values for 4 evaluation examples"),
        ({"site": torch.zeros(5, dtype=torch.int64)}, "has 5 values for 4"),
        ({"site": "abcd"}, "one value per example; got str"),
        ({"site": 3}, "one value per example; got int"),
        ({"site": [0.5, 1.0, 2.0, 3.0]}, r"strings or integers, got 0.5; put numbers into ranges"),
        ({"site": ["a", None, "b", "c"]}, r"got None; .*name what is missing"),
        ({"site": torch.zeros(4, 2, dtype=torch.int64)}, r"strings or integers, got \[0, 0\]"),
        (["a", "b"], "must be a dictionary"),
        ({3: ["a"] * 4}, "must be a dictionary"),
    ],
)
def test_what_is_no_column_is_refused(hand, columns, message):
    with pytest.raises(SecateurError, match=message):
        replace(hand, columns=columns).check()


def test_labels_with_names_are_a_column_by_themselves(hand):
    assert hand.all_columns() == {"class": (0, 1, 0, 1)}
    assert replace(hand, class_names=("cat", "dog")).all_columns() == {"class": ("cat", "dog", "cat", "dog")}
    assert replace(hand, class_names=("cat",)).all_columns() == {"class": ("cat", "1", "cat", "1")}  # one has no name
    assert replace(hand, columns={"class": ["x"] * 4}).all_columns() == {"class": ("x",) * 4}


def test_labels_that_are_no_classes_are_no_column(hand, tied_lm):
    assert tied_lm.all_columns() == {}  # a label per character
    points = hand.evaluation.inputs
    assert replace(hand, evaluation=Examples(points, torch.tensor([0.5, 1, 2, 3]))).all_columns() == {}
    many = Examples(torch.randn(FEW + 1, 2), torch.arange(FEW + 1))
    assert replace(hand, evaluation=many).all_columns() == {}
    assert "class" in replace(hand, evaluation=many, class_names=("a",)).all_columns()
