"""Actors of Ray as hands. The one module that imports Ray, by name, in the worker of a run that asked for it.

What goes between driver and actors is pickled by Ray: plans, numbers and arrays of our own, between processes of one
person on machines that this person named. No byte of a model file is among them; each actor loads its model itself, as
the driver does.
"""

import importlib
import logging
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from core.errors import SecateurError
from core.jobs.cluster.dispatch import Died
from core.jobs.cluster.ray_folder import new_folder
from core.jobs.cluster.remote_model import Answer, Cell, RemoteModel, Setup
from core.offline import ray_home, ray_offline
from core.sensitivity.search.ray_address import AUTO, LOCAL, check_there

GPU_SHARE = 0.5  # of an accelerator that an actor asks for: one small model alone seldom fills it
KNOCK_SECONDS = 10.0  # for a machine of the cluster to be reached; Ray asks for longer, and cannot be interrupted
STORE_BYTES = 1 << 27  # for what is under way between processes: numbers, no tensors


class RayHands:
    """Actors on a cluster, or on this machine alone.

    Args:
        address: see `checked_address`.
        device: of the run; on `cuda` actors ask for a part of an accelerator each.
        threads: actors there may be; `None` for one per core (or per part of an accelerator) of the cluster.

    Attributes:
        n: actors there may be.
        beside: of them on one machine, at most.

    Raises:
        SecateurError: Ray is not installed, there is no cluster, or it has no room for an actor.
    """

    def __init__(self, address: str, device: str, threads: int | None) -> None:
        check_there()
        ray_offline(alone=address == LOCAL)
        self._folder: str | None = None
        self._ray: Any = importlib.import_module("ray")
        self._actors: dict[int, Any] = {}
        self._placed: dict[int, Any] = {}  # ticket of the first answer
        self._last = 0
        on_gpu = device.startswith("cuda")
        self._begin(address, threads, on_gpu)
        try:
            kind, share = ("GPU", GPU_SHARE) if on_gpu else ("CPU", 1.0)
            room = [int(node["Resources"].get(kind, 0.0) / share) for node in self._ray.nodes() if node["Alive"]]
            self.n = min(sum(room), threads or sum(room))
            self.beside = min(self.n, max(room, default=0))
            if self.n < 1:
                raise SecateurError(f"Ray at {address} offers no {kind} for an actor; start its nodes with some")
            options = {"num_gpus": GPU_SHARE, "num_cpus": 0} if on_gpu else {"num_cpus": 1}
            self._made = self._ray.remote(max_restarts=0, max_task_retries=0, **options)(RemoteModel)
        except BaseException:
            self.close()
            raise

    def _begin(self, address: str, threads: int | None, on_gpu: bool) -> None:
        given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == LOCAL:
            self._folder = new_folder()  # else every session stays in /tmp/ray
            given |= {"include_dashboard": False, "object_store_memory": STORE_BYTES, "_temp_dir": self._folder}
            if threads is not None and not on_gpu:
                given["num_cpus"] = threads
        try:
            if address not in (LOCAL, AUTO):
                self._knock(address)
            with ray_home(self._folder):
                self._ray.init(address=address, **given)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            self.close()
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            said = " … ".join(line[:200] for line in dict.fromkeys((lines[0], lines[-1])))  # the cause stands last
            what = "Ray did not start here" if address == LOCAL else f"no cluster of Ray to join at {address}"
            raise SecateurError(
                f"{what} ({said}); the same version of Ray must run there, and `ray status` on a node says what it has"
            ) from None

    def _knock(self, address: str) -> None:
        """OSError at once where nothing listens, with the cause; Ray would say that it could not connect."""
        host, _, port = address.rpartition(":")
        if host in ("localhost", "127.0.0.1"):  # Ray looks for it where other machines would
            host = self._ray.util.get_node_ip_address()
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()

    def start(self, setup: Setup) -> tuple[int, Any]:
        """As `Hands.start`."""
        self._last += 1
        self._actors[self._last] = actor = self._made.remote(setup)
        self._placed[self._last] = actor.is_there.remote()
        return self._last, actor.greet.remote()

    def placed(self, hand: int) -> bool:
        """As `Hands.placed`."""
        return bool(self._ray.wait([self._placed[hand]], timeout=0)[0])

    def send(self, hand: int, cells: Sequence[Cell]) -> Any:
        """As `Hands.send`."""
        return self._actors[hand].measure.remote(tuple(cells))

    def ready(self, tickets: Sequence[Any], seconds: float) -> Sequence[Any]:
        """As `Hands.ready`."""
        return self._ray.wait(list(tickets), num_returns=1, timeout=seconds)[0]

    def answer(self, ticket: Any) -> Answer:
        """As `Hands.answer`."""
        try:
            return self._ray.get(ticket)
        except self._ray.exceptions.RayActorError as error:
            raise Died(_reason(error)) from None
        except self._ray.exceptions.RayTaskError as error:
            raise RuntimeError(f"an actor of Ray raised: {error}") from None
        except self._ray.exceptions.RayError as error:  # what it found is lost with its node
            raise Died(_reason(error)) from None

    def stop(self, hand: int) -> None:
        """As `Hands.stop`."""
        actor = self._actors.pop(hand, None)
        self._placed.pop(hand, None)
        if actor is not None:
            with suppress(Exception):  # it is dead, or its cluster is
                self._ray.kill(actor)

    def close(self) -> None:
        """Leave the cluster; one that was started for this run ends."""
        with suppress(Exception):
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
