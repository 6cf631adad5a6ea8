"""Nothing leaves the machine: what libraries would tell others is switched off before any of them is imported.

ONNX Runtime (from 1.29 on, on Linux too) sends statistics as it is imported and with every session, and keeps an id in
the cache folder; its own call that turns events off comes too late. It reads this variable as its library is loaded.
Processes that we start inherit it. A script that imports onnxruntime before `core` has decided that for itself.
"""

import functools
import importlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

SILENT: Mapping[str, str] = MappingProxyType(
    {
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",  # for workload files that take a model from there
        "DO_NOT_TRACK": "1",
    }
)


SEALED: Mapping[str, str] = MappingProxyType(
    {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
)


def seal() -> None:
    """Nothing is fetched from a hub either, in this process and those that it starts; before its library comes.

    Not for all: a workload file may take its model from there, and says so itself.
    """
    be_silent()
    os.environ.update(SEALED)


def be_silent() -> None:
    """Set the variables for this process and those that it starts; also over what was set to something else."""
    os.environ.update(SILENT)


TRACKERS_OFFLINE: Mapping[str, str] = MappingProxyType(
    {
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "TRACKIO_DISABLE_TELEMETRY": "1",
    }
)
# where somebody lets Trackio send what their own scripts log
TRACKERS_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_WEBHOOK_URL")


def trackers_offline() -> None:
    """Experiment trackers send nothing from this process, whatever the environment says; before one is imported.

    Only in a command that was told to log: a script of yours that imports `core` may track as it likes.
    """
    seal()
    os.environ.update(TRACKERS_OFFLINE)
    for name in TRACKERS_ELSEWHERE:
        os.environ.pop(name, None)


RAY_OFFLINE: Mapping[str, str] = MappingProxyType({"RAY_USAGE_STATS_ENABLED": "0"})
# so that Ray on one machine talks by its loopback; else it looks for the address by which others would reach it. Its
# actors are as nice as we are, no nicer: Ray's usual 15 on top starves them beside whatever else computes
RAY_ALONE: Mapping[str, str] = MappingProxyType(
    {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_worker_niceness": "0"}
)
# where what listens is no Ray, that is told after some 40 s, else after 12 min (Ray 2.60); who wants more says so
RAY_JOINS: Mapping[str, str] = MappingProxyType(
    {"RAY_NUM_REDIS_GET_RETRIES": "2", "RAY_py_gcs_connect_timeout_s": "10"}
)


def ray_offline(alone: bool) -> None:
    """Ray tells its makers nothing of how it is used, from this process and those that it starts; before it comes.

    What its processes tell one another they do: on this machine, or in the cluster that was named.

    Args:
        alone: Ray is started on this machine for this process; nobody else can join it, for only we know the word.
    """
    be_silent()
    os.environ.update(RAY_OFFLINE)
    if alone:
        os.environ.update(RAY_ALONE)
        os.environ["RAY_AUTH_TOKEN"] = _word()  # and none is written into the home folder
    else:
        for name, usual in RAY_JOINS.items():
            os.environ.setdefault(name, usual)


@functools.cache
def _word() -> str:
    """One a process: Ray 2.60 reads it once, and would not be let in by what it starts later with another."""
    return secrets.token_hex(32)


@contextmanager
def ray_home(folder: str | None) -> Iterator[None]:
    """Where the processes of Ray that are started meanwhile look for what belongs to a person; actors change it back.

    With statistics off, too, Ray 2.60 asks the network which cloud this is, unless its file of a cluster is unreadable.

    Args:
        folder: of this run alone; `None` changes nothing.
    """
    before = os.environ.get("HOME")
    if folder is None or before is None:
        yield
        return
    (Path(folder) / "ray_bootstrap_config.yaml").mkdir(exist_ok=True)
    os.environ["HOME"] = folder
    try:
        yield
    finally:
        os.environ["HOME"] = before


def onnxruntime(part: str = "") -> Any:
    """The module `onnxruntime`, or one inside it: the only way that we import it.

    Args:
        part: `"quantization"`, say.

    Raises:
        ImportError: it is not installed.
    """
    be_silent()
    return importlib.import_module(f"onnxruntime.{part}" if part else "onnxruntime")
