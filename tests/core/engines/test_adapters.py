"""Engines that people ship to: each gives what torch gives, masked, shrunk and of odd widths, or says by name why not.

Engines whose library is neither installed here nor where SECATEUR_ENGINES_PYTHON says are skipped, with what they need.
"""

import copy
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.engines import torch_sparse
from core.engines.adapters import process as processes
from core.engines.adapters.adapter import Place
from core.engines.adapters.installed import installed
from core.engines.adapters.process import Process, refusal
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable
from core.engines.torch_sparse import SparseLinear
from core.profiling.pays.measure import Comparison, pays
from core.profiling.pays.request import ENGINE_NAMES, PaysRequest
from core.profiling.shipped.believed import compared
from core.profiling.shipped.turns import InTurns, expected_of
from core.workload.examples import Examples
from tests.engines_there import there

pytestmark = pytest.mark.process
QUICK = {"rounds": 6, "seconds": 0.01}
SLOW = ("compile", "litert", "executorch")  # writing one model takes them ten seconds and more


class Small(nn.Module):
    """Convolution, normalisation, residual, linear: all in widths that may be odd."""

    def __init__(self, width):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.second, self.head = nn.Conv2d(width, width, 3, padding=1), nn.Linear(width, 5)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = x + self.second(x)
        return self.head(x.mean((2, 3)))


def small(width, zeros=0.0):
    torch.manual_seed(width)
    model = Small(width).eval()
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2)
        for parameter in (model.first.weight, model.second.weight, model.head.weight):
            parameter *= torch.rand_like(parameter) >= zeros
    return model


def asked(engines, models, inputs, calibration=None, absent=None, **more):
    request = PaysRequest(engines, **{**QUICK, "batch": len(inputs[0]), **more})
    return Comparison(models, absent or {}, inputs, calibration, request, lambda: None, lambda phase: None)


def rows_of(*args, **more):
    return {(row.engine, row.variant): row for rows in pays(asked(*args, **more)) for row in rows}


def test_what_may_be_asked_for_is_what_there_is():
    assert set(ENGINE_NAMES) == set(ADAPTERS)
    assert all(adapter.zeros.source and adapter.reads and adapter.needs for adapter in ADAPTERS.values())
    assert all((adapter.runner is None) != (adapter.engine is None) for adapter in ADAPTERS.values())


RUN = [name for name, adapter in ADAPTERS.items() if adapter.not_run is None]
ELSEWHERE = [name for name in ADAPTERS if name not in RUN]


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", [name for name in RUN if name != "sparse"])
def test_every_engine_gives_the_outputs_of_torch_masked_and_shrunk_in_odd_widths(name, batch):
    version, python = there(name)
    if name in SLOW and batch == 1:
        pytest.skip("once is enough of what takes so long")
    models = {"dense": small(16), "masked": small(16, 0.9), "shrunk": small(7)}
    absent = {}
    if name in SLOW:  # one model fewer: dense is the one with zeros
        models["dense"], absent = models.pop("masked"), {"masked": "it is dense"}
    before = {key: copy.deepcopy(model.state_dict()) for key, model in models.items()}
    calibration = Examples(torch.randn(8, 3, 9, 9), torch.zeros(8, dtype=torch.long))
    pythons = ((name, python),) if python else ()
    found = rows_of((name,), models, (torch.randn(batch, 3, 9, 9),), calibration, absent, pythons=pythons)
    assert len(found) == 6
    for (_, variant), row in found.items():
        assert row.version == version
        if variant.partition(" + ")[0] in absent:
            assert row.reason == "it is dense"
            continue
        if "int8" in variant and ADAPTERS[name].no_int8:
            assert row.reason == row.verdict == ADAPTERS[name].no_int8
            continue
        assert row.reason is None, (variant, row.reason)
        assert row.difference < (0.2 if "int8" in variant else 1e-4)
        assert row.seconds > 0
        assert row.bytes > row.compressed > 0
        assert (row.ratio is None) == (variant == "dense")
        assert row.ratio is None or row.ratio.low <= row.ratio.value <= row.ratio.high
    for key, model in models.items():
        assert all(torch.equal(value, before[key][name]) for name, value in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_not_run_here_has_bytes_and_at_most_an_estimate_but_no_time(name):
    version, python = there(name)
    models = {"dense": small(32), "masked": small(32, 0.9)}
    calibration = Examples(torch.randn(8, 3, 9, 9), torch.zeros(8, dtype=torch.long))
    found = rows_of(
        (name,), models, (torch.randn(1, 3, 9, 9),), calibration, {"shrunk": "once is enough"},
        pythons=((name, python),) if python else (),
    )  # fmt: skip
    adapter, guesses = ADAPTERS[name], name == "ethos-u"
    assert len(found) == 6
    for (_, variant), row in found.items():
        assert (row.seconds, row.ratio, row.version) == (None, None, version)
        if "shrunk" in variant:
            assert row.reason
            continue
        if adapter.no_float and "int8" not in variant:
            assert row.reason == row.verdict == adapter.no_float
            continue
        assert row.reason is None, (variant, row.reason)
        assert row.not_run == adapter.not_run
        assert row.bytes > row.compressed > 0
        assert (row.estimated_cycles is not None) == (row.estimated_seconds is not None) == guesses
        assert (row.estimated_ratio is not None) == (guesses and variant != "int8")
        assert "faster" not in row.verdict
        assert "estimate" in row.verdict if guesses else row.verdict.startswith("written, not run here: ")
        assert row.difference < 0.2 if guesses else row.difference is None
    assert found[name, "masked + int8"].bytes < found[name, "int8"].bytes
    if not guesses:
        assert found[name, "masked"].bytes < 0.7 * found[name, "dense"].bytes  # zeros are left out of the file
    elif found[name, "masked + int8"].estimated_ratio is not None:
        dense, masked = found[name, "int8"], found[name, "masked + int8"]
        assert masked.estimated_ratio == dense.estimated_cycles / masked.estimated_cycles


@pytest.mark.engines
def test_an_ethos_u_takes_one_example_at_a_time_and_what_is_not_run_is_not_timed(tmp_path):
    _, python = there("ethos-u")
    found = rows_of(
        ("ethos-u",), {"dense": small(4)}, (torch.randn(2, 3, 9, 9),), absent={"masked": "x", "shrunk": "x"},
        pythons=(("ethos-u", python),) if python else (),
    )  # fmt: skip
    assert found["ethos-u", "int8"].reason == "an Ethos-U takes one example at a time: choose --batch 1"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_whoever_wants_times_of_what_is_not_run_here_is_refused(name, tmp_path):
    model = expected_of(small(4), (torch.randn(1, 3, 9, 9),), tmp_path / "model")
    with InTurns(name, tmp_path) as turns, pytest.raises(EngineUnavailable, match="it is not run here: "):
        turns.put("dense", model)


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.parametrize("name", ["onnx", "openvino", "ncnn"])
@pytest.mark.parametrize("kind", ["attentive", "encoder", "tied_lm"])
def test_a_model_of_attention_is_right_or_refused_with_a_reason(name, kind, request):
    _, python = there(name)
    workload = request.getfixturevalue(kind)
    inputs = tuple(tensor[:2] for tensor in workload.evaluation.inputs)
    absent, pythons = {"masked": "x", "shrunk": "x"}, ((name, python),) if python else ()
    row = rows_of((name,), {"dense": workload.model.eval()}, inputs, absent=absent, pythons=pythons)[name, "dense"]
    assert row.reason or row.difference < 1e-4
    if name == "onnx":
        assert row.reason is None


def test_sparse_layers_give_what_dense_ones_give():
    layer = nn.Linear(12, 7)
    with torch.no_grad():
        layer.weight *= torch.rand(7, 12) > 0.8
        x = torch.randn(2, 3, 12)
        assert torch.allclose(SparseLinear(layer)(x), layer(x), atol=1e-6)
        assert SparseLinear(layer)(x).shape == (2, 3, 7)


def test_what_has_no_zeros_is_told_so_and_dense_is_plain_torch():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval()
    found = rows_of(("sparse",), {"dense": model, "masked": model}, (torch.randn(2, 8),), absent={"shrunk": "the plan"})
    assert found["sparse", "dense"].seconds > 0
    assert "none of its 1 Linear layers has 80% zeros" in found["sparse", "masked"].reason
    assert found["sparse", "shrunk"].reason == "the plan"


def test_an_engine_that_is_not_there_is_a_row_that_says_how_to_get_it(monkeypatch):
    missing = replace(ADAPTERS["onnx"], needs=("no-such-engine",), extra="engines")
    monkeypatch.setattr("core.profiling.shipped.turns.ADAPTERS", {"onnx": missing})
    found = rows_of(("onnx",), {"dense": small(4)}, (torch.randn(1, 3, 5, 5),))
    assert {row.verdict for row in found.values()} == {"not installed: pip install 'secateur[engines]'"}
    with pytest.raises(EngineUnavailable, match=rf"not installed: {sys.executable} -m pip install no-such-engine"):
        installed(missing, sys.executable)
    with pytest.raises(EngineUnavailable, match="is no Python that can be asked"):
        installed(missing, "/no/such/python")


DYING = """
import os
def load(file, inputs, threads):
    if file.endswith("int8.onnx"):
        os.abort()
    def forward():
        return [inputs[0]]
    return forward
"""


def test_an_engine_that_crashes_is_a_row_and_the_others_go_on(monkeypatch, tmp_path):
    (tmp_path / "serve.py").write_text((processes.RUNNERS / "serve.py").read_text())
    (tmp_path / "onnx_runtime.py").write_text(DYING)
    monkeypatch.setattr(processes, "RUNNERS", tmp_path)
    calibration = Examples(torch.randn(8, 4), torch.zeros(8, dtype=torch.long))
    model = nn.Sequential(nn.Identity(), Same()).eval()
    found = rows_of(
        ("onnx",), {"dense": model}, (torch.randn(2, 4),), calibration, absent={"masked": "x", "shrunk": "x"}
    )
    assert found["onnx", "dense"].reason is None
    assert found["onnx", "int8"].reason.startswith("its process was killed by SIGABRT")


class Same(nn.Module):
    """Gives its input, by way of a product that an int8 writer finds."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        nn.init.eye_(self.linear.weight)

    def forward(self, x):
        return self.linear(x)


def test_a_process_that_answers_nothing_or_ends_is_told(tmp_path, monkeypatch):
    runner = tmp_path / "runner.py"
    monkeypatch.setattr(processes, "RUNNERS", tmp_path)
    (tmp_path / "serve.py").write_text(SILENT)
    runner.write_text("")
    monkeypatch.setattr(processes, "PATIENCE", 0.3)
    with Process("runner", Place(tmp_path)) as one, pytest.raises(EngineUnavailable, match="gave no answer"):
        one.ask(do="load")
    (tmp_path / "serve.py").write_text("import sys; print('no license', file=sys.stderr); sys.exit(3)")
    monkeypatch.setattr(processes, "PATIENCE", 30)
    with Process("runner", Place(tmp_path)) as one, pytest.raises(EngineUnavailable, match="code 3: no license"):
        one.ask(do="load")


SILENT = "import time; time.sleep(60)"


def test_an_operation_that_an_engine_has_not_is_named():
    for error, name in (
        (
            "ValueError: No ONNX function found for <OpOverload(op='aten.special_i0', overload='default')>",
            "aten.special_i0",
        ),
        ("RuntimeError: failed to legalize operation 'tfl.foo' that was", "tfl.foo"),
        ("RuntimeError: Lowering not found: aten.i0.default", "aten.i0.default"),
        ("SpecViolationError: Operator torch._ops.aten.i0.default is not in Core ATen opset", "aten.i0.default"),
        ("ValueError: Didn't find op for builtin opcode 'STABLEHLO_SORT' version '1'", "STABLEHLO_SORT"),
        ("RuntimeError: layer aten::cumsum not exists or registered", "aten::cumsum"),
    ):
        assert refusal(error, "").startswith(f"it has no operation {name} (")
    assert refusal("RuntimeError: short\nthe cause", "") == "RuntimeError: short the cause"


class Bessel(nn.Module):
    """Of an operation that ONNX has not."""

    def forward(self, x):
        return torch.special.i0(x)


def test_a_model_that_an_engine_cannot_hold_is_refused_with_the_operation_and_tried_once():
    absent = {"masked": "x", "shrunk": "x"}
    found = rows_of(("onnx",), {"dense": Bessel().eval()}, (torch.randn(2, 4),), absent=absent)
    assert "cannot be written as ONNX" in found["onnx", "dense"].reason
    assert "bessel_i0" in found["onnx", "dense"].reason
    assert found["onnx", "int8"].reason is not None


def test_outputs_that_are_not_those_of_torch_are_refused():
    one = [torch.tensor([1.0, 2.0])]
    assert compared(one, [torch.tensor([1.0, 2.5])], None, "int8") == 0.25
    for other, said in (
        ([torch.tensor([1.0, 2.5])], "differ from those of torch"),
        ([torch.tensor([[1.0, 2.0]])], "in place of"),
        ([torch.tensor([1.0, float("nan")])], "NaN"),
        ([*one, *one], "in place of"),
    ):
        with pytest.raises(EngineUnavailable, match=said):
            compared(one, other, None, "float32")


def test_sparse_layers_are_taken_only_where_the_whole_model_is_quicker(monkeypatch):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].weight *= torch.eye(8)
    inputs = (torch.randn(2, 8),)
    for seconds, said in (
        ([2, 1], "1 Linear layers have 80% zeros, none pays here: the best takes 2.00 of its dense time"),
        ([1, 2, 3, 2], "1 sparse Linear layers are quicker alone, the model is not: 1.50 of dense"),
    ):
        told = iter(seconds)
        monkeypatch.setattr(torch_sparse, "_quickest", lambda forward, told=told: next(told))
        with torch.no_grad(), pytest.raises(EngineUnavailable, match=said):
            torch_sparse.load(model, inputs, None)(1)
    told = iter([1, 2, 1, 2])
    monkeypatch.setattr(torch_sparse, "_quickest", lambda forward: next(told))
    with torch.no_grad():
        forward = torch_sparse.load(model, inputs, None)(1)
        assert torch.allclose(forward(), model(*inputs), atol=1e-6)
