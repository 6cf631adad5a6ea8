"""What all tests share. No torch at the top: the plain tests do without it, see `tiers.py`."""

import os
import signal
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from core import Workload

# Before anything imports torch: the models are tiny, and processes of two threads each, side by side, are slower than
# those of one. The processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# A run that a script puts into the background ignores Ctrl-C, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that is slow on a busy machine is not wrong: timings are never asserted.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

pytest_plugins = ["tests.tiers", "tests.beside"]


@pytest.fixture
def hand() -> "Workload":
    """`tiny_models.hand`: two layers on four points."""
    from tests import tiny_models

    return tiny_models.hand()


@pytest.fixture
def conv() -> "Workload":
    """`tiny_models.conv`: two convolutions on 24 images."""
    from tests import tiny_models

    return tiny_models.conv()


@pytest.fixture
def attentive() -> "Workload":
    """`tiny_models.attentive`: an attention on 20 sequences."""
    from tests import tiny_models

    return tiny_models.attentive()


@pytest.fixture
def encoder() -> "Workload":
    """`tiny_models.encoder`: two encoder layers on 20 sequences."""
    from tests import tiny_models

    return tiny_models.encoder()


@pytest.fixture
def tied_lm() -> "Workload":
    """`tiny_models.tied_lm`: a language model on 12 texts."""
    from tests import tiny_models

    return tiny_models.tied_lm()


@pytest.fixture(params=["hand", "conv", "attentive", "encoder", "tied_lm"])
def any_workload(request: pytest.FixtureRequest) -> "Workload":
    """Each of the workloads above."""
    return request.getfixturevalue(request.param)


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
