"""`secateur profile`, in this process: what it prints, and how it refuses."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from core import Cut, SparsityPlan
from core.cli.tables import profiles as tables
from core.jobs import launch
from core.jobs.runs import RunStore
from core.jobs.works.profiling import TELL_SECONDS
from core.profiling.report import (
    LayerCost,
    Machine,
    ProfileReport,
    Saving,
    Size,
    SpeedRatio,
    Timing,
    Unavailable,
)
from core.profiling.request import ProfileRequest
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

pytestmark = pytest.mark.usefixtures("own_folder")

QUICK = ("--batch", "2", "--threads", "1", "--rounds", "6", "--engines", "eager")


@pytest.fixture
def plan_file(net_file, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(SparsityPlan((Cut("fc1", "weight", 0.5),), str(net_file)).to_json())
    return path


def test_a_profile_is_printed_and_kept(net_file, plan_file):
    document = document_of("profile", net_file, plan_file, "--savings", "0.5", *QUICK)
    assert (document["run"]["kind"], document["run"]["state"]) == ("profile", "finished")
    report = ProfileReport.from_json(document["report"])
    assert [(size.variant, size.parameters, size.nonzeros) for size in report.sizes] == [
        ("dense", 83, 83),
        ("masked", 83, 59),
    ]
    assert report.sizes[0].flops == 2 * (6 * 8 + 8 * 3)
    assert [(one.target, one.sparsity) for one in report.savings] == [("fc1", 0.5)]
    run = document["run"]["id"]
    assert document_of("show", run) == document
    text = secateur("show", run).stdout
    for words in ("parameters", "83", "59", "quartiles", "fc1", "between the layers", "ms saved", "1 thread"):
        assert words in text
    assert report.ratios[0].verdict in text
    assert run in secateur("runs").stdout
    (kept,) = RunStore(Workspace(".secateur")).list("profile")
    assert len(kept.result["model"]) == 64  # of which weights it speaks
    assert RunStore(Workspace(".secateur")).profile_report(kept) == report


def test_without_a_plan_the_dense_model_is_profiled_alone(net_file):
    report = document_of("profile", net_file, *QUICK)["report"]
    assert [size["variant"] for size in report["sizes"]] == ["dense"]
    assert report["ratios"] == []


def test_what_makes_no_sense_is_refused_before_the_model_is_read(net_file, tmp_path):
    assert "expected values such as 1,64, got 'many'" in refused("profile", net_file, "--batch", "many")
    assert "a batch size must be a whole number of at least 1" in refused("profile", net_file, "--batch", "0")
    assert "no engine 'tvm'; choose of eager, compile, onnx" in refused("profile", net_file, "--engines", "eager,tvm")
    assert "fewer make no 95 % interval" in refused("profile", net_file, "--rounds", "3")
    assert "Divide by 100" in refused("profile", net_file, "--savings", "50")
    assert "cannot read the plan" in refused("profile", net_file, tmp_path / "none.json")
    assert not Path(".secateur").exists()


def test_a_plan_for_another_model_is_refused(net_file, plan_file):
    plan_file.write_text(SparsityPlan((Cut("stem", "weight", 0.5),), "fashion-resnet").to_json())
    assert "no weight target 'stem'" in refused("profile", net_file, plan_file, *QUICK)


def test_a_profile_can_be_stopped_and_asked_for_again(net_file, monkeypatch):
    runs = RunStore(Workspace(".secateur"))
    monkeypatch.setattr("core.jobs.works.measuring.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("core.jobs.works.profiling.TELL_SECONDS", 0.0)
    assert TELL_SECONDS > 0
    update, seen = runs.update, []

    def stop_at_the_first_round(run_id, **columns):
        update(run_id, **columns)
        seen.append(columns)
        if columns.get("done"):
            runs.ask_to_stop(run_id)

    monkeypatch.setattr(runs, "update", stop_at_the_first_round)
    request = ProfileRequest((2,), (1,), ("eager",), rounds=6)
    run, is_new = launch.start_profile(runs, str(net_file), None, request)
    stopped = runs.get(run.id)
    assert (is_new, stopped.state, stopped.result) == (True, "cancelled", None)
    assert 0 < stopped.done < stopped.total == 12
    assert any("timing every layer, batch 2" in str(columns.get("phase")) for columns in seen)
    monkeypatch.undo()
    monkeypatch.setattr(launch, "_start_worker", lambda runs, *queued: None)
    again, is_new = launch.start_profile(runs, str(net_file), None, request)
    assert is_new
    assert again.request == {"plan": None, "profile": json.loads(json.dumps(asdict(request)))}


def made_up(n_layers=2):
    layers = tuple(LayerCost(f"fc{i}", 8, 16.0, 0.001, 1 / n_layers, 4, 1) for i in range(n_layers))
    return ProfileReport(
        "net",
        Machine("a cpu", 1, "Linux x86_64", "cpu", "2.13.0", "1.32.0"),
        (Size("dense", 8, 8, 16.0, 1500, 1400, None, 4), Size("shrunk", 4, 4, 8.0, 900, 800, 64, 4)),
        (
            Timing("dense", "eager", 4, 1, 30, 5, 0.002, 0.001, 0.003),
            Timing("shrunk", "eager", 4, 1, 30, 5, 0.001, 0.001, 0.002),
        ),
        (SpeedRatio("shrunk", "eager", 4, 1, 1.9, 1.5, 2.5, 30),),
        layers,
        (Unavailable("dense", "onnx", 4, None, "no aten.foo"), Unavailable("shrunk", "onnx", 4, 2, "no aten.foo")),
        (Saving("fc0", 0.5, 4, 1, 0.0005, -0.001, 0.001, 30), Saving("fc1", 0.5, 4, 1, 0.0005, 0.0004, 0.001, 30)),
    )


def test_the_tables_say_what_was_measured_and_what_was_not(capsys):
    tables.profile_tables(made_up())
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("a cpu, 1 core, Linux x86_64, on cpu; torch 2.13.0, onnxruntime 1.32.0")
    assert ["parameters", "8", "4"] in lines
    assert ["file", "1.5", "kB", "900", "B"] in lines
    assert ["peak", "memory,", "batch", "4", "–", "64", "B"] in lines  # not measured is not 0
    assert ["eager", "4", "1", "dense", "2.00", "[1.00,", "3.00]"] in lines
    assert ["shrunk", "1.00", "[1.00,", "2.00]", "1.90", "×", "[1.50,", "2.50]", "faster"] in lines
    assert "No time from onnx (dense, batch 4; shrunk, batch 4, 2 threads): no aten.foo" in text
    assert ["fc0", "50", "%", "50", "%", "50", "%", "1.00"] in lines
    assert ["fc0", "50", "%", "4", "1", "0.500·", "[−1.00,", "1.00]"] in lines
    assert ["fc1", "50", "%", "4", "1", "0.500", "[0.400,", "1.00]"] in lines


def test_of_many_layers_the_costly_ones_are_shown_and_the_others_are_told(capsys):
    tables.profile_tables(made_up(50))
    text = capsys.readouterr().out
    assert "20 more layers take 40 % of the time, and --json has them." in text
    assert text.count("\nfc") == tables.MANY_LAYERS + 2  # and two savings
