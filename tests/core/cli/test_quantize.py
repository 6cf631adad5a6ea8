"""`secateur quantize`, in this process: what it writes, what it prints, and how it refuses."""

import json

import pytest

from core import Cut, SparsityPlan
from core.delivery.packed.unpacking import read_packed
from tests.core.cli.running import secateur

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("own_folder")]


@pytest.fixture
def plan_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(SparsityPlan((Cut("fc1", "weight", 0.5),)).to_json())
    return path


def test_bytes_and_metrics_stand_beside_each_other(net_file, plan_file, tmp_path):
    done = secateur("quantize", net_file, plan_file, "--out", tmp_path / "q.safetensors")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == f"Wrote {tmp_path / 'q.safetensors'}"
    assert [line.split()[0] for line in lines[2:6]] == ["dense", "pruned", "written", "quantizing"]
    assert "int8 weight, packed" in lines[4]
    assert all("n = 40" in line for line in lines[2:6])
    assert "not quantized: 2 tensors (fc1.bias, fc2.bias): bias: one number per output, nothing to gain" in done.stdout
    assert set(read_packed(tmp_path / "q.safetensors")) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}


def test_json_is_one_document_and_the_run_can_be_shown_again(net_file, plan_file, tmp_path):
    out = tmp_path / "q.safetensors"
    done = secateur("quantize", net_file, plan_file, "--out", out, "--bits", 4, "--form", "shrunk", "--json")
    assert done.exit_code == 0, done.stderr
    run = json.loads(done.stdout)["run"]
    found = run["result"]
    assert (found["scheme"], found["bits"], found["form"]) == ("weight", 4, "shrunk")
    assert found["bytes"]["packed"] == out.stat().st_size
    assert found["quantized"]["drop"]["n"] == 40
    shown = secateur("show", run["id"])
    assert f"Wrote {out}" in shown.stdout


def test_without_a_plan_the_dense_model_is_quantized(net_file, tmp_path):
    done = secateur("quantize", net_file, "--out", tmp_path / "q.safetensors", "--json")
    found = json.loads(done.stdout)["run"]["result"]
    assert found["pruned"]["metric"] == found["dense"]
    assert found["weights"]["bits"] == {"fc1.weight": 8, "fc2.weight": 8}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--out", "q.onnx"), "writes a .safetensors file"),
        (("--out", "q.safetensors", "--scheme", "dynamic"), "writes a .onnx file"),
        (("--out", "q.onnx", "--scheme", "dynamic", "--bits", "4"), "dynamic is for 8 bits"),
        (("--out", "q.safetensors", "--bits", "1"), "from 2 to 8"),
        (("--out", "there.safetensors"), "exists already"),
        (("--out", "q.onnx", "--scheme", "static"), "--scheme dynamic"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(net_file, tmp_path, words, what):
    (tmp_path / "cwd" / "there.safetensors").write_text("mine")
    done = secateur("quantize", net_file, *words)
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert what in line
