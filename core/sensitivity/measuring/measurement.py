"""Measuring: what a plan does to every example, starting from the dense weights each time."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.plans.plan import SparsityPlan
from core.pruning.masks import MaskMaker
from core.pruning.structure import Structure
from core.sensitivity.evidence import BatchEvidence, Conditions, EvidenceStore
from core.sensitivity.forwards.batches import batches_of
from core.sensitivity.forwards.dense_scores import DenseScores
from core.sensitivity.forwards.passes import CutPass, Names
from core.sensitivity.forwards.replayed import ReplayForwards
from core.sensitivity.forwards.set_aside import Part, set_aside_note
from core.sensitivity.measuring.cell_threads import CellThreads, Job
from core.sensitivity.measuring.cutting import RANKINGS, Cutting
from core.sensitivity.measuring.elsewhere import Elsewhere, Task
from core.sensitivity.measuring.gathering import Gathering
from core.sensitivity.measuring.held_model import HeldModel
from core.sensitivity.measuring.outcome import Failure, Found, Outcome, judged
from core.sensitivity.measuring.scoring import CellScoring
from core.sensitivity.measuring.stopping import never_stop
from core.sensitivity.report import Estimate
from core.sensitivity.request import Samples
from core.workload.device import checked_device, default_threads
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.target import Target
from core.workload.workload import Workload

DENSE = SparsityPlan()


class Measurement:
    """One model on the first examples of its evaluation data, in an order drawn by the seed.

    Use it as a context: on entering, the model is put in evaluation mode on the device and hooks of its own are
    left alone; on leaving, mode, buffers, weights and device are what they were.

    Args:
        workload: checked (`Workload.check`).
        store: where evidence is looked up and kept; `None` keeps nothing.
        samples: how many evaluation examples; see `SweepRequest`.
        seed, device, threads, memory: as in `SweepRequest`.
        skip: so many of the order are left out first.
        check: called before each forward pass; raises `Cancelled` to stop.
        part: of the evaluation examples; see `core.sensitivity.forwards.set_aside`.
        elsewhere: measures plans in other processes as well; `None` measures all of them here.

    Attributes:
        workload: what is measured.
        batches: of the examples that are measured on.
        cutting: what can be cut, and what a plan makes of it.
        check, elsewhere: as given.
        threads: that cells are measured on.
        dense_seconds: that a full pass over the first batch took, once something was measured.
        trying_seconds: that it took until passes of the dense model were known to agree, once something was measured.

    Raises:
        SecateurError: `samples` is no number of examples, or this machine has no such device.
    """

    cuts: type[Cutting] = Cutting

    def __init__(
        self,
        workload: Workload,
        store: EvidenceStore | None,
        samples: Samples = "all",
        seed: int = 0,
        device: str = "cpu",
        check: Callable[[], None] = never_stop,
        threads: int | None = None,
        memory: int | None = None,
        part: Part = "open",
        skip: int = 0,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.batches = batches_of(workload, samples, seed, part, skip)
        self._part, self.elsewhere = part, elsewhere
        self.workload, self.store, self.check = workload, store, check
        self._device, self._memory = checked_device(device), memory
        self.cutting = self.cuts(workload, self._device, check)
        self._is_bounded = memory is not None
        if memory is not None:  # a half for rankings, if they need it, and the rest for dense values
            self.cutting.keep_bytes = min(RANKINGS, memory // 2)
            self._memory = memory - self.cutting.keep_bytes
        self._scoring = CellScoring(workload.metric)
        self.threads = CellThreads(threads or default_threads(self._device))
        self.dense_seconds = self.trying_seconds = 0.0
        dtype = next((str(p.dtype) for p in workload.model.parameters() if p.is_floating_point()), "none")
        self._conditions = Conditions(
            model_fingerprint(workload.model), workload.metric.fingerprint(), dtype, self._device.type, seed
        )
        self._dense: DenseScores | None = None
        self._gathered: Gathering | None = None

    def __enter__(self) -> "Measurement":
        self._model = HeldModel(self.workload, self._device, self.batches, self.check)
        return self

    def __exit__(self, *error: Any) -> None:
        with ExitStack() as steps:  # the last comes first, and none is left out where one before it fails
            steps.callback(self._model.restore)
            steps.callback(self.save)
            steps.callback(self.threads.stop)
            if self.elsewhere is not None:
                steps.callback(self.elsewhere.close)
        if self._dense is not None and not any(error):
            self.batches.check_unchanged(self.workload.name)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What can be cut."""
        return self.cutting.targets

    @property
    def maker(self) -> MaskMaker:
        """Of masks."""
        return self.cutting.maker

    def structure(self) -> Structure:
        """As `Cutting.structure`."""
        return self.cutting.structure()

    def prepare(self, plan: SparsityPlan) -> None:
        """As `Cutting.prepare`."""
        self.cutting.prepare(plan)

    @property
    def model_hash(self) -> str:
        """Fingerprint of the dense model."""
        return self._conditions.model

    @property
    def dense_key(self) -> str:
        """Under which the evidence of the dense model is kept."""
        return self.cell_key(DENSE)

    def cell_key(self, plan: SparsityPlan) -> str:
        """Under which the evidence of a plan is kept."""
        return self.cutting.key(plan, self._conditions)

    def known(self, key: str, plan: SparsityPlan | None = None) -> dict[int, BatchEvidence]:
        """What is on disk under a key, by batch.

        Args:
            plan: whose key it is: then also what was measured of its examples in other batches; see `Gathering`.
        """
        if self.store is None:
            return {}
        self.save()
        known = self.store.read(key, self.batches.keys, self.workload.metric.scale, others=plan is not None)
        return self._known(known, plan)

    def all_known(self, keys: Sequence[str], plans: Sequence[SparsityPlan]) -> list[dict[int, BatchEvidence]]:
        """As `known`, of many plans at once."""
        if self.store is None:
            return [{} for _ in keys]
        self.save()
        known = self.store.read_all(keys, self.batches.keys, self.workload.metric.scale, others=True)
        return [self._known(known[key], plan) for key, plan in zip(keys, plans, strict=True)]

    def save(self, found: Iterable[tuple[str, str, BatchEvidence]] = ()) -> None:
        """Put evidence of cells on disk, by key and batch, and what was measured of the dense model since."""
        if self._dense is not None:
            self._dense.save(found)

    def _known(self, known: Mapping[str, BatchEvidence], plan: SparsityPlan | None) -> dict[int, BatchEvidence]:
        keys = self.batches.keys
        found = {i: known[batch] for i, batch in enumerate(keys) if batch in known}
        if plan is None or len(known) == len(found) or len(found) == len(keys):
            return found
        return {**self._gathering().gathered(known, lambda at: self._run_at(at, self.cutting.cut(plan))), **found}

    def _gathering(self) -> Gathering:
        self._begin()
        if self._gathered is None:
            assert self.store is not None
            self._gathered = Gathering(
                self.workload.evaluation, self.batches, self.store, self.dense_key, lambda at: self._run_at(at, {})
            )
        return self._gathered

    def _run_at(self, positions: Tensor, tensors: Mapping[str, Tensor]) -> Any:
        self.check()
        return self._model.full.run_on(self.batches.inputs_at(positions, self._device), tensors)

    def replay(self, keep: bool = False) -> None:
        """From now on compute of a cut only what it changes, on several threads; pays off for many cuts.

        A model that cannot be replayed goes on with full passes, and `full_passes` says why.

        Args:
            keep: hold the dense values of several batches, for a search that comes back to them.
        """
        self._begin()
        if self.elsewhere is not None and not self.threads.started:
            self.elsewhere.foresee(self, replays=True)
        sizes = [self.batches.size(i) for i in range(len(self.batches))]
        if not self.threads.started and self._model.replay(sizes, self._memory, keep):
            self.threads.start()

    @property
    def replays(self) -> bool:
        """Whether of a cut only what it changes is computed, each cell on one thread."""
        return self.threads.started

    @property
    def n_parallel(self) -> int:
        """Cells that are measured at a time."""
        return self.threads.n_parallel

    def notes(self) -> tuple[str, ...]:
        """What had to be done about the model or its data, in words."""
        n = self.workload.n_ignored
        left_out = f"{n:,} example(s) have no label that counts, and were left out." if n else ""
        held, beyond = set_aside_note(self.workload), self.batches.n - self.workload.n_open
        if self._part == "held":
            held = None
        elif self.workload.n_held and beyond > 0:
            held = f"{beyond:,} of these examples were set aside for certificates; none can be made on them any more."
        unbounded = self._model.unbounded_text(self.n_parallel) if self._is_bounded else None
        said = (left_out, held, unbounded)
        return (*self._model.notes, *(text for text in said if text))

    def full_passes(self) -> tuple[str, ...]:
        """As `HeldModel.full_passes`."""
        return self._model.full_passes()

    def dense(self) -> Estimate:
        """The dense model's metric on these examples.

        Raises:
            SecateurError: the model gives no finite score for some example, or two passes over the same
                batch differ, so that no difference could be blamed on a cut.
        """
        batches = range(len(self.batches))
        for i in batches:
            self.dense_evidence(i)
        return self.dense_estimate(batches)

    def dense_estimate(self, batches: Iterable[int]) -> Estimate:
        """The dense model's metric on batches that have been measured."""
        return self._begin().estimate(batches)

    def dense_scores(self, batches: Iterable[int]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """As `DenseScores.scores`."""
        return self._begin().scores(batches)

    def dense_losses(self, i: int) -> NDArray[np.float32] | None:
        """The dense model's losses on a batch that is at hand; `None` where none are known."""
        return self._begin()[i].losses

    def margins(self) -> NDArray[np.float32] | None:
        """How far each example is from being scored otherwise by the dense model, (n,), in the measurement's order.

        `None` where nothing says so. What is not on disk takes a pass of the dense model over all the examples.
        """
        dense = self._begin()
        if not dense.want_margins():
            return None
        for i in range(len(self.batches)):
            if i not in dense.margins:
                dense.ran.pop(i, None)
                for _ in self.run_here([(i, ())]):
                    pass
                if i not in dense.margins:
                    return None
        dense.keep_margins()
        return np.concatenate([dense.margins[i] for i in range(len(self.batches))])

    def regroup(self, order: NDArray[np.int64], sizes: Sequence[int]) -> None:
        """Go through the same examples in another order and in other batches; before replay. See `Batches.regroup`."""
        assert not self.threads.started, "replay was traced for the batches as they are"
        self.batches.regroup(order, sizes)
        self._gathered = None
        self.save()
        self._dense = DenseScores(self.workload, self.batches, self._device, self.store, self.dense_key)

    def has_dense(self, i: int) -> bool:
        """Whether the dense model's scores on a batch are at hand."""
        return self._dense is not None and i in self._dense

    def dense_evidence(self, i: int) -> BatchEvidence:
        """The dense model's scores on one batch: from an earlier run if they are known."""
        dense = self._begin()
        if i > 0:  # the first batch always runs: is it still that model?
            dense.recall(i)
        for _ in self.run_here([] if i in dense else [(i, ())]):
            pass
        return dense[i]

    def measure(self, plan: SparsityPlan) -> Outcome:
        """What a plan costs on all these examples; reads what is known and computes the rest.

        Raises:
            SecateurError: the plan names an unknown target.
            Cancelled: `check` said so; batches that were finished are on disk, here as after any error.
        """
        self.prepare(plan)
        key = self.cell_key(plan)
        evidence = self.known(key, plan)
        missing = [i for i in range(len(self.batches)) if i not in evidence]
        try:
            for i, _, found in self.run((i, [(0, plan)]) for i in missing):
                if isinstance(found, Failure):
                    return Outcome("failed", None, None, found.reason, reused=False)
                evidence[i] = found
        finally:
            new = [i for i in sorted(evidence) if i in missing or evidence[i].gathered]
            self.save((key, self.batches.keys[i], evidence[i]) for i in new)
        self.dense()
        return self.outcome(evidence, reused=not missing)

    def outcome(self, evidence: Mapping[int, BatchEvidence], reused: bool = True) -> Outcome:
        """What evidence on batches, by their numbers, says; the dense model's scores on them are at hand."""
        batches = sorted(evidence)
        scale = self.workload.metric.scale
        return judged(scale, *self.dense_scores(batches), [evidence[i] for i in batches], reused)

    def run(self, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """Measure plans on batches, several at a time; what is found comes in the order that it was asked for.

        Args:
            work: batches, each with numbered plans.

        Yields:
            Batch, the plan's number, and what it did.

        Raises:
            SecateurError: the dense model cannot be measured, or a plan names an unknown target.
            Cancelled: after what was under way has been handed over.
        """
        self._begin()
        yield from self.run_here(work) if self.elsewhere is None else self.elsewhere.run(self, work)

    def run_here(self, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `run`, in this process whatever others do; with no plan, the dense model alone is measured."""
        dense = self._begin()
        yield from self.threads.run((jobs for i, plans in work for jobs in self._jobs(dense, i, plans)), self.check)

    def _jobs(self, dense: DenseScores, i: int, plans: Sequence[tuple[int, SparsityPlan]]) -> Iterator[list[Job]]:
        """The plans on one batch, as functions that measure them; in parts that share the batch's dense values."""
        by_names: dict[Names, list[tuple[int, SparsityPlan]]] = {}
        for number, plan in plans:
            by_names.setdefault(self.cutting.changed_by(plan), []).append((number, plan))
        forwards = self._model.forwards
        if isinstance(forwards, ReplayForwards):
            for names, numbered in by_names.items():
                if forwards.is_new(names):
                    self.check()
                    forwards.verify(names, self.cutting.cut(numbered[0][1]))
        against_dense = self.workload.metric.against == "dense"
        want_dense = i not in dense.ran or against_dense
        for opened in self._model.open(i, list(by_names), want_dense):
            if want_dense and i not in dense.ran:
                dense.note(i, opened.dense)
            reference = opened.dense if against_dense else self.batches.trimmed_labels(i, self._device)
            jobs = [
                Job(i, number, self._job(i, plan, cut_pass, reference, dense.ran[i]), cut_pass.parallel)
                for names, cut_pass in opened.cuts.items()
                for number, plan in by_names[names]
            ]
            del opened, reference
            yield jobs

    def _job(
        self, i: int, plan: SparsityPlan, cut_pass: CutPass, reference: Any, of_dense: tuple[Tensor, bytes]
    ) -> Callable[[], Found]:
        n, counted = self.batches.size(i), self.batches.trimmed_counted(i, self._device)
        return lambda: self._scoring.found(
            lambda: cut_pass.run(self.cutting.cut(plan)), reference, n, of_dense, counted
        )

    def _begin(self) -> DenseScores:
        """Once, before anything is measured: is the model deterministic, and what is known of it?"""
        if self._dense is None:
            begun = time.perf_counter()
            self.dense_seconds = self._model.seconds_of_a_pass()
            self.trying_seconds = time.perf_counter() - begun
            self._dense = DenseScores(self.workload, self.batches, self._device, self.store, self.dense_key)
        return self._dense

    def inputs(self, i: int) -> tuple[Tensor, ...]:
        """Inputs of a batch, on the model's device; with all their padding, as `labels` and `counted`."""
        return self.batches.inputs(i, self._device)

    def labels(self, i: int) -> Tensor:
        """Labels of a batch, on the model's device."""
        return self.batches.labels(i, self._device)

    def counted(self, i: int) -> Tensor | None:
        """Which positions of the outputs on a batch are no padding; see `Metric.score_batch`."""
        return self.batches.counted_at(self.batches.positions[i], self._device)
