"""The commands around staircases: measured, solved for, refused in one line; and models for a device."""

import copy
import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.engines.adapters.adapter import Written
from core.engines.adapters.source import Source
from core.errors import SecateurError
from core.profiling.stairs import device, on_device
from core.profiling.stairs.device import export_costs
from core.workload.loading import load_workload
from tests.core.cli.running import document_of, refused, secateur

pytestmark = [pytest.mark.model, pytest.mark.process]
QUICK = ("--rounds", 6, "--seconds", 0.05)


@pytest.fixture
def swept(net_file, tmp_path, monkeypatch):
    """The small net, its neurons swept and its staircase measured in eager torch."""
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.chdir(tmp_path)
    assert secateur("sweep", net_file, "--channels", "--no-weights", "--sparsities", "0.25,0.5,0.75").exit_code == 0
    document = document_of("profile", net_file, "--widths", "--engines", "eager", *QUICK)
    (engine,) = document["report"]["engines"]
    assert (engine["engine"], engine["finished"]) == ("eager", True)
    assert [width["width"] for width in engine["widths"]] == [1, 2, 3, 4, 5, 6, 7]  # fc1 has eight neurons
    assert "eager" in secateur("show", document["run"]["id"]).stdout
    return net_file


def test_plans_are_made_for_an_engine_whose_steps_are_known(swept, tmp_path):
    solved = document_of("solve", swept, "--cost", "milliseconds", "--engine", "eager", "--left", 1)
    assert solved["dense_cost"] > 0
    plan = tmp_path / "plan.json"
    done = secateur("plan", swept, "--channels", 0.5, "--align", 1, "--out", plan)
    assert done.exit_code == 0
    timed = document_of("predict", swept, plan, "--engine", "eager")
    assert (timed["on"], timed["cost"]["unmeasured"]) == ("eager", [])
    for words in (("predict", swept, plan), ("solve", swept, "--cost", "milliseconds", "--left", 1)):
        said = secateur(*words, "--engine", "eager").stdout
        assert f"By staircases of eager {torch.__version__}, batch 1, 1 thread, on " in said
    assert "predicted on eager: " in secateur("predict", swept, plan, "--engine", "eager").stdout
    done = secateur("plan", swept, "--channels", 0.5, "--json")
    assert "widths are rounded up to the end of steps measured in eager; --align 1 keeps" in done.stderr
    for command in (("solve", swept), ("minimise", swept), ("refine", swept)):
        goal = ("--within", 1) if command[0] == "minimise" else ("--left", 0.5)
        said = refused(*command, *goal, "--cost", "milliseconds", "--engine", "ncnn")
        assert "was in ncnn; `secateur profile" in said or "was measured in ncnn; `secateur profile" in said
        assert "give --cost milliseconds with it" in refused(*command, *goal, "--engine", "eager")
    assert "none of net as it is now was in ncnn" in refused(
        "plan", swept, "--channels", 0.5, "--align", "auto", "--engine", "ncnn"
    )


def test_steps_of_an_earlier_version_of_the_model_round_nothing(swept, tmp_path):
    text = Path(swept).read_text()
    changed = text.replace("manual_seed(0)", "manual_seed(1)", 1)
    assert changed != text
    Path(swept).write_text(changed)
    done = secateur("plan", swept, "--channels", 0.5, "--json")
    assert done.exit_code == 0
    assert "end of steps" not in done.stderr
    said = refused("plan", swept, "--channels", 0.5, "--align", "auto")
    assert "--align auto takes steps that were measured, and none of" in said
    assert "as it is now was in this workspace" in said
    assert "give --channels with it" in refused("plan", swept, "--uniform", 0.5, "--engine", "eager")


def test_a_table_of_a_device_stands_in_for_an_engine(swept, tmp_path):
    table = tmp_path / "costs.csv"
    table.write_text("target,width,milliseconds,device\ndense,,10,phone\nfc1,4,8,phone\nfc1,2,7,phone\n")
    words = ("solve", swept, "--cost", "milliseconds", "--costs", table, "--left", 0.85)
    solved = document_of(*words)
    assert solved["cost"]["value"] == pytest.approx(8.0)
    assert solved["plan"]["cuts"][0]["sparsity"] == 0.5
    assert "milliseconds on phone" in secateur(*words).stdout
    assert "both say whose milliseconds count" in refused(*words, "--engine", "eager")
    table.write_text(table.read_text() + "fc9,4,8,phone\n")
    assert "line 5: net has no coupled group and no attention 'fc9'" in refused(*words)
    assert "cannot read the costs" in refused(*words[:5], tmp_path / "none.csv", "--left", 0.5)


def test_what_widths_cannot_be_measured_with_is_refused(net_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "ws"))
    assert "leave out PLAN" in refused("profile", net_file, "--widths", "--savings", 0.5)
    assert "one --batch" in refused("profile", net_file, "--widths", "--batch", "1,8")
    assert "give --widths too" in refused("profile", net_file, "--python", "onnx=/x")
    assert "no engine 'tvm'" in refused("profile", net_file, "--widths", "--engines", "tvm")
    for words in (("profile", net_file, "--widths", "--engines", "onnx,coreml"),
                  ("frontier", net_file, "--engine", "coreml")):  # fmt: skip
        assert "nothing can be timed on coreml here" in refused(*words)
    for words in (("plan", net_file, "--channels", 0.5), ("predict", net_file, net_file)):
        assert "nothing can be timed on ethos-u here" in refused(*words, "--engine", "ethos-u")
    assert "a table is of one engine" in refused(
        "profile", net_file, "--export-costs", tmp_path / "out", "--engines", "onnx,ncnn"
    )
    assert "has no benchmark tool" in refused(
        "profile", net_file, "--export-costs", tmp_path / "o", "--engines", "eager"
    )
    assert "give --align auto to plan" in refused("sweep", net_file, "--channels", "--align", "auto")
    assert "a whole number such as 8, or auto" in refused("plan", net_file, "--channels", 0.5, "--align", "some")

    for name, why in (("coreml", "Apple's systems alone"), ("ethos-u", "Vela estimates its cycles")):
        for words in (
            ("profile", net_file, "--widths", "--engines", name),
            ("frontier", net_file, "--engine", name),
            ("solve", net_file, "--cost", "milliseconds", "--engine", name, "--left", 0.5),
            ("predict", net_file, "plan.json", "--engine", name),
            ("plan", net_file, "--channels", 0.5, "--engine", name),
        ):
            said = refused(*words)
            assert f"nothing can be timed on {name} here" in said
            assert why in said


@pytest.mark.process
def test_models_for_a_device_are_measured_there_by_its_tool(net_file, tmp_path):
    folder = tmp_path / "phone"
    assert export_costs(load_workload(str(net_file)), "onnx", folder) == []
    rows = list(csv.DictReader((folder / "costs.csv").read_text().splitlines()))
    assert [row["width"] for row in rows] == ["", "1", "2", "3", "4", "5", "6", "7"]
    assert all((folder / "models" / row["file"]).is_file() and not row["milliseconds"] for row in rows)
    assert json.loads((folder / "models.json").read_text())["shapes"]["shape"] == "[1,6]"
    assert (folder / "measure.py").read_text() == Path(on_device.__file__).read_text()
    with pytest.raises(SecateurError, match="holds something already"):
        export_costs(load_workload(str(net_file)), "onnx", folder)
    with pytest.raises(SecateurError, match=r"cannot write .*costs\.csv.*; choose another folder"):
        export_costs(load_workload(str(net_file)), "onnx", folder / "costs.csv" / "below")
    with pytest.raises(SecateurError, match=r"onnx is to write the models: .* is no Python that can.*--python"):
        export_costs(load_workload(str(net_file)), "onnx", tmp_path / "new", str(tmp_path / "python"))
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    tool = ("--tool", str(tmp_path / "no tool").replace(" ", "\\ "))
    asked = subprocess.run([sys.executable, folder / "measure.py", *tool], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stderr) == (
        2, f"--tool {tmp_path / 'no tool'} cannot be started: No such file or directory\n"
    )  # fmt: skip


@pytest.fixture
def few(monkeypatch):
    """Two widths in place of all, for each is an export."""
    widths = device.Narrowed.widths
    monkeypatch.setattr(device.Narrowed, "widths", lambda self: widths(self)[:2])


@pytest.mark.process
def test_a_file_that_gives_other_outputs_than_torch_is_not_handed_out(few, net_file, tmp_path, monkeypatch):
    real, wrong, made = device.InTurns._written, 2, []

    def written(self, source, precision):
        model = copy.deepcopy(source.model)
        if len(made) == wrong:
            with torch.no_grad():
                list(model.parameters())[-1].add_(1)
        made.append(1)
        return real(self, Source(model, source.inputs, None, source.folder), precision)

    monkeypatch.setattr(device.InTurns, "_written", written)
    (line,) = export_costs(load_workload(str(net_file)), "onnx", tmp_path / "phone")
    assert line.startswith("fc1 at 2: its outputs differ from those of torch by ")
    assert "fc1,channel,2," not in (tmp_path / "phone" / "costs.csv").read_text()
    assert len(list((tmp_path / "phone" / "models").iterdir())) == 2
    wrong = len(made)  # the dense one
    with pytest.raises(SecateurError, match="onnx cannot hold the model: its outputs differ"):
        export_costs(load_workload(str(net_file)), "onnx", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.py", "phone"]


@pytest.mark.parametrize("is_there", [True, False])
def test_an_export_that_is_interrupted_leaves_the_place_as_it_was(few, net_file, tmp_path, monkeypatch, is_there):
    folder, seen = tmp_path / "to" / "phone", []
    if is_there:
        folder.mkdir(parents=True)

    def put(self, label, *args):
        if label == "0001" and not seen:
            seen.extend(folder.parent.glob("*/models/0000"))
            assert not folder.exists() or not any(folder.iterdir())
            raise KeyboardInterrupt
        self.folder.mkdir()
        (self.folder / "model.onnx").touch()
        return Written((self.folder / "model.onnx",)), 0.0

    monkeypatch.setattr(device.InTurns, "put", put)
    with pytest.raises(KeyboardInterrupt):
        export_costs(load_workload(str(net_file)), "onnx", folder)
    assert len(seen) == 1  # in a folder beside it
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["net.py", *(["to", "to/phone"] if is_there else [])]
    assert export_costs(load_workload(str(net_file)), "onnx", folder) == []
    assert {path.name for path in folder.iterdir()} == {"costs.csv", "measure.py", "models", "models.json"}
