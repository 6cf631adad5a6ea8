"""Which models were looked at on what is set aside, and the number that each has."""

import pytest

from core.jobs.known.certificates import looks, next_number, note_gate
from core.jobs.runs import RunStore
from core.workspace import Workspace

pytestmark = pytest.mark.plain


def test_every_model_has_one_number_whoever_looked(tmp_path):
    runs = RunStore(Workspace(tmp_path))
    runs.note_finished("certify", "m", {"within": 1}, {"examples": "a", "cell": "one", "number": 1}, 1.0)
    note_gate(runs, "m", {"candidate": "x"}, "a", ["one", "two"])  # weights, which are no cell
    note_gate(runs, "m", {"candidate": "y"}, "a", ["two", "three"])
    note_gate(runs, "m", {"candidate": "z"}, "others", ["four"])
    assert looks(runs, "a") == {"one": 1, "gate:one": 2, "gate:two": 3, "gate:three": 4}
    assert looks(runs, "others") == {"gate:four": 1}
    assert next_number(looks(runs, "a")) == 5


def test_after_a_merge_that_gave_a_number_twice_the_next_counts_both():
    assert next_number({"a": 1, "b": 1}) == 3
    assert next_number({}) == 1
