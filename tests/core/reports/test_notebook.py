"""Values at the end of a notebook's cell, and as tables."""

import sys
from xml.etree import ElementTree

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale
from tests.core.reports.conftest import ACCURACY, measured

NASTY = "<b>&\"'"
SCALE = Scale.from_json(ACCURACY)
DENSE = Estimate(0.9, 0.85, 0.95, 200)
WAITING = CellResult(Cut("fc", "weight", 0.9), 5, 10)
MAP = SensitivityReport("3f2a", NASTY, SCALE, DENSE, (measured(NASTY, 0.5, 0.02), WAITING), n_examples=200)
PLAN = SparsityPlan((Cut(NASTY, "weight", 0.5), Cut("attn:1", "head")), NASTY)


@pytest.mark.parametrize("value", [MAP, PLAN], ids=["map", "plan"])
def test_what_a_notebook_shows_is_well_formed_and_names_are_text(value):
    drawn = value._repr_html_()
    read = ElementTree.fromstring(drawn)
    assert NASTY in "".join(read.itertext())
    assert not {"script", "b"} & {node.tag.rpartition("}")[2] for node in read.iter()}
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


def test_a_map_is_a_picture_with_every_measured_drop_and_nothing_for_the_others():
    texts = [node.text for node in ElementTree.fromstring(MAP._repr_html_()).iter() if node.tag.endswith("}text")]
    assert "+2.0" in texts
    assert "0.0" not in texts


def test_a_table_has_a_row_for_every_cell_and_what_was_not_measured_is_missing():
    table = MAP.to_pandas()
    assert list(table["sparsity"]) == [0.5, 0.9]
    assert list(table["drop"].isna()) == [False, True]
    assert list(PLAN.to_pandas()["target"]) == [cut.target for cut in PLAN.cuts]


def test_without_pandas_a_table_is_refused_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SecateurError, match="pip install pandas"):
        MAP.to_pandas()
    assert MAP._repr_html_()


@pytest.mark.model
def test_the_measurement_of_a_plan_shows_dense_pruned_and_drop(net_file):
    from core import PruningConfig, prune

    found = prune(str(net_file), PruningConfig(target_sparsity=0.5)).measurement
    ElementTree.fromstring(found._repr_html_())
    assert "n = 40" in found._repr_html_()
    (row,) = found.to_pandas().to_dict("records")
    assert row["drop"] == found.outcome.drop.value
    assert row["drop_n"] == 40


@pytest.mark.model
def test_pairs_show_each_interaction_with_its_interval(net_file):
    from core import pairs

    found = pairs(str(net_file), sparsity=0.5, workspace=net_file.parent / "ws")
    ElementTree.fromstring(found._repr_html_())
    table = found.to_pandas()
    assert len(table) == len(found.pairs)
    assert {"interaction_low", "interaction_n", "sum_alone"} <= set(table.columns)
