"""Ray as a place where a sweep is measured."""

import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from core.jobs.cluster.dispatch import Dispatch
from core.jobs.cluster.ray_hands import RayHands
from core.jobs.cluster.remote_model import Setup, dense_digest
from core.sensitivity.measuring.elsewhere import Here, Task
from core.sensitivity.measuring.outcome import Found
from core.sensitivity.search.ray_address import LOCAL


class RayPlace:
    """An `Elsewhere`: actors of Ray, each with the model; none before there is work for it.

    Args:
        address: of the cluster, see `checked_address`.
        workload: reference of what is measured.
        seed, device, threads, memory: as in `SweepRequest`; of the threads each is an actor.
        tell: told what is waited for, `None` once that is over.
    """

    def __init__(
        self, address: str, workload: str, seed: int, device: str, threads: int | None, memory: float | None,
        tell: Callable[[str | None], None],
    ) -> None:  # fmt: skip
        self._address, self._workload, self._seed = address, workload, seed
        self._device, self._threads, self._memory = device, threads, memory
        self._hands: RayHands | None = None
        self._dispatch = Dispatch(self._more_hands, self._setup, tell)

    def foresee(self, here: Here, replays: bool) -> None:
        """Nothing: whether there is work enough for actors is known once it is asked for."""

    def run(self, here: Here, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `Elsewhere.run`."""
        yield from self._dispatch.run(here, work)

    def close(self) -> None:
        """As `Elsewhere.close`."""
        self._dispatch.close()
        if self._hands is not None:
            self._hands.close()
            self._hands = None

    def _more_hands(self) -> RayHands:
        self._hands = RayHands(self._address, self._device, self._threads)
        return self._hands

    def _setup(self, here: Here) -> Setup:
        beside = 1 if self._hands is None else self._hands.beside
        device = self._device.partition(":")[0]  # Ray says which accelerator of its node an actor sees
        memory = None if self._memory is None else int(self._memory * 1e9) // beside
        positions = tuple(np.array(one.numpy(), dtype=np.int64) for one in here.batches.positions)
        keys = tuple(here.batches.keys)
        return Setup(
            self._workload, self._seed, device, memory, beside, here.replays, positions, keys, here.model_hash,
            dense_digest(here.workload, here.batches, device),
            os.environ.get("HOME") if self._address == LOCAL else None,
        )  # fmt: skip
