"""One worker's measurement: the model that a run measures, loaded here, and bundles of the run's plans on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from core.errors import SecateurError
from core.jobs.places.asked import Asked, Bundle
from core.plans.plan import SparsityPlan
from core.quantization.measuring import QuantizedMeasurement
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.inside.around import AroundMeasurement
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Found
from core.workload.workload import Workload


class OtherModelError(SecateurError):
    """What was loaded here (model, examples, what a cut means) is not what the run measures."""


KINDS = {kind.__name__: kind for kind in (Measurement, QuantizedMeasurement, AroundMeasurement)}


class Bench:
    """A measurement that is the run's own, in this process.

    Args:
        asked: how the run's was made.
        measurement: entered, of the same kind.
        positions: as of `bench`.

    Raises:
        OtherModelError: the model or the examples are others than the run's.
    """

    def __init__(self, asked: Asked, measurement: Measurement, positions: bytes = b"") -> None:
        self._measurement = measurement
        if measurement.model_hash != asked.model:
            raise OtherModelError(
                f"the model of {asked.workload} is not the one that run {asked.run} began with: was its file or its "
                "checkpoint changed meanwhile? Put it back, or stop that run"
            )
        batches = measurement.batches
        if batches.keys != list(asked.keys) and positions:  # a search has put them into an order of its own
            wanted = np.frombuffer(positions, "<i8")
            now = {int(row): place for place, row in enumerate(torch.cat(batches.positions).tolist())}
            if sorted(now) == sorted(wanted.tolist()):
                measurement.regroup(np.array([now[row] for row in wanted.tolist()]), asked.sizes)
        if measurement.batches.keys != list(asked.keys):
            raise OtherModelError(
                f"the examples of {asked.workload} are not those that run {asked.run} began with: are they drawn at "
                "random whenever they are loaded? Put them back, or stop that run"
            )
        if isinstance(measurement, AroundMeasurement) and asked.around is not None:
            plan = SparsityPlan.from_document(asked.around)
            measurement.prepare(plan)
            measurement.around(plan)
        self._asked = asked
        if asked.replays:  # traced before the first bundle comes
            measurement.replay()

    def at_once(self, n: int) -> None:
        """Measure so many cells at a time from now on; no figure hangs on it."""
        self._measurement.threads.resize(n)

    def measure(self, bundle: Bundle) -> list[tuple[int, str, Found]]:
        """What each plan did, with its number and key.

        Args:
            bundle: of the run.

        Raises:
            OtherModelError: a plan is another here than where it was asked for.
            SecateurError: it cannot be measured.
            Cancelled: the measurement's `check` said so.
        """
        measurement, numbers = self._measurement, {number: key for number, key, _ in bundle.plans}
        for repair in {plan.repair for _, _, plan in bundle.plans}:
            cuts = [cut for _, _, plan in bundle.plans if plan.repair == repair for cut in plan.cuts]
            measurement.cutting.prepare_cuts(list(dict.fromkeys(cuts)), repair)
        for _, key, plan in bundle.plans:
            if measurement.cell_key(plan) != key:
                raise OtherModelError(
                    f"a cut of run {self._asked.run} means something else here (another version of Secateur, other "
                    "calibration data or coupled groups?); stop this worker, or that run"
                )
        plans = [(number, plan) for number, _, plan in bundle.plans]
        return [(n, numbers[n], found) for _, n, found in measurement.run_here([(bundle.batch, plans)])]


@contextmanager
def bench(
    asked: Asked,
    workload: Workload,
    store: EvidenceStore | None,
    check: Callable[[], None],
    threads: int,
    positions: bytes = b"",
) -> Iterator[Bench]:
    """A bench for as long as the block lasts; afterwards the model is what it was.

    Args:
        asked: how the run's measurement was made.
        workload: loaded here.
        store: where the dense model's scores are compared with what is known; `None` to compare with nothing.
        check: called before each pass; raises `Cancelled` to stop.
        threads: cells measured at a time.
        positions: int64, of all examples in the order that the run measures them in; empty for the usual one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(asked.torch_threads)  # of full passes: others may give other bits
    try:
        with KINDS[asked.kind](
            workload, store, asked.samples, asked.seed, asked.device, check, threads, asked.memory, asked.part,
            asked.skip,
        ) as measurement:  # fmt: skip
            yield Bench(asked, measurement, positions)
    finally:
        torch.set_num_threads(before)
