"""The script for a GPU runs here, the CPU beside itself."""

import sys

import pytest
import torch

from tests.gpu import check

pytestmark = pytest.mark.model
CPU = torch.device("cpu")


def test_outputs_and_sweeps_of_a_model_are_those_of_the_same_device(net_file, tmp_path):
    assert check.check_outputs(str(net_file), CPU, 8, tmp_path).startswith("at most 0.0e+00")
    assert "bit for bit, drops at most 0 from" in check.check_sweep(str(net_file), CPU, 20, tmp_path)


def test_what_fails_is_told_and_the_rest_is_run(monkeypatch, capsys, net_file):
    monkeypatch.setattr(check, "NEAR", -1.0)
    monkeypatch.setattr(check, "models", lambda: {"net": str(net_file), "minilm": None})
    monkeypatch.setattr(sys, "argv", ["check", "--device", "cpu", "--checks", "outputs"])
    assert check.main() == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("net, outputs: FAILED: AssertionError: outputs differ")
    assert said[2].startswith("minilm, outputs: not run: pip install transformers")
    assert said[3].startswith("1 failed, 1 not run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="it has a GPU")
def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["check"])
    assert check.main() == 2
    assert "not run: this machine has no CUDA device" in capsys.readouterr().out
