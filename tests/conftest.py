"""Tiny models that one can hold in the head, and workloads made of them."""

import hashlib
import json
import os
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core import Examples, Workload, accuracy, cross_entropy, perplexity

os.environ["OMP_NUM_THREADS"] = "1"  # of the workers that tests start
torch.set_num_threads(1)  # here too: the models are tiny, and two processes with two threads each are slower than one


class TwoLayers(nn.Module):
    """fc1, ReLU, fc2, without biases; the weights are chosen so that every cut can be followed by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2, 2, bias=False)
        self.fc2 = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.fc1.weight.copy_(torch.tensor([[3.0, 0.1], [-0.2, 2.0]]))
            self.fc2.weight.copy_(torch.tensor([[5.0, -0.5], [0.4, 4.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(x)))


class ConvNet(nn.Module):
    """Two convolutions with batch normalisation, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2)
        self.bn2 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


class Attentive(nn.Module):
    """nn.MultiheadAttention of 2 heads with a residual, then a classifier of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((x + self.attn(x, x, x, need_weights=False)[0]).mean(1))


class Encoder(nn.Module):
    """Two nn.TransformerEncoderLayer of 2 heads, then a classifier of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean(1))


class TiedLM(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(torch.tanh(self.mix(self.tokens(codes))))


def seeded(make: type[nn.Module], seed: int = 0) -> nn.Module:
    """A model of random weights, and of batch statistics that are not those of a fresh layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                buffer.uniform_(-0.5, 0.5)  # of either sign, or every ReLU behind it is dead and no cut has an effect
        return model.eval()


def random_examples(shape: tuple[int, ...], n_classes: int, n: int, seed: int = 1) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    return Examples(torch.randn(n, *shape, generator=generator), torch.randint(n_classes, (n,), generator=generator))


@pytest.fixture
def hand() -> Workload:
    """`TwoLayers` on four points: dense accuracy 1; 75 % off either layer loses the two points of class 1."""
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    return Workload("hand", TwoLayers(), Examples(points, torch.tensor([0, 1, 0, 1])), accuracy(), batch_size=2)


@pytest.fixture
def conv() -> Workload:
    """`ConvNet` on 24 random images, 10 a batch."""
    return Workload("conv", seeded(ConvNet), random_examples((1, 8, 8), 3, 24), cross_entropy(), batch_size=10)


@pytest.fixture
def attentive() -> Workload:
    """`Attentive` on 20 random sequences."""
    return Workload("attentive", seeded(Attentive), random_examples((5, 8), 3, 20), cross_entropy(), batch_size=8)


@pytest.fixture
def encoder() -> Workload:
    """`Encoder` on 20 random sequences."""
    return Workload("encoder", seeded(Encoder), random_examples((5, 8), 3, 20), cross_entropy(), batch_size=8)


@pytest.fixture
def tied_lm() -> Workload:
    """`TiedLM` on 12 random texts, some of whose labels do not count."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(11, (12, 7), generator=generator)
    labels = codes.roll(-1, 1)
    labels[:, -1] = -100
    labels[0, 2:] = -100
    return Workload("tied-lm", seeded(TiedLM), Examples(codes, labels), perplexity(), batch_size=5)


@pytest.fixture(params=["hand", "conv", "attentive", "encoder", "tied_lm"])
def any_workload(request: pytest.FixtureRequest) -> Workload:
    """Each of the workloads above."""
    return request.getfixturevalue(request.param)


def reseal(folder: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None, **entries: object) -> None:
    """Change a bundle's manifest, and make it fit whatever lies in the folder: damage with intent, not by accident."""
    from core.delivery.manifest import sealed

    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["sha256"]
    change(manifest)
    manifest.update(entries)
    for name, entry in manifest["files"].items():
        content = (folder / name).read_bytes()
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (folder / "manifest.json").write_text(sealed(manifest))


WORKLOAD_FILE = """
import time
import torch
from torch import nn
from core import Examples, Workload, accuracy

PAUSE = {pause}  # seconds of each forward pass, so that a test can step in


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 8)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        time.sleep(PAUSE)
        return self.fc2(torch.relu(self.fc1(x)))


def workload():
    generator = torch.Generator().manual_seed(0)
    net = Net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.randn(40, 6, generator=generator)
    labels = (x @ torch.randn(6, 3, generator=generator)).argmax(1)
    return Workload("net", net, Examples(x, labels), accuracy(), batch_size=10)
"""


SLOW_METRIC = """
from dataclasses import replace


def slow(metric):
    def score(outputs, labels):
        time.sleep(PAUSE)
        return metric.score(outputs, labels)

    return replace(metric, score=score)

"""


@pytest.fixture
def write_file(tmp_path: Path):
    """Writes a Python file into the test's folder and gives its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def net_text() -> str:
    """The text of `net_file`."""
    return WORKLOAD_FILE.format(pause=0).lstrip()


@pytest.fixture
def net_file(write_file) -> Path:
    """A workload file of a small net: 2 layers, 40 examples, 4 batches."""
    return write_file("net.py", WORKLOAD_FILE.format(pause=0))


TRAINED = """
def workload():
    from dataclasses import replace

    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(7))
    return replace(dense(), training=Examples(x, x[:, :3].argmax(1)))
"""


@pytest.fixture(scope="session")
def with_training():
    """Gives a text as `net_text` training data, of labels that the net does not know."""
    return lambda text: text.replace("def workload():", "def dense():") + TRAINED


@pytest.fixture
def trained(write_file, net_text, with_training) -> Path:
    """The workload file of the small net with training data."""
    return write_file("net.py", with_training(net_text))


@pytest.fixture
def slow_file(write_file) -> Path:
    """The same net, each of whose forward passes takes 30 milliseconds, and each scoring of a batch as long again.

    A replayed cell runs no code of the model, but its outputs are scored like any.
    """
    text = WORKLOAD_FILE.format(pause=0.03)
    assert text.count("accuracy(),") == 1
    return write_file("net.py", SLOW_METRIC + text.replace("accuracy(),", "slow(accuracy()),"))


@pytest.fixture
def worker_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are worked off in this process, at once: quick, and what they do can be watched."""
    from core.jobs import launch
    from core.jobs.worker import execute

    monkeypatch.setattr(launch, "_start_worker", lambda runs, *queued: [execute(runs, run.id) for run in queued])


@pytest.fixture(scope="session")
def with_slices():
    """Says of a finished sweep which examples it measured, and where the evidence of its cells lies."""
    from core import SparsityPlan, load_workload
    from core.sensitivity.evidence import EvidenceStore
    from core.sensitivity.measuring.measurement import Measurement

    def fill(runs, run_id: str) -> None:
        run = runs.get(run_id)
        workload = load_workload(run.workload)
        measurement = Measurement(workload, None, run.request["samples"], run.request["seed"])
        columns, batches = workload.all_columns(), measurement.batches
        for key, positions in zip(batches.keys, batches.positions, strict=True):
            rows = positions.tolist()
            cut = {name: [values[row] for row in rows] for name, values in columns.items()}
            EvidenceStore(runs.workspace).add_batch(key, rows, cut)
        key_of = measurement._conditions.cell_key
        cells = [replace(c, evidence=key_of(SparsityPlan((c.cut,)))) for c in runs.report(run).cells]
        runs.set_cells(run.id, cells)
        result = {**run.result, "batches": batches.keys, "dense_cell": key_of(SparsityPlan())}
        runs.update(run.id, result=result, done=run.done, reused=run.reused, total=run.total)

    return fill
