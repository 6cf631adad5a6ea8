"""Measuring: what a plan does to every example, starting from the dense weights each time."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import SecateurError
from core.plans.criteria import FACTS
from core.plans.plan import Cut, SparsityPlan
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker, without_blocks
from core.pruning.skipping import CannotSkip
from core.pruning.structure import EXAMPLES, Structure, find_structure
from core.sensitivity.evidence import BatchEvidence, Conditions, EvidenceStore
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.forwards.dense_scores import DenseScores
from core.sensitivity.forwards.passes import CutPass, FullForwards, Names, OpenBatch, ReplayForwards, digest
from core.sensitivity.forwards.replay import CannotReplay
from core.sensitivity.report import Estimate, State
from core.sensitivity.request import Samples, check_samples
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import TOO_LARGE, drop_estimate, metric_estimate
from core.workload.device import checked_device, default_threads, free_memory
from core.workload.discovery import find_targets
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.kept_state import KeptState
from core.workload.target import is_skip, skip_name
from core.workload.workload import Workload

DENSE = SparsityPlan()
NOTHING = torch.empty(0)  # in place of a tensor where a block is skipped


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The work was asked to stop; what was measured before is on disk."""


def never_stop() -> None:
    """The default for `check`: nobody can ask this measurement to stop."""


@dataclass(frozen=True)
class Outcome:
    """What a plan costs.

    Attributes:
        state: as in `CellResult`.
        metric, drop: `None` unless the state is measured or no effect.
        reason: of a failure or of no effect.
        reused: nothing had to be computed: all of it was on disk.
    """

    state: State
    metric: Estimate | None
    drop: Estimate | None
    reason: str | None
    reused: bool


@dataclass(frozen=True)
class Failure:
    """A cut with which the model cannot run."""

    reason: str


Found = BatchEvidence | Failure
Task = tuple[int, Sequence[tuple[int, SparsityPlan]]]  # a batch, and numbered plans to measure on it


class Measurement:
    """One model on the first examples of its evaluation data, in an order drawn by the seed.

    Use it as a context: on entering, the model is put in evaluation mode on the device and hooks of its own are
    left alone; on leaving, mode, buffers, weights and device are what they were.

    Args:
        workload: checked (`Workload.check`).
        store: where evidence is looked up and kept; `None` keeps nothing.
        samples: how many evaluation examples; see `SweepRequest`.
        seed, device, threads, memory: as in `SweepRequest`.
        check: called before each forward pass; raises `Cancelled` to stop.

    Attributes:
        workload, targets, uncuttable: what is measured, and what of it can be cut.
        batches: of the examples that are measured on.
        maker: of masks.
        calibration: what criteria look at besides the weights.
        check: as given.
        dense_seconds: that a full pass over the first batch took, once something was measured.

    Raises:
        SecateurError: `samples` is no number of examples, or this machine has no such device.
    """

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
    ) -> None:
        check_samples(samples)
        wanted = workload.sweep_examples if samples is None else None if samples == "all" else samples
        n_all = len(workload.evaluation)
        if samples is not None and wanted is not None and wanted > n_all:
            raise SecateurError(
                f"{wanted:,} samples asked for, but the evaluation data of {workload.name} has {n_all:,}; "
                "take fewer, or all"
            )
        self.workload = workload
        self.targets, self.uncuttable = find_targets(workload.model)
        self.calibration = Calibration.of(workload, check)
        self._calibration_keys: dict[bool, str] = {}
        self.maker = MaskMaker(workload.model, self.targets, calibration=self.calibration)
        self._structure: Structure | None = None
        self.store = store
        self.check = check
        by = (workload.metric.score, workload.metric.loss)
        own = all(one is None or one.__module__.startswith("core.workload.") for one in by)
        self._scoring = nullcontext() if own else Lock()  # who knows what a metric of somebody else's keeps
        self._no_replay: str | None = None
        self.dense_seconds = 0.0
        self._device = checked_device(device)
        self._threads = threads or default_threads(self._device)
        self._memory = memory
        self.batches = Batches(workload.evaluation, min(n_all, wanted or n_all), workload.batch_size, seed)
        dtype = next((str(p.dtype) for p in workload.model.parameters() if p.is_floating_point()), "none")
        self._conditions = Conditions(
            model_fingerprint(workload.model), workload.metric.fingerprint(), dtype, self._device.type, seed
        )
        self._dense: DenseScores | None = None

    def __enter__(self) -> "Measurement":
        self._kept = KeptState(self.workload.model)
        try:
            self.workload.model.to(self._device).eval()
        except BaseException:  # a device that is full half way
            self._kept.restore()
            raise
        self._kept.note_working_state()
        self._full = FullForwards(self.workload.model, self._kept, self.inputs)
        self._forwards: FullForwards | ReplayForwards = self._full
        self._pool: ThreadPoolExecutor | None = None
        self._threads_before = torch.get_num_threads()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if self._pool is not None:
                torch.set_num_threads(self._threads_before)
                self._pool.shutdown()
        finally:
            self._kept.restore()

    def structure(self) -> Structure:
        """Coupled groups and heads as well; from now on they are among the targets. Finding them takes a second."""
        if self._structure is None:
            few = tuple(tensor[:EXAMPLES].to(self._device) for tensor in self.workload.evaluation.inputs)
            self._structure = find_structure(self.workload.model, few)
            self.targets, self.uncuttable = self._structure.targets, self._structure.uncuttable
            self.maker = MaskMaker(self.workload.model, self.targets, self._structure.groups, self.calibration)
        return self._structure

    def prepare(self, plan: SparsityPlan) -> None:
        """Find the coupled groups if a plan cuts any, and look at calibration data if its criteria do.

        Raises:
            SecateurError: an unknown target, or a criterion that has nothing to say of one.
        """
        reasons = self.prepare_cuts(plan.cuts)
        for cut, reason in reasons.items():
            raise SecateurError(f"{reason}; choose another criterion for {cut.target}, or leave it out of the plan")

    def prepare_cuts(self, cuts: Sequence[Cut]) -> dict[Cut, str]:
        """As `prepare`, for cuts that may be measured apart: returns those of which nothing can be said, and why."""
        if any(cut.granularity == "channel" for cut in cuts):
            self.structure()
        return self.maker.prepare(cuts)

    @property
    def model_hash(self) -> str:
        """Fingerprint of the dense model."""
        return self._conditions.model

    @property
    def dense_key(self) -> str:
        """Under which the evidence of the dense model is kept."""
        return self.cell_key(DENSE)

    def cell_key(self, plan: SparsityPlan) -> str:
        """Under which the evidence of a plan is kept.

        Of coupled groups also by what they consist of, of criteria that look at calibration data by what they see.
        """
        names = [cut.target for cut in plan.cuts if cut.granularity == "channel"]
        groups = self.structure().groups if names else {}
        coupled = [groups[name].fingerprint() for name in names if name in groups]
        needs = {FACTS[cut.criterion].needs for cut in plan.cuts if cut.criterion is not None} - {"weights"}
        return self._conditions.cell_key(plan, coupled, [self._looked_at("loss" in needs)] if needs else [])

    def _looked_at(self, with_loss: bool) -> str:
        if with_loss not in self._calibration_keys:
            self._calibration_keys[with_loss] = self.calibration.fingerprint(with_loss)
        return self._calibration_keys[with_loss]

    def replay(self, keep: bool = False) -> None:
        """From now on compute of a cut only what it changes, on several threads; pays off for many cuts.

        A model that cannot be replayed goes on with full passes, and `full_passes` says why.

        Args:
            keep: hold the dense values of several batches, for a search that comes back to them.
        """
        self._begin()
        if self._pool is not None:
            return
        try:
            sizes = [self.batches.size(i) for i in range(len(self.batches))]
            bound = free_memory(self._device) // 4 if self._memory is None else self._memory
            self._forwards = ReplayForwards(self.workload.model, self._full, sizes, bound, keep)
        except CannotReplay as error:
            self._no_replay = str(error)
            return
        except (SecateurError, Cancelled):
            raise
        except Exception as error:
            raise self._dense_error(error) from error
        finally:
            self._kept.restore_buffers()  # tracing runs the model's code
        # one thread per operation, several cells at a time: small operations do not divide well
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self._threads, "cell", torch.set_num_threads, (1,))

    @property
    def n_parallel(self) -> int:
        """Cells that are measured at a time."""
        return self._threads if self._pool is not None else 1

    def full_passes(self) -> tuple[str, ...]:
        """Why some cuts, or all, are measured by full passes though replay was asked for; empty if none is."""
        if self._no_replay is not None:
            return (self._no_replay,)
        if isinstance(self._forwards, FullForwards):
            return ()
        cut = {names: reason for names, reason in self._forwards.reasons.items() if not any(map(is_skip, names))}
        return tuple(f"{', '.join(sorted(names))}: {reason}" for names, reason in cut.items())

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
        scores, weights = self.dense_scores(batches)
        estimate = metric_estimate(self.workload.metric.scale, scores, weights)
        if self.workload.metric.against == "dense":  # it agrees with itself by definition: nothing was sampled
            return Estimate(estimate.value, estimate.value, estimate.value, estimate.n)
        return estimate

    def dense_scores(self, batches: Iterable[int]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """As `DenseScores.scores`."""
        return self._begin().scores(batches)

    def dense_losses(self, i: int) -> NDArray[np.float32] | None:
        """The dense model's losses on a batch that is at hand; `None` where none are known."""
        return self._begin()[i].losses

    def has_dense(self, i: int) -> bool:
        """Whether the dense model's scores on a batch are at hand."""
        return self._dense is not None and i in self._dense

    def dense_evidence(self, i: int) -> BatchEvidence:
        """The dense model's scores on one batch: from an earlier run if they are known."""
        dense = self._begin()
        if i > 0:  # the first batch always runs: is it still that model?
            dense.recall(i)
        for _ in self.run([] if i in dense else [(i, ())]):
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
        known = self.store.read(key, self.batches.keys) if self.store else {}
        evidence = {i: known[batch] for i, batch in enumerate(self.batches.keys) if batch in known}
        missing = [i for i in range(len(self.batches)) if i not in evidence]
        try:
            for i, _, found in self.run((i, [(0, plan)]) for i in missing):
                if isinstance(found, Failure):
                    return Outcome("failed", None, None, found.reason, reused=False)
                evidence[i] = found
        finally:
            if self.store:
                self.store.add(key, {self.batches.keys[i]: evidence[i] for i in missing if i in evidence})
        self.dense()
        return self.outcome(evidence, reused=not missing)

    def outcome(self, evidence: Mapping[int, BatchEvidence], reused: bool = True) -> Outcome:
        """What evidence on batches, by their numbers, says; the dense model's scores on them are at hand."""
        batches = sorted(evidence)
        dense, weights = self.dense_scores(batches)
        scores = np.concatenate([evidence[i].scores for i in batches]).astype(np.float64)
        n_bad = int((~np.isfinite(scores)).sum())
        if n_bad:
            return Outcome("failed", None, None, f"{n_bad} of {len(scores)} scores are NaN or infinite", reused)
        scale = self.workload.metric.scale
        try:
            metric = metric_estimate(scale, scores, weights)
            drop = drop_estimate(scale, dense, scores, weights)
        except UndefinedMetricError as error:
            return Outcome("failed", None, None, str(error), reused)
        if metric.high > TOO_LARGE:
            return Outcome("failed", None, None, f"its {scale.name} is too large to calculate with", reused)
        if not any(evidence[i].changed for i in batches):
            return Outcome("no effect", metric, drop, f"no output changed on any of {len(scores)} examples", reused)
        return Outcome("measured", metric, drop, None, reused)

    def run(self, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """Measure plans on batches, several at a time; what is found comes in the order that it was asked for.

        Args:
            work: batches, each with numbered plans; with no plan, the dense model alone is measured.

        Yields:
            Batch, the plan's number, and what it did.

        Raises:
            SecateurError: the dense model cannot be measured, or a plan names an unknown target.
            Cancelled: after what was under way has been handed over.
        """
        dense = self._begin()
        waiting: Waiting = deque()
        try:
            for i, plans in work:
                for jobs in self._jobs(dense, i, plans):
                    for number, job in jobs:
                        self.check()
                        if job.parallel and self._pool is not None:
                            waiting.append((i, number, self._pool.submit(job.run)))
                        else:  # it lends its tensors to the model, from which the others read
                            yield from _all_of(waiting)
                            yield i, number, job.run()
                        while len(waiting) > 2 * self._threads:
                            yield _first_of(waiting)
                        del job
                    yield from _all_of(waiting)
                    jobs.clear()  # with them go the dense values of this part, before the next makes its own
        except Cancelled:
            yield from _all_of(waiting)
            raise
        finally:  # after an error, or when nobody listens any more: nothing may go on behind the back of what follows
            for _, _, future in waiting:
                future.cancel()
            wait([future for _, _, future in waiting])

    def _jobs(
        self, dense: DenseScores, i: int, plans: Sequence[tuple[int, SparsityPlan]]
    ) -> Iterator[list[tuple[int, "_Job"]]]:
        """The plans on one batch, as functions that measure them; in parts that share the batch's dense values."""
        by_names: dict[Names, list[tuple[int, SparsityPlan]]] = {}
        for number, plan in plans:
            by_names.setdefault(self.changed_by(plan), []).append((number, plan))
        if isinstance(self._forwards, ReplayForwards):
            for names, numbered in by_names.items():
                if self._forwards.is_new(names):
                    self.check()
                    first = numbered[0][1]
                    self._forwards.verify(names, self._cut(first), self._cut(first, whole=True))
        want_dense = i not in dense.ran or self.workload.metric.against == "dense"
        for opened in self._open(i, list(by_names), want_dense):
            if want_dense and i not in dense.ran:
                dense.note(i, opened.dense)
            reference = opened.dense if self.workload.metric.against == "dense" else self.labels(i)
            jobs = [
                (number, _Job(self._job(i, plan, cut_pass, reference, dense.ran[i]), cut_pass.parallel))
                for names, cut_pass in opened.cuts.items()
                for number, plan in by_names[names]
            ]
            del opened, reference
            yield jobs

    def _open(self, i: int, wanted: Sequence[Names], dense: bool) -> Iterator[OpenBatch]:
        self.check()
        try:
            yield from self._forwards.open(i, wanted, dense)
        except (SecateurError, Cancelled):
            raise
        except Exception as error:
            raise self._dense_error(error) from error

    def _job(
        self, i: int, plan: SparsityPlan, cut_pass: CutPass, reference: Any, of_dense: tuple[Tensor, bytes]
    ) -> Callable[[], Found]:
        def job() -> Found:
            start = time.perf_counter()
            try:
                with torch.inference_mode():
                    # a replay of what decides the outputs was compared with the whole cut; a full pass makes it
                    outputs = cut_pass.run(self._cut(plan, whole=not cut_pass.parallel))
                    with self._scoring:
                        scores = self.workload.metric.score_batch(outputs, reference, self.batches.size(i))
                    dense_scores, dense_digest = of_dense
                    # most cuts change some score, and then nobody has to look at all the outputs
                    changed = digest(scores) != digest(dense_scores) or digest(outputs) != dense_digest
                    losses = self.workload.metric.loss_batch(outputs, reference, self.batches.size(i))
            except (SecateurError, Cancelled):
                raise
            except CannotSkip as error:
                return Failure(str(error))
            except Exception as error:
                return Failure(f"the cut model raised {type(error).__name__}: {error}")
            seconds = time.perf_counter() - start
            return BatchEvidence(scores.numpy(), changed, None, seconds, None if losses is None else losses.numpy())

        return job

    def changed_by(self, plan: SparsityPlan) -> frozenset[str]:
        """State-dict names of the tensors that decide what a plan does to the outputs: what `_cut` gives."""
        return self.maker.parameters(plan)

    def _cut(self, plan: SparsityPlan, whole: bool = False) -> dict[str, Tensor]:
        """The tensors that a plan changes: those that decide the outputs, or all of them."""
        skipped = {skip_name(cut.target): NOTHING for cut in plan.cuts if cut.granularity == "block"}
        return self.maker.cut_tensors(without_blocks(plan), reading=not whole) | skipped

    def _begin(self) -> DenseScores:
        """Once, before anything is measured: is the model deterministic, and what is known of it?"""
        if self._dense is not None:
            return self._dense
        with self._kept.guarded_parameters():
            try:
                self.check()
                first = digest(self._full.run(0, {}))
                start = time.perf_counter()
                differ = digest(self._full.run(0, {})) != first
                self.dense_seconds = time.perf_counter() - start
            except (SecateurError, Cancelled):
                raise
            except Exception as error:
                raise self._dense_error(error) from error
        if differ:
            raise SecateurError(
                f"two passes of {self.workload.name} over the same examples differ: no drop could be blamed on a cut; "
                "make the model deterministic in evaluation mode (dropout? random sampling?)"
            )
        self._dense = DenseScores(self.workload, self.batches, self._device, self.store, self.dense_key)
        return self._dense

    def _dense_error(self, error: Exception) -> SecateurError:
        return SecateurError(
            f"the dense {self.workload.name} raised {type(error).__name__} on its evaluation data: {error}; "
            "do its inputs fit the model?"
        )

    def inputs(self, i: int) -> tuple[Tensor, ...]:
        """Inputs of a batch, on the model's device."""
        return self.batches.inputs(i, self._device)

    def labels(self, i: int) -> Tensor:
        """Labels of a batch, on the model's device."""
        return self.batches.labels(i, self._device)


@dataclass(frozen=True)
class _Job:
    run: Callable[[], Found]
    parallel: bool


Waiting = deque[tuple[int, int, "Future[Found]"]]


def _first_of(waiting: Waiting) -> tuple[int, int, Found]:
    i, number, future = waiting.popleft()
    return i, number, future.result()


def _all_of(waiting: Waiting) -> Iterator[tuple[int, int, Found]]:
    while waiting:
        yield _first_of(waiting)
