"""What each adapter asks of its package, with one in its place that only notes: no base install has the real ones."""

import os
import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from core.offline import TRACKERS_ELSEWHERE, TRACKERS_OFFLINE
from core.tracking.registry import TRACKERS, opened
from core.tracking.tracker import Reading, Told


class Noting(types.ModuleType):
    """A module of which everything can be had; it notes each call, and what the environment said as it was imported."""

    def __init__(self, name, calls):
        super().__init__(name)
        self.calls = calls

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Part(name, self.calls)


class Part:
    """Something of such a module, and what calling it gives."""

    def __init__(self, name, calls):
        self._name, self._calls = name, calls

    def __getattr__(self, name):
        return Part(f"{self._name}.{name}", self._calls)

    def __call__(self, *args, **named):
        self._calls.append((self._name, args, named))
        return self


class InPlaceOf:
    """Finds noting modules under some names; `met` is the environment as the last of them was imported."""

    def __init__(self, names):
        self.names, self.calls, self.met = names, [], {}

    def find_spec(self, wanted, path=None, target=None):
        return ModuleSpec(wanted, self, is_package=True) if wanted in self.names else None

    def create_module(self, spec):
        self.met = dict(os.environ)
        return Noting(spec.name, self.calls)

    def exec_module(self, module):
        module.__path__ = []


@pytest.fixture
def noted(monkeypatch):
    """Puts a noting package in the place of the one of that name."""
    for variable in (*TRACKERS_OFFLINE, "TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(variable, "online")  # put back at the end
    for variable in TRACKERS_ELSEWHERE:
        monkeypatch.setenv(variable, "https://example.org")
    there = {}

    def of(name):
        found = InPlaceOf(MODULES[name])
        there.update({module: sys.modules.pop(module, None) for module in MODULES[name]})
        monkeypatch.setattr(sys, "meta_path", [found, *sys.meta_path])
        return found

    yield of
    for module, was in there.items():
        sys.modules.pop(module, None)
        if was is not None:
            sys.modules[module] = was


MODULES = {
    "trackio": ("trackio",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow", "mlflow.entities", "mlflow.tracking"),
    "tensorboard": ("torch.utils.tensorboard",),
}


NAMES = [pytest.param(name, marks=[pytest.mark.model] * (name == "tensorboard")) for name in TRACKERS]  # of torch


@pytest.mark.parametrize("name", NAMES)
def test_before_a_package_is_imported_it_is_offline_whatever_the_environment_said(name, noted, tmp_path):
    found = noted(name)
    tracker = opened(name, Told("3f2a", {"seed": "0"}, tmp_path / name))
    assert {key: found.met[key] for key in TRACKERS_OFFLINE} == dict(TRACKERS_OFFLINE)
    assert not [key for key in TRACKERS_ELSEWHERE if key in found.met]
    tracker.tell(Reading("attn:1/weight/magnitude", 500, {"drop": 0.02, "drop_n": 200}))
    n = len(found.calls)
    tracker.close(False)
    assert n > 1  # opened, and told
    assert len(found.calls) == n + 1  # closed


def test_folders_of_wandb_lie_in_the_workspace(noted, tmp_path):
    found = noted("wandb")
    opened("wandb", Told("3f2a", {}, tmp_path / "wandb"))
    for key in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        assert found.met[key].startswith(str(tmp_path / "wandb"))
    (asked,) = [named for what, _, named in found.calls if what == "init"]
    assert asked["mode"] == "offline"
    assert asked["dir"] == str(tmp_path / "wandb")


def test_trackio_is_finished_as_a_module_so_that_nothing_is_said_as_python_ends(noted, tmp_path):
    found = noted("trackio")
    tracker = opened("trackio", Told("3f2a", {}, tmp_path / "trackio"))
    assert found.met["TRACKIO_DIR"] == str(tmp_path / "trackio")
    tracker.close(True)
    assert found.calls[-1][0] == "finish"
