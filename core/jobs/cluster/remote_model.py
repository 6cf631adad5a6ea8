"""A model held in another process: it says who it is, and measures bundles of cells as the driver would."""

import os
import platform
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.forwards.passes import digest
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Failure, Found
from core.workload.device import checked_device, free_memory
from core.workload.kept_state import KeptState
from core.workload.loading import load_workload
from core.workload.workload import Workload

THREADS = 1  # of torch in an actor: many cells at a time, each by one, as in replay
QUARTER = 4  # of what is free is for dense values, as where one process measures


@dataclass(frozen=True)
class Setup:
    """What another process must know to measure as the driver does.

    Attributes:
        workload: its reference, which means the same on every node.
        seed, device: as in `SweepRequest`.
        memory: bytes of dense values that one actor may keep; `None` for its part of a quarter of what is free.
        beside: actors on its node, itself included.
        replay: compute of a cut only what it changes.
        positions: of each batch in the evaluation data, int64.
        keys: of each batch, from its content.
        model: fingerprint.
        dense: digest of the dense model's outputs on the first batch, by one thread.
        home: folder of the person, where actors are of this machine; else as it is there.
    """

    workload: str
    seed: int
    device: str
    memory: int | None
    beside: int
    replay: bool
    positions: tuple[NDArray[np.int64], ...] = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    model: str
    dense: str
    home: str | None = None


@dataclass(frozen=True)
class Cell:
    """A plan to be measured on a batch: its number, and the key that its evidence is kept under."""

    batch: int
    number: int
    plan: SparsityPlan
    key: str


@dataclass(frozen=True)
class Answer:
    """What came of a bundle.

    Attributes:
        found: in the order of its cells.
        seconds: that it took, wall clock.
        error: why it could not be done at all, in words.
        mendable: whether `error` is one that a person can mend, and no fault of ours.
    """

    found: tuple[Found, ...] = ()
    seconds: float = 0.0
    error: str | None = None
    mendable: bool = True


class RemoteModel:
    """What an actor is. Nothing is raised but by a process that dies: an `Answer` says what went wrong.

    Args:
        setup: from the driver.
    """

    def __init__(self, setup: Setup) -> None:
        if setup.home is not None:
            os.environ["HOME"] = setup.home
        self._setup = setup
        self._measurement: Measurement | None = None
        self._prepared: set[Any] = set()

    def is_there(self) -> bool:
        """Answered at once, by a process that has begun."""
        return True

    def greet(self) -> Answer:
        """Load the model and compare it with the driver's; once, first."""
        return self._answered(self._open)

    def measure(self, cells: Sequence[Cell]) -> Answer:
        """Measure cells; those of one batch stand together."""
        return self._answered(lambda: self._measured(cells))

    def _answered(self, do: Any) -> Answer:
        begun = time.perf_counter()
        try:
            found = do()
        except SecateurError as error:
            return Answer(error=f"{error} (on {_node()})")
        except Exception as error:
            traceback.print_exc()
            said = f"{type(error).__name__}: {error} (on {_node()})\n{traceback.format_exc()}"
            return Answer(error=said, mendable=False)
        return Answer(found, time.perf_counter() - begun)

    def _open(self) -> tuple[Found, ...]:
        setup = self._setup
        # a process that was used before keeps the number that torch read when it was imported, whatever the environment
        torch.set_num_threads(THREADS)
        if (n := torch.get_num_threads()) != THREADS:
            raise SecateurError(f"torch runs {n} threads here though {THREADS} was asked for; is it built with OpenMP?")
        workload = load_workload(setup.workload)
        memory = setup.memory
        if memory is None:
            memory = free_memory(checked_device(setup.device)) // (QUARTER * max(1, setup.beside))
        found = Measurement(workload, None, 2, setup.seed, setup.device, threads=THREADS, memory=memory)
        if found.model_hash != setup.model:
            raise SecateurError(
                f"{workload.name} is another model here than on the machine that asks (weights or code differ); put "
                "the same files on every node"
            )
        found.batches.arrange([torch.from_numpy(positions.copy()) for positions in setup.positions])
        if tuple(found.batches.keys) != setup.keys:
            raise SecateurError(
                f"the evaluation data of {workload.name} are others here than on the machine that asks; put the same "
                "files on every node"
            )
        found.__enter__()
        self._measurement = found  # until the process ends
        found.dense_evidence(0)
        if dense_digest(workload, found.batches, setup.device) != setup.dense:
            raise SecateurError(
                f"the dense {workload.name} gives other numbers here than on the machine that asks (torch "
                f"{torch.__version__}, {platform.machine()}), so that cells of both made no one map; take nodes of one "
                "kind with the same torch, or measure shards and merge them with --atol"
            )
        if setup.replay:
            found.replay()
        return ()

    def _measured(self, cells: Sequence[Cell]) -> tuple[Found, ...]:
        measurement = self._measurement
        assert measurement is not None, "greeted first"
        for cell in cells:
            self._prepare(measurement, cell)
        by_batch: dict[int, list[tuple[int, SparsityPlan]]] = {}
        for place, cell in enumerate(cells):
            by_batch.setdefault(cell.batch, []).append((place, cell.plan))
        found: list[Found | None] = [None] * len(cells)
        for _, place, one in measurement.run(by_batch.items()):
            found[place] = _plain(one)
        return tuple(one for one in found if one is not None)

    def _prepare(self, measurement: Measurement, cell: Cell) -> None:
        if cell.plan in self._prepared:
            return
        measurement.cutting.prepare_cuts(cell.plan.cuts, cell.plan.repair)
        if measurement.cell_key(cell.plan) != cell.key:
            raise SecateurError(
                f"a cut of {cell.plan.cuts[0].target} depends on other things here than on the machine that asks "
                "(metric, calibration data, what is coupled); put the same files and the same Secateur on every node"
            )
        self._prepared.add(cell.plan)


def dense_digest(workload: Workload, batches: Batches, device: str) -> str:
    """Hash of what the dense model, held by a measurement, gives for the first batch when one thread computes it."""
    kept, before = KeptState(workload.model), torch.get_num_threads()
    kept.note_working_state()
    torch.set_num_threads(THREADS)
    try:
        with torch.inference_mode():
            return digest(workload.model(*batches.trimmed_inputs(0, checked_device(device)))).hex()
    finally:
        torch.set_num_threads(before)
        kept.restore_buffers()


def _plain(found: Found) -> Found:
    """With arrays of its own, that no tensor stands behind."""
    if isinstance(found, Failure):
        return found
    losses = None if found.losses is None else np.array(found.losses)
    return BatchEvidence(np.array(found.scores), found.changed, None, found.seconds, losses)


def _node() -> str:
    return f"{platform.node()}, process {os.getpid()}"
