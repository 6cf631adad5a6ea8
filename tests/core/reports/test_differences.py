"""Two maps beside each other, cut by cut."""

from dataclasses import replace

import numpy as np
import pytest

from core import Cut, SecateurError
from core.reports.differences import compare, comparison_lines, comparison_sheets
from core.reports.gathered import gather
from core.reports.page import page
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import CellResult
from tests.core.reports.conftest import ACCURACY, DENSE, measured

N = 400


@pytest.fixture
def swept_with(runs, swept):
    """A sweep with evidence: how many of 400 examples each cut breaks, by target."""

    def make(seed, broken, *others, criterion="magnitude", **result):
        store = EvidenceStore(runs.workspace)
        dense = np.ones(N, "f4")
        store.add(f"dense{seed}", {"b": BatchEvidence(dense, True, None)})
        cells = []
        for target, n in broken.items():
            scores = dense.copy()
            scores[:n] = 0
            store.add(f"{target}{seed}", {"b": BatchEvidence(scores, n > 0, None)})
            cell = measured(target, 0.5, n / N, n=N)
            cell = replace(cell, cut=replace(cell.cut, criterion=criterion), evidence=f"{target}{seed}")
            cells.append(cell)
        known = {"scale": ACCURACY, "dense": DENSE, "n": N, "batches": ["b"], "dense_cell": f"dense{seed}", **result}
        return swept(*cells, *others, seed=seed, result=known)

    return make


def by_target(found):
    return {one.cut.target: one for one in found.cells}


def test_a_cut_that_costs_more_in_the_second_is_told_apart_and_one_that_does_not_is_not(runs, swept_with):
    found = compare(runs, swept_with(1, {"a": 10, "b": 10}), swept_with(2, {"a": 90, "b": 11}))
    cells = by_target(found)
    assert cells["a"].difference.value == pytest.approx(80 / N)
    assert cells["a"].difference.low > 0
    assert (cells["a"].direction, cells["b"].direction) == ("more", "unclear")
    assert (cells["a"].first.value, cells["a"].second.value) == (10 / N, 90 / N)
    back = by_target(compare(runs, runs.get(found.second), runs.get(found.first)))
    assert back["a"].direction == "less"
    assert back["a"].difference.value == pytest.approx(-80 / N)


def test_cells_that_one_map_has_alone_are_blank_with_the_reason(runs, swept_with):
    failed = CellResult(Cut("c", "weight", 0.5), 5, 10, "failed", reason="it broke")
    one, other = swept_with(1, {"a": 10, "c": 10}), swept_with(2, {"b": 10}, failed)
    found = compare(runs, one, swept_with(3, {"a": 10}, failed))
    assert by_target(found)["c"].reason.endswith("could not measure it: it broke")
    assert by_target(found)["c"].difference is None
    (sheet,) = comparison_sheets(found, 0.01)
    assert sheet.squares[sheet.rows.index("c"), 0].shown == "–"
    nothing = compare(runs, one, other)
    assert "have no measured cut in common" in nothing.reason
    assert [one.difference for one in nothing.cells] == [None] * 3
    assert comparison_lines(nothing)[0].startswith("Not compared: ")


def test_maps_on_other_examples_are_not_compared_and_still_stand_beside_each_other(runs, swept_with):
    found = compare(runs, swept_with(1, {"a": 10}), swept_with(2, {"a": 90}, batches=["other"]))
    assert "share no batch of examples" in found.reason
    assert by_target(found)["a"].first.value == 10 / N
    assert by_target(found)["a"].difference is None


def test_two_criteria_are_compared_where_each_map_has_one(runs, swept_with):
    found = compare(runs, swept_with(1, {"a": 10}), swept_with(2, {"a": 90}, criterion="wanda"))
    assert by_target(found)["a"].direction == "more"


def test_maps_of_two_metrics_and_a_map_beside_itself_are_refused(runs, swept_with):
    run = swept_with(1, {"a": 10})
    other = swept_with(2, {"a": 10}, scale={**ACCURACY, "name": "f1"})
    with pytest.raises(SecateurError, match="drops of two metrics do not compare"):
        compare(runs, run, other)
    with pytest.raises(SecateurError, match="name another to set beside it"):
        compare(runs, run, run)


def test_the_page_of_two_maps_has_their_difference(runs, swept_with):
    ids = [swept_with(1, {"a": 10}).id, swept_with(2, {"a": 90}).id]
    text = page(gather(runs, ids), 0.0)
    assert "Difference: " in text
    assert "1 cost more" in text


def test_rows_for_a_file_have_both_drops_and_their_difference(runs, swept_with):
    found = compare(runs, swept_with(1, {"a": 10}), swept_with(2, {"a": 90}))
    (row,) = found.rows()
    assert row[f"drop_{found.first}"] == 10 / N
    assert row["difference"] == pytest.approx(80 / N)
    assert row["direction"] == "more"
