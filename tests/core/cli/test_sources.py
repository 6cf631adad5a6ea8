"""Models named in one line, from the sweep to the bundle; every command in a process of its own."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.cli.running import secateur as in_this_process
from tests.core.workload.sources import folders

pytest.importorskip("transformers")
pytestmark = pytest.mark.process

SECATEUR = Path(sys.executable).with_name("secateur")


@pytest.fixture
def secateur(tmp_path, monkeypatch):
    """Calls the command in an empty folder, each time with another salt of hashes."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.delenv("SECATEUR_WORKSPACE", raising=False)
    salts = iter(range(1, 100))

    def call(*words):
        done = subprocess.run(
            [SECATEUR, *map(str, words)], cwd=tmp_path / "cwd", capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONHASHSEED": str(next(salts))},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    return call


@pytest.fixture
def here(tmp_path, monkeypatch, worker_here):
    """Calls the command in the same folder and in this process, which imports a library once for all of them.

    That each starts in a process of its own shows in those that `secateur` calls.
    """

    def call(*words):
        monkeypatch.chdir(tmp_path / "cwd")
        done = in_this_process(*words)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    return call


def table(path, head, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


@pytest.mark.slow
def test_a_causal_model_of_a_folder_goes_from_its_sweep_to_its_verified_bundle(secateur, here, tmp_path):
    folders.save_causal(tmp_path / "model")
    table(tmp_path / "cwd" / "test.csv", ["text"], [(text,) for text in folders.sentences(24)])
    model = ("hf:../model", "--data", "test.csv")
    whole = f"hf:{tmp_path / 'model'}?data={tmp_path / 'cwd' / 'test.csv'}"
    done = secateur("sweep", *model, "--sparsities", "0.5", "--channels", "--json")
    assert "secateur: task: causal language modelling, by the head of the model" in done.stderr.splitlines()
    assert "secateur: metric: perplexity" in done.stderr.splitlines()
    swept = json.loads(done.stdout)
    assert swept["run"]["workload"] == whole
    assert {cell["state"] for cell in swept["report"]["cells"]} <= {"measured", "no_effect", "no effect"}
    # the same model in another process: nothing is measured again
    again = json.loads(secateur("sweep", whole, "--sparsities", "0.5", "--channels", "--json").stdout)
    assert again["run"]["reused"] == again["run"]["total"]
    plan = tmp_path / "cwd" / "plan.json"
    plan.write_text(here("plan", *model, "--uniform", "0.5"))
    here("predict", *model, plan)
    here("apply", *model, plan)
    here("export", *model, plan, "out/masked")
    here("verify", "out/masked", "--model", whole)
    secateur("shrink", *model, plan, "out/small")
    secateur("verify", "out/small", "--model", whole)


@pytest.mark.slow
def test_a_function_and_a_module_of_a_project_are_found_by_the_worker(secateur, tmp_path):
    here = tmp_path / "cwd"
    (here / "proj").mkdir()
    (here / "proj" / "made.py").write_text(
        "import torch\nfrom proj.parts import Net\nfrom core import Examples, Workload, accuracy\n"
        "def examples(seed):\n"
        "    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(seed))\n"
        "    return Examples(x, x[:, :3].argmax(1))\n"
        "def workload():\n    torch.manual_seed(0)\n    return Workload('p', Net().eval(), examples(0), accuracy())\n"
    )
    (here / "proj" / "parts.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.a = nn.Linear(4, 8)\n        self.b = nn.Linear(8, 3)\n"
        "    def forward(self, x):\n        return self.b(self.a(x).relu())\n"
    )
    (here / "proj" / "data.py").write_text(
        "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\nfrom proj.made import examples\n"
        "class Data:\n"
        "    def setup(self, stage):\n        found = examples(0)\n"
        "        self.set = TensorDataset(found.inputs[0], found.labels)\n"
        "    def test_dataloader(self):\n        return DataLoader(self.set, batch_size=16)\n"
        "class Shuffled(Data):\n"
        "    def test_dataloader(self):\n        return DataLoader(self.set, batch_size=16, shuffle=True)\n"
    )
    subprocess.run(
        [sys.executable, "-c", "import torch; from proj.parts import Net; from safetensors.torch import save_file; "
         "torch.manual_seed(0); save_file(Net().state_dict(), 'w.safetensors')"],
        cwd=here, check=True,
    )  # fmt: skip
    one = json.loads(secateur("sweep", "py:proj.made:workload", "--sparsities", "0.5", "--json").stdout)
    assert one["run"]["workload"] == f"py:proj.made:workload?root={here}"
    words = ("lightning:proj.parts:Net", "--weights", "w.safetensors", "--data", "proj.data:Data")
    other = json.loads(secateur("sweep", *words, "--sparsities", "0.5", "--json").stdout)
    assert [c["metric"] for c in other["report"]["cells"]] == [c["metric"] for c in one["report"]["cells"]]
    shuffled = subprocess.run(
        [SECATEUR, "check", *words[:-1], "proj.data:Shuffled"], cwd=here, capture_output=True, text=True, check=False
    )
    assert shuffled.returncode == 2
    assert "shuffle=False" in shuffled.stderr
    assert len(shuffled.stderr.splitlines()) == 1


def test_what_was_inferred_is_written_down_as_a_file_that_gives_the_same(secateur, tmp_path):
    folders.save_bert(tmp_path / "model")
    rows = [(text, i % 2) for i, text in enumerate(folders.sentences(12))]
    table(tmp_path / "cwd" / "test.csv", ["body", "stars"], rows)
    columns = ("--columns", "text=body,label=stars")
    secateur("init", "mine.py", "--from", "hf:../model", "--data", "test.csv", *columns)
    code = (
        "import sys\nfrom core import load_workload\nfrom core.workload.identity.fingerprint import model_fingerprint\n"
        "a = load_workload('mine.py')\n"
        "b = load_workload('hf:../model', data='test.csv', columns='text=body,label=stars')\n"
        "assert a.evaluation.fingerprint() == b.evaluation.fingerprint()\n"
        "assert model_fingerprint(a.model) == model_fingerprint(b.model)\n"
        "assert a.metric.fingerprint() == b.metric.fingerprint()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "cwd", check=True)
    written = (tmp_path / "cwd" / "mine.py").read_text()
    assert "task: text classification, by the head of the model" in written
    assert "'columns': 'text=body,label=stars'" in written
