"""The trackers by name: what must be installed, and what opens one."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.errors import SecateurError
from core.offline import trackers_offline
from core.tracking.tracker import Told, Tracker


@dataclass(frozen=True)
class Entry:
    """A tracker that there is: its adapter, `module:class`, in this room."""

    adapter: str
    shown_by: str  # a command, of its folder


TRACKERS: Mapping[str, Entry] = MappingProxyType(
    {
        "trackio": Entry("to_trackio:Trackio", "TRACKIO_DIR={folder} trackio show"),
        "wandb": Entry("to_wandb:WandB", "wandb sync {folder}/wandb/offline-run-*"),
        "mlflow": Entry("to_mlflow:MLflow", "mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db"),
        "tensorboard": Entry("to_tensorboard:TensorBoard", "tensorboard --logdir {folder}"),
    }
)


def check_installed(name: str) -> None:
    """Refuse a tracker that is not here, before anything starts; imports nothing of it.

    Args:
        name: one of `TRACKERS`, which is also its package.

    Raises:
        SecateurError: it is not installed.
    """
    if importlib.util.find_spec(name) is None:
        raise SecateurError(f"--log {name} needs {name}, which is not installed: `python -m pip install {name}`")


def opened(name: str, told: Told) -> Tracker:
    """A tracker that was told of a run; whatever its package raises."""
    trackers_offline()
    module, _, made = TRACKERS[name].adapter.partition(":")
    found: Tracker = getattr(importlib.import_module(f"core.tracking.{module}"), made)(told)
    return found
