"""All the code and settings that a measurement depends on are in a fingerprint, and it is the same in every process."""

import importlib
import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from core import Metric, accuracy, load_workload
from core.workload.code_text import settings_text
from core.workload.identity.fingerprint import model_fingerprint

FILE = """
import functools
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import nn
from core import Examples, Workload, accuracy

{head}

class Net({base}):
    def __init__(self, **settings):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.__dict__.update(settings)
{forward}

def workload():
    torch.manual_seed(0)
    model = Net({settings})
    return Workload("net", model, Examples(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])), accuracy())
"""


def file(head="", settings="", forward="return self.fc(x)", base="nn.Module"):
    body = f"    def forward(self, x):\n        {forward}" if forward else ""
    return FILE.format(head=head, settings=settings, forward=body, base=base)


Case = namedtuple("Case", "net beside old new")  # a workload file, a file beside it, and an edit of one of the two
CONFIG = "class Config:\n    def __init__(self, level):\n        self.level = level\n"
CASES = {
    "a base class in another file": Case(
        file("from beside import Base", base="Base", forward=""),
        "from torch import nn\nclass Base(nn.Module):\n    def forward(self, x):\n        return self.fc(x).relu()\n",
        "relu", "sigmoid",
    ),
    "a helper function": Case(
        file("def act(x):\n    return x.relu()", forward="return act(self.fc(x))"), "", "relu", "sigmoid"
    ),
    "a helper of a helper in another file": Case(
        file("from beside import act", forward="return act(self.fc(x))"),
        "def act(x):\n    return inner(x)\ndef inner(x):\n    return x.relu()\n",
        "relu", "sigmoid",
    ),
    "a helper called by its module": Case(
        file("import beside as b", forward="return b.act(self.fc(x))"), "def act(x):\n    return x.relu()\n",
        "relu", "sigmoid",
    ),
    "a helper called in a lambda": Case(
        file("from beside import act", forward="return (lambda y: act(y))(self.fc(x))"),
        "def act(x):\n    return x.relu()\n", "relu", "sigmoid",
    ),
    "a helper called in a generator": Case(
        file("from beside import act", forward="return sum(act(self.fc(y)) for y in (x, -x))"),
        "def act(x):\n    return x.relu()\n", "relu", "sigmoid",
    ),
    "a helper that is cached": Case(
        file("from beside import level", forward="return self.fc(x) * level()"),
        "import functools\n@functools.cache\ndef level():\n    return 2\n", "return 2", "return 0.25",
    ),
    "a constant": Case(file("LEVEL = 2", forward="return LEVEL * self.fc(x)"), "", "LEVEL = 2", "LEVEL = 0.25"),
    "a constant of a module": Case(
        file("import beside", forward="return beside.LEVEL * self.fc(x)"), "LEVEL = 2\n", "= 2", "= 0.25"
    ),
    "an object that is called": Case(
        file("from beside import Act\nact = Act()", forward="return act(self.fc(x))"),
        "class Act:\n    def __call__(self, x):\n        return x.relu()\n", "relu", "sigmoid",
    ),
    "a function in an attribute": Case(
        file(settings="act=lambda x: x.relu()", forward="return self.act(self.fc(x))"), "", "x.relu", "x.sigmoid"
    ),
    "a partial in an attribute": Case(
        file(settings="act=functools.partial(torch.clamp, min=0.25)", forward="return self.act(self.fc(x))"), "",
        "0.25", "0.125",
    ),
    "a config object": Case(
        file(CONFIG, "config=Config(2)", "return self.config.level * self.fc(x)"), "", "Config(2)", "Config(0.25)"
    ),
    "a method of a config object": Case(
        file("from beside import Config", "config=Config()", "return self.config.level() * self.fc(x)"),
        "class Config:\n    def level(self):\n        return 2\n", "return 2", "return 0.25",
    ),
    "a dataclass with slots": Case(
        file("@dataclass(slots=True)\nclass Config:\n    level: float", "config=Config(2)",
             "return self.config.level * self.fc(x)"),
        "", "Config(2)", "Config(0.25)",
    ),
    "a namespace": Case(
        file(settings="config=SimpleNamespace(level=2)", forward="return self.config.level * self.fc(x)"), "",
        "level=2", "level=0.25",
    ),
    "a plain tensor": Case(
        file(settings="level=torch.tensor(2.0)", forward="return self.level * self.fc(x)"), "", "2.0", "0.25"
    ),
    "tensors in a dictionary": Case(
        file(settings="level={'a': [torch.tensor(2.0)]}", forward="return self.level['a'][0] * self.fc(x)"), "",
        "2.0", "0.25",
    ),
    "modules in a plain list": Case(
        file(settings="hidden=[nn.Linear(2, 2)]", forward="return self.hidden[0](self.fc(x))"), "",
        "nn.Linear(2, 2)]", "nn.Linear(2, 2, bias=False)]",
    ),
}  # fmt: skip


@pytest.fixture
def fingerprint(write_file):
    def of(case):
        write_file("beside.py", case.beside)
        return model_fingerprint(load_workload(str(write_file("net.py", case.net))).model)

    return of


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_edit_of_what_a_forward_uses_is_seen(case, fingerprint):
    before = fingerprint(case)
    assert fingerprint(case) == before
    edited = case._replace(net=case.net.replace(case.old, case.new), beside=case.beside.replace(case.old, case.new))
    assert edited != case
    assert fingerprint(edited) != before
    assert fingerprint(case) == before


@pytest.mark.process
def test_fingerprints_are_the_same_in_every_process(write_file):
    """Neither addresses nor the order of sets may leak into them."""
    files = []
    for i, case in enumerate(CASES.values()):
        write_file(f"{i}/beside.py", case.beside)
        files.append(str(write_file(f"{i}/net.py", case.net)))
    text = file("WORDS = {'one', 'two', 'three'}", forward="return self.fc(x) * len(WORDS)")
    files.append(str(write_file("sets.py", text.replace("torch.manual_seed", "object(); torch.manual_seed"))))
    code = (
        "import sys\nfrom core import load_workload\nfrom core.workload.identity.fingerprint import model_fingerprint\n"
        "for found in map(load_workload, sys.argv[1:]):\n"
        "    print(model_fingerprint(found.model), found.metric.fingerprint())\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, *files],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert len(said[0]) == len(files)
    assert len(set(said[0])) == len(files)
    assert said[0] == said[1]


def top(k):
    def score(outputs, labels):
        return (outputs.topk(k).indices == labels[:, None]).any(1).float()

    return score


def scaled(by):
    return lambda outputs, labels: outputs @ torch.as_tensor(by)


@dataclass
class Level:
    value: float


def above(level):
    return lambda outputs, labels: (outputs > level.value).float().mean(1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: top(1), lambda: top(2)),
        (lambda: scaled(torch.tensor([1.0, 2.0])), lambda: scaled(torch.tensor([1.0, 2.5]))),
        (lambda: scaled(torch.zeros(2000)), lambda: scaled(torch.eye(2000)[1000])),
        (lambda: scaled(np.array([1.0, 2.0])), lambda: scaled(np.array([1.0, 2.5]))),
        (lambda: above(Level(0.5)), lambda: above(Level(0.7))),
        (lambda: {"k": [top(1)]}["k"][0], lambda: {"k": [top(3)]}["k"][0]),
    ],
    ids=["number", "tensor", "one entry of a long tensor", "array", "object", "from a container"],
)
def test_a_metric_s_closure_is_part_of_it(one, other):
    def fingerprint(make):
        return Metric(accuracy().scale, make()).fingerprint()

    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(other)


def test_a_closure_that_holds_itself_has_an_end(hand):
    def again(outputs, labels):
        return known["again"](outputs, labels) if len(outputs) < 0 else outputs.sum(1)

    known = {"again": again}
    known["known"] = known
    metric = Metric(accuracy().scale, again)
    assert replace(hand, metric=metric).metric.fingerprint() == metric.fingerprint()


def test_a_module_that_holds_its_parent_has_an_end_and_keeps_its_fingerprint_in_training(hand):
    model = hand.model
    model.child = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model.child.__dict__["parents"] = [model]
    before = model_fingerprint(model.eval())
    assert model_fingerprint(model.train()) == before


def test_a_salted_hash_that_an_installed_object_keeps_is_no_setting(tmp_path, monkeypatch):
    """By its size, whatever it is called; settings, however large, that are public or of one's own stay."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "elsewhere.py").write_text(
        "class Config:\n    def __init__(self, **s):\n        self.__dict__.update(s)\n"
    )
    monkeypatch.syspath_prepend(packages)
    elsewhere = importlib.import_module("elsewhere")
    config = elsewhere.Config
    assert settings_text(config(_hash=2**60)) == settings_text(config(_hash=-(2**61))) == settings_text(config())
    assert settings_text(config(_level=3)) != settings_text(config(_level=4))
    assert settings_text(config(level=2**60)) != settings_text(config(level=2**61))
    own = type("Config", (), {"__init__": config.__init__, "__module__": __name__})
    assert settings_text(own(_hash=2**60)) != settings_text(own(_hash=2**61))
