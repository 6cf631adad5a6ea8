"""Whose milliseconds the tuner counts, and at which batch and threads they were measured."""

from core.jobs.known.findings import KnownStairs
from core.profiling.report import Machine
from core.profiling.stairs.report import EngineStairs, StairsReport
from dashboard.screens.model import stairs_panel
from dashboard.screens.tune import predicted


def test_the_newest_staircases_count_and_the_label_says_at_which_batch_and_threads_they_were_measured(monkeypatch):
    engine = EngineStairs("onnx", "1.32.0", finished=True)
    report = StairsReport("net", Machine("Xeon", 2, "Linux", "cpu", "2.13", "1.32"), 2, 8, (engine,))
    monkeypatch.setattr(stairs_panel, "known", lambda ref, found: {"onnx": KnownStairs(None, report, engine)})
    assert predicted.engine_label("net", None, "onnx") == "ONNX Runtime, batch 8, 2 threads"
    assert predicted.engine_label("net", None, None) == "torch, single cuts"
