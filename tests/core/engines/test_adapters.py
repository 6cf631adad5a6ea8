"""Engines that people ship to: each gives what torch gives, masked, shrunk and of odd widths, or says by name why not.

Engines whose library is neither installed here nor where SECATEUR_ENGINES_PYTHON says are skipped, with what they need.
"""

import copy
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import torch
from torch import nn

from core.engines import torch_sparse
from core.engines.adapters import process as processes
from core.engines.adapters.adapter import Place, Written
from core.engines.adapters.installed import installed
from core.engines.adapters.needs import NEEDS, how_to_get, missing, title_of
from core.engines.adapters.process import Process, refusal
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable
from core.engines.runners import ncnn as ncnn_runner
from core.engines.torch_sparse import SparseLinear
from core.profiling.pays.measure import Comparison, pays
from core.profiling.pays.request import ENGINE_NAMES, TIMED_NAMES, PaysRequest
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
    assert set(TIMED_NAMES) == {name for name, adapter in ADAPTERS.items() if adapter.not_run is None}
    assert all(adapter.zeros.source and adapter.reads and adapter.needs for adapter in ADAPTERS.values())
    assert all((adapter.runner is None) != (adapter.engine is None) for adapter in ADAPTERS.values())


RUN = [name for name, adapter in ADAPTERS.items() if adapter.not_run is None]
ELSEWHERE = [name for name in ADAPTERS if name not in RUN]


def test_what_an_engine_needs_is_said_to_whoever_has_no_torch_as_its_adapter_says_it():
    assert {name: (one.title, one.distributions, one.extra) for name, one in NEEDS.items()} == {
        name: (one.title, one.needs, one.extra) for name, one in ADAPTERS.items()
    }
    assert missing("eager") is None
    assert title_of("eager") == "torch"
    assert how_to_get(("no-such-engine",), "engines") == "pip install 'secateur[engines]'"
    assert how_to_get(("no-such-engine", "torch"), None) == "pip install no-such-engine"


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


@pytest.mark.parametrize("side", [None, 4, 8, 16, 32])
@pytest.mark.parametrize("shape", [(5, 64), (2, 3, 64), (64,)])
def test_sparse_layers_give_what_dense_ones_give(side, shape):
    torch.manual_seed(0)
    layer = tiled(96, 64, side or 1, 0.8)
    with torch.no_grad():
        x = torch.randn(shape)
        found = SparseLinear(layer, side)(x)
        assert torch.allclose(found, x @ layer.weight.T + layer.bias, atol=1e-5)
        assert found.shape == (*shape[:-1], 96)


def tiled(out, into, side, zeros):
    """A layer that has whole tiles alone: of each row of tiles the first."""
    layer = nn.Linear(into, out)
    rows, columns = out // side, into // side
    kept = torch.zeros(rows, columns)
    kept[:, : max(1, round((1 - zeros) * columns))] = 1
    with torch.no_grad():
        layer.weight *= kept.repeat_interleave(side, 0).repeat_interleave(side, 1)
    return layer


def test_a_weight_may_be_held_in_the_tiles_of_which_enough_are_zero():
    assert torch_sparse.sides_of(tiled(64, 64, 1, 0.9).weight) == [None, 8, 4]  # 6 columns: 1 of 8 tiles of 8
    assert torch_sparse.sides_of(tiled(320, 320, 32, 0.9).weight) == [None, 32, 16, 8, 4]
    assert torch_sparse.sides_of(tiled(324, 36, 4, 0.9).weight) == [None, 4]  # 324 and 36 are no multiples of 8
    scattered = nn.Linear(320, 320).weight.detach() * (torch.rand(320, 320) > 0.9)
    assert torch_sparse.sides_of(scattered) == [None]
    assert torch_sparse.sides_of(tiled(7, 9, 1, 0.9).weight) == [None]
    nearly = torch.zeros(1024, 32)  # 80 % of 32 tiles, rounded: 26 of them would be more, 25 are 78 %
    nearly[: 7 * 32] = 1
    assert torch_sparse.sides_of(nearly) == [None]
    nearly = torch.zeros(1024, 1024).view(32, 32, 32, 32)
    nearly.movedim(2, 1).flatten(0, 1)[:205] = 1  # 819 of 1,024 tiles are zero: 79.98 %
    assert 32 in torch_sparse.sides_of(nearly.view(1024, 1024))


def test_of_the_forms_of_a_layer_the_quickest_is_taken_and_one_that_raises_is_none(monkeypatch):
    layer, rows = tiled(320, 320, 32, 0.9), torch.randn(2, 320)
    seconds = {None: 3.0, 32: 2.0, 16: 1.0, 8: 4.0, 4: 5.0}
    sparse = torch_sparse.SparseLinear

    class Told(sparse):
        def __init__(self, layer, side=None):
            super().__init__(layer, side)
            self.side = side
            if side == refused:
                raise RuntimeError("not compiled with MKL")

    def told(forward, hopeless=0.0):
        return seconds[forward.func.side] if isinstance(forward.func, Told) else 4.0

    monkeypatch.setattr(torch_sparse, "SparseLinear", Told)
    monkeypatch.setattr(torch_sparse, "_quickest", told)
    refused = 99
    form, share = torch_sparse.quickest_form(layer, rows)
    assert (form.side, share) == (16, 0.25)
    refused = 16
    form, share = torch_sparse.quickest_form(layer, rows)
    assert (form.side, share) == (32, 0.5)


def test_a_form_that_is_hopeless_is_run_twice_and_no_more():
    calls = []

    def slow():
        calls.append(1)
        time.sleep(0.002)

    assert torch_sparse._quickest(slow, 0.001) > 0.001
    assert len(calls) == 2
    assert torch_sparse._quickest(slow) > 0.001
    assert len(calls) > 8


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


def test_what_a_process_says_is_read_whole_while_it_says_more(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "RUNNERS", tmp_path)
    (tmp_path / "runner.py").write_text("")
    (tmp_path / "serve.py").write_text(CHATTY)
    with Process("runner", Place(tmp_path)) as one:
        for number in range(3):
            with pytest.raises(EngineUnavailable, match=r"it has no operation tfl.foo"):
                one.ask(number=number)
        log = one._log()
    assert log.splitlines()[:2] == ["failed to legalize operation 'tfl.foo'", "and 0"]


def test_what_an_engine_has_started_ends_with_its_process(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "RUNNERS", tmp_path)
    (tmp_path / "runner.py").write_text("")
    (tmp_path / "serve.py").write_text(COMPILER)
    with Process("runner", Place(tmp_path)) as one:
        compiler = psutil.Process(one.ask(do="write")["pid"])
        assert compiler.is_running()
    psutil.wait_procs([compiler], timeout=10)
    assert not compiler.is_running() or compiler.status() == psutil.STATUS_ZOMBIE


def test_an_engines_process_ends_with_a_worker_that_was_killed(tmp_path):
    (tmp_path / "runner.py").write_text(BUSY.replace("HERE", str(tmp_path)))
    line = '{"do": "write", "inputs": []}\n'
    serve = [sys.executable, "-I", str(processes.RUNNERS / "serve.py"), str(tmp_path / "runner.py")]
    worker = subprocess.Popen([sys.executable, "-c", ASKING.format(serve=serve, line=line)])
    wait_for(lambda: (tmp_path / "pid").exists())
    engine = psutil.Process(int((tmp_path / "pid").read_text()))
    worker.kill()
    worker.wait()
    psutil.wait_procs([engine], timeout=20)
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE


def wait_for(done):
    begun = time.monotonic()
    while not done():
        assert time.monotonic() - begun < 60
        time.sleep(0.05)


BUSY = """
import os, pathlib, time
def write(job, inputs):
    pathlib.Path("HERE/begun").write_text(str(os.getpid()))
    os.rename("HERE/begun", "HERE/pid")
    time.sleep(300)
"""
ASKING = """
import subprocess, time
asked = subprocess.Popen({serve!r}, stdin=subprocess.PIPE, text=True)
asked.stdin.write({line!r})
asked.stdin.flush()
time.sleep(300)
"""
COMPILER = """
import json, subprocess, sys
sys.stdin.readline()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(json.dumps({"pid": child.pid}), flush=True)
child.wait()
"""

CHATTY = """
import json, sys
print("failed to legalize operation 'tfl.foo'", file=sys.stderr, flush=True)
for line in sys.stdin:
    print(json.dumps({"error": "RuntimeError: no"}), flush=True)
    print("and", json.loads(line)["number"], file=sys.stderr, flush=True)
"""


LOSING = """
import os, signal, time
def load(file, inputs, threads):
    def forward():
        if os.path.exists(f"{os.path.dirname(file)}/timed"):
            HOW
        return [inputs[0]]
    return forward
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was killed by SIGKILL"),
        ("os._exit(7)", "its process ended with code 7"),
        ("time.sleep(60)", "its process gave no answer"),
    ],
)
def test_an_engine_that_is_lost_while_it_is_timed_is_one_row(monkeypatch, tmp_path, how, said):
    """The masked model's process goes while it has its turns; the dense and the shrunk one have numbers."""
    (tmp_path / "serve.py").write_text((processes.RUNNERS / "serve.py").read_text())
    (tmp_path / "onnx_runtime.py").write_text(LOSING.replace("HOW", how))
    monkeypatch.setattr(processes, "RUNNERS", tmp_path)
    monkeypatch.setattr(processes, "PATIENCE", 3.0)

    def write(source, precision, place):
        (place.folder / "model").write_bytes(b"the runner reads nothing")
        return Written((place.folder / "model",))

    monkeypatch.setattr("core.profiling.shipped.turns.ADAPTERS", {"onnx": replace(ADAPTERS["onnx"], write=write)})
    model = nn.Sequential(nn.Identity(), Same()).eval()
    ready = InTurns.put

    def put(self, label, *args):
        found = ready(self, label, *args)
        if label == "masked":  # it ran once, as it should
            (found[0].files[0].parent / "timed").touch()
        return found

    monkeypatch.setattr(InTurns, "put", put)
    models = {"dense": model, "masked": copy.deepcopy(model), "shrunk": copy.deepcopy(model)}
    found = rows_of(("onnx",), models, (torch.randn(2, 4),))
    assert found["onnx", "masked"].reason.startswith(said)
    assert found["onnx", "masked"].bytes is None
    for variant in ("dense", "shrunk"):
        assert found["onnx", variant].reason is None
        assert found["onnx", variant].seconds > 0


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
    places = "RuntimeError: Exception from src/inference/src/cpp/core.cpp:117:\nException from src/dev/plugin.cpp:54:\n"
    assert refusal(f"{places}[AddTransformation] END: node: opset1::Add threw\n\n", "").startswith(
        "[AddTransformation]"
    )
    assert refusal(places, "").startswith("RuntimeError: Exception from src/inference")


REDUCED = """7767517
3 3
Input                    in0                      0 1 in0
Reduction                mean_29                  1 1 in0 55 0=3 1=0 -23303=0 4=0 5=1
Reduction                sum_30                   1 1 55 56 0=0 1=0 -23303=2,1,2 4=0 5=1
Reduction                max_31                   1 1 56 out0 0=4 1=0 -23303=0 4=0 5=1
"""
TOLD = """7767517
torch.mean               torch.mean_0             1 1 38 39 dim=2 keepdim=False $input=38
torch.sum                torch.sum_1              1 1 39 40 dim=(1,2) keepdim=False $input=39
torch.amax               torch.amax_2             1 1 40 41 dim=-1 keepdim=False $input=40
"""


def test_reductions_over_one_dimension_get_the_axes_that_pnnx_leaves_out():
    lines = ncnn_runner.with_axes(REDUCED, TOLD).splitlines()
    assert lines[3].split()[4:] == ["in0", "55", "0=3", "1=0", "-23303=1,1", "4=0", "5=1"]  # without the batch
    assert lines[4] == REDUCED.splitlines()[4]
    assert "-23303=1,-1" in lines[5]
    assert ncnn_runner.with_axes("7767517\n", TOLD) == "7767517\n"
    for told in (TOLD.replace("dim=2", "dim=0"), TOLD.replace("torch.amax ", "torch.other "), ""):
        with pytest.raises(RuntimeError, match="unsupported operation Reduction"):
            ncnn_runner.with_axes(REDUCED, told)


class Pooled(nn.Module):
    """Tokens, their mean, a layer: as encoders end."""

    def __init__(self):
        super().__init__()
        self.up, self.head = nn.Linear(8, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.head(torch.relu(self.up(x)).mean(1))


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino", "ncnn"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_mean_over_tokens_is_one(name, batch):
    _, python = there(name)
    absent, pythons = {"masked": "x", "shrunk": "x"}, ((name, python),) if python else ()
    row = rows_of((name,), {"dense": Pooled().eval()}, (torch.randn(batch, 5, 8),), absent=absent, pythons=pythons)[
        name, "dense"
    ]
    if name == "ncnn" and row.reason:  # pnnx takes three dimensions for one example: refused by shape, never wrong
        assert "in place of" in row.reason
        return
    assert row.reason is None
    assert row.difference < 1e-4


class Padded(nn.Module):
    """Whole numbers and a mask in, numbers and whole numbers out: the mean of the tokens, the best of each."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places, self.up = nn.Embedding(11, 8), nn.Embedding(9, 8), nn.Linear(8, 8)

    def forward(self, ids, mask):
        places = torch.arange(ids.shape[1]) + 1
        x = self.up(self.tokens(ids) + self.places(places))
        counted = mask.unsqueeze(-1).to(x.dtype)
        return (x * counted).sum(1) / counted.sum(1), x.argmax(-1)


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("name", ["eager", "onnx", "openvino", "litert", "executorch", "ncnn"])
def test_whole_numbers_masks_and_several_outputs_are_right_or_refused(name):
    _, python = there(name)
    pythons = ((name, python),) if python else ()
    torch.manual_seed(3)
    ids, mask = torch.randint(0, 11, (2, 6)), torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    calibration = Examples((ids.repeat(4, 1), mask.repeat(4, 1)), torch.zeros(8, dtype=torch.long))
    absent = {"masked": "x", "shrunk": "x"}
    found = rows_of((name,), {"dense": Padded().eval()}, (ids, mask), calibration, absent=absent, pythons=pythons)
    row = found[name, "dense"]
    if name == "ncnn":  # which has no number type but float
        assert row.reason is not None
    else:
        assert row.reason is None
        assert row.difference < 1e-4
    assert found[name, "int8"].verdict


@pytest.mark.slow
@pytest.mark.engines
def test_whole_numbers_are_compiled_for_an_ethos_u_in_the_type_of_the_file():
    _, python = there("ethos-u")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5)).eval()
    ids = torch.randint(0, 11, (1, 6))
    calibration = Examples((ids.repeat(8, 1),), torch.zeros(8, dtype=torch.long))
    pythons = (("ethos-u", python),) if python else ()
    found = rows_of(
        ("ethos-u",), {"dense": model}, (ids,), calibration, absent={"masked": "x", "shrunk": "x"}, pythons=pythons
    )
    row = found["ethos-u", "int8"]
    assert row.reason is None
    assert row.estimated_cycles > 0
    assert row.difference < 0.1


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
        ([1, 2], "1 Linear layers have 80% zeros, none pays here: the best takes 2.00 of its dense time"),
        ([2, 1, 3, 2], "1 sparse Linear layers are quicker alone, the model is not: 1.50 of dense"),
    ):
        told = iter(seconds)
        monkeypatch.setattr(torch_sparse, "_quickest", lambda *args, told=told: next(told))
        with torch.no_grad(), pytest.raises(EngineUnavailable, match=said):
            torch_sparse.load(model, inputs, None)(1)
    told = iter([2, 1, 1, 2])
    monkeypatch.setattr(torch_sparse, "_quickest", lambda *args: next(told))
    with torch.no_grad():
        forward = torch_sparse.load(model, inputs, None)(1)
        assert torch.allclose(forward(), model(*inputs), atol=1e-6)
