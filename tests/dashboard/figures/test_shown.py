"""What `core.show` finds: the entry points are what pyproject says, and each draws its report by its values."""

import importlib
import importlib.metadata
import tomllib

import pytest

import core
from core import Cut, Estimate, SecateurError, SparsityPlan
from core.profiling.report import LayerCost, ProfileReport
from core.reports.figures import GROUP, show
from core.sensitivity.report import CellResult, SensitivityReport
from dashboard.figures.shown import heatmap, sweep
from tests.core.reports.test_every_report import report
from tests.imports import ROOT
from tests.scales import ACCURACY

DENSE = Estimate(0.9, 0.85, 0.95, 200)
NAMED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]


def cell(target, sparsity, drop, granularity="weight"):
    found = Estimate(drop, drop - 0.005, drop + 0.005, 200)
    metric = Estimate(0.9 - drop, 0.8, 0.95, 200)
    return CellResult(Cut(target, granularity, sparsity), 5, 10, "measured", metric, found)


def swept(*cells, dense=DENSE):
    return SensitivityReport("3f2a", "m", ACCURACY, dense, cells, n_examples=200)


@pytest.fixture
def installed(monkeypatch):
    """As if the package had just been installed: what pyproject names is there."""
    points = [importlib.metadata.EntryPoint(name, value, GROUP) for name, value in NAMED.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == GROUP else [])


def test_curves_of_what_loses_most_stand_in_front():
    figure = sweep(swept(cell("fc1", 0.5, 0.02), cell("fc1", 0.9, 0.2), cell("fc2", 0.5, 0.01)))
    assert {"fc1", "fc2"} <= {trace.name for trace in figure.data}
    assert figure.layout.xaxis.title.text == "sparsity, %"


def test_a_map_of_whole_heads_is_squares_and_what_is_not_measured_is_blank():
    waiting = CellResult(Cut("attn:1", "head"), 5, 10)
    figure = sweep(swept(cell("attn:0", None, 0.02, "head"), waiting))
    (squares,) = figure.data
    steps = [step for row in squares.z for step in row]
    assert None in steps
    assert [step for step in steps if step is not None] == [3]  # within twice the usual tolerance of one point
    assert heatmap(swept(cell("fc", 0.5, 0.02), cell("attn:0", None, 0.02, "head"))).data[1].type == "heatmap"


def test_nothing_measured_is_refused_and_no_empty_chart():
    with pytest.raises(SecateurError, match="nothing is measured yet"):
        sweep(swept(CellResult(Cut("fc", "weight", 0.5), 5, 10), dense=None))


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_report_that_is_named_is_drawn(name, installed):
    if name == "ProfileReport":
        value = ProfileReport("m", None, (), (), (), (LayerCost("fc", 10, 20.0, None, None, 1, 1),))
    else:
        value = report(name, full=True)
    assert type(core.show(value)).__module__.startswith("plotly")


def test_what_nobody_draws_is_refused_with_what_is(installed):
    with pytest.raises(SecateurError, match=r"core\.show draws FrontierReport, .*got SparsityPlan.*to_pandas"):
        show(SparsityPlan(()))


def test_without_the_dashboard_or_plotly_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    with pytest.raises(SecateurError, match="pip install secateur"):
        show(swept())
    absent = importlib.metadata.EntryPoint("SensitivityReport", "no_such_package:sweep", GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [absent])
    with pytest.raises(SecateurError, match="pip install plotly"):
        show(swept())
