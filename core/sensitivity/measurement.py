"""Measuring: what a plan does to every example, starting from the dense weights each time."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.pruning.masks import MaskMaker, masked
from core.sensitivity.evidence import BatchEvidence, Conditions, EvidenceStore
from core.sensitivity.intervals import drop_estimate, metric_estimate
from core.sensitivity.kept_state import KeptState
from core.sensitivity.report import Estimate, State
from core.sensitivity.request import Samples, check_samples
from core.workload.device import checked_device
from core.workload.discovery import find_targets
from core.workload.examples import tensor_bytes
from core.workload.fingerprint import model_fingerprint
from core.workload.workload import Workload

DENSE = SparsityPlan()
TOO_LARGE = 1e100  # of a metric: a perplexity can leave the range of floats, and its variance does so much earlier


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


class Measurement:
    """One model on the first examples of its evaluation data; plans are measured on it one after the other.

    Use it as a context: on entering, the model is put in evaluation mode on the device and hooks of its own are
    left alone; on leaving, mode, buffers, weights and device are what they were.

    Args:
        workload: checked (`Workload.check`).
        store: where evidence is looked up and kept; `None` keeps nothing.
        samples: how many evaluation examples; see `SweepRequest`.
        seed, device: as in `SweepRequest`.
        check: called before each forward pass; raises `Cancelled` to stop.

    Attributes:
        workload, targets, uncuttable: what is measured, and what of it can be cut.
        examples: that are measured on.
        maker: of masks.
        check: as given.

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
        self.examples = workload.evaluation.first(wanted)
        self.targets, self.uncuttable = find_targets(workload.model)
        self.maker = MaskMaker(workload.model, self.targets)
        self._store = store
        self.check = check
        self._device = checked_device(device)
        self._batches = list(self.examples.batches(workload.batch_size))
        self._keys = [batch.fingerprint() for batch in self._batches]
        dtype = next((str(p.dtype) for p in workload.model.parameters() if p.is_floating_point()), "none")
        self._conditions = Conditions(
            model_fingerprint(workload.model), workload.metric.fingerprint(), dtype, self._device.type, seed
        )
        self._dense: list[BatchEvidence] | None = None
        self._dense_digests: list[bytes] = []

    def __enter__(self) -> "Measurement":
        self._kept = KeptState(self.workload.model)
        try:
            self.workload.model.to(self._device).eval()
        except BaseException:  # a device that is full half way
            self._kept.restore()
            raise
        self._kept.note_working_state()
        return self

    def __exit__(self, *error: Any) -> None:
        self._kept.restore()

    @property
    def model_hash(self) -> str:
        """Fingerprint of the dense model."""
        return self._conditions.model

    def dense(self) -> Estimate:
        """The dense model's metric on these examples.

        Raises:
            SecateurError: the model gives no finite score for some example, or two passes over the same
                batch differ, so that no difference could be blamed on a cut.
        """
        scores, weights = self._dense_scores()
        return metric_estimate(self.workload.metric.scale, scores, weights)

    def measure(self, plan: SparsityPlan) -> Outcome:
        """What a plan costs on these examples; reads what is known and computes the rest.

        Raises:
            SecateurError: the plan names an unknown target.
            Cancelled: `check` said so; batches that were finished are on disk, here as after any error.
        """
        dense, weights = self._dense_scores()
        key = self._conditions.cell_key(plan)
        known = self._store.read(key, self._keys) if self._store else {}
        missing = [i for i, batch in enumerate(self._keys) if batch not in known]
        if missing:
            found: dict[str, BatchEvidence] = {}
            try:
                with masked(self.workload.model, self.maker.masks(plan)):
                    self._run(missing, found)
            except (SecateurError, Cancelled):
                raise
            except Exception as error:
                reason = f"the cut model raised {type(error).__name__}: {error}"
                return Outcome("failed", None, None, reason, reused=False)
            finally:
                if self._store and found:
                    self._store.add(key, found)
            known.update(found)
        evidence = [known[batch] for batch in self._keys]
        return self._outcome(dense, weights, evidence, reused=not missing)

    def _outcome(
        self,
        dense: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        evidence: list[BatchEvidence],
        reused: bool,
    ) -> Outcome:
        scores = np.concatenate([batch.scores for batch in evidence]).astype(np.float64)
        n_bad = int((~np.isfinite(scores)).sum())
        if n_bad:
            return Outcome("failed", None, None, f"{n_bad} of {len(scores)} scores are NaN or infinite", reused)
        scale = self.workload.metric.scale
        metric = metric_estimate(scale, scores, weights)
        if metric.high > TOO_LARGE:
            return Outcome("failed", None, None, f"its {scale.name} is too large to calculate with", reused)
        drop = drop_estimate(scale, dense, scores, weights)
        if not any(batch.changed for batch in evidence):
            return Outcome("no effect", metric, drop, f"no output changed on any of {len(scores)} examples", reused)
        return Outcome("measured", metric, drop, None, reused)

    def _dense_scores(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        if self._dense is None:
            self._dense = self._measure_dense()
        scores = np.concatenate([batch.scores for batch in self._dense]).astype(np.float64)
        weights = [batch.weights for batch in self._dense]
        if weights[0] is None:
            return scores, None
        return scores, np.concatenate([w for w in weights if w is not None]).astype(np.float64)

    def _measure_dense(self) -> list[BatchEvidence]:
        """Dense evidence of every batch, and digests of its outputs: the forwards run even if scores are known."""
        with self._kept.guarded_parameters():
            try:
                differ = _digest(self._forward(0)) != _digest(self._forward(0))
            except (SecateurError, Cancelled):
                raise
            except Exception as error:
                raise SecateurError(
                    f"the dense {self.workload.name} raised {type(error).__name__} on its evaluation data: {error}; "
                    "do its inputs fit the model?"
                ) from error
        if differ:
            raise SecateurError(
                f"two passes of {self.workload.name} over the same examples differ: no drop could be blamed on a cut; "
                "make the model deterministic in evaluation mode (dropout? random sampling?)"
            )
        found: dict[str, BatchEvidence] = {}
        self._run(range(len(self._batches)), found, dense=True)
        scores = np.concatenate([found[key].scores for key in self._keys])
        n_bad = int((~np.isfinite(scores)).sum())
        if n_bad:
            raise SecateurError(
                f"the dense {self.workload.name} gives NaN or infinite scores on {n_bad} of {len(scores)} examples; "
                "check the data and the metric"
            )
        weights = [w for key in self._keys if (w := found[key].weights) is not None]
        if weights and not _usable(np.concatenate(weights), len(scores)):
            raise SecateurError(
                f"metric {self.workload.metric.scale.name!r} must give weights of the examples that are finite, "
                "at least 0 and not all 0, one each; are there labels that count?"
            )
        if self._store is None:
            return [found[key] for key in self._keys]
        cell = self._conditions.cell_key(DENSE)
        self._store.add(cell, found)
        kept = self._store.read(cell, self._keys)  # earlier evidence wins: cells on disk were paired with it
        for key in self._keys:
            if not (_alike(kept[key].scores, found[key].scores) and _alike(kept[key].weights, found[key].weights)):
                raise SecateurError(
                    f"the dense {self.workload.name} scores differently from what the workspace remembers of the same "
                    "weights, code and data: something that is not in its file decides (another library version, a "
                    "file read while scoring?); use a fresh --workspace"
                )
        return [kept[key] for key in self._keys]

    def _run(self, indices: Sequence[int], found: dict[str, BatchEvidence], dense: bool = False) -> None:
        """Score batches into `found`, one by one: after an error it holds those that were finished."""
        for i in indices:
            outputs = self._forward(i)
            labels = self._batches[i].labels.to(self._device)
            scores = self.workload.metric.score_batch(outputs, labels)
            digest = _digest([outputs, scores])  # the scores, for outputs in an object that shows no tensor
            weights = None
            if dense:
                self._dense_digests.append(digest)
                if self.workload.metric.weigh is not None:
                    weights = self.workload.metric.weigh(labels).cpu().float().numpy()
            found[self._keys[i]] = BatchEvidence(scores.numpy(), digest != self._dense_digests[i], weights)

    def _forward(self, i: int) -> Any:
        self.check()
        try:
            with torch.inference_mode():
                return self.workload.model(*(x.to(self._device) for x in self._batches[i].inputs))
        finally:
            self._kept.restore_buffers()  # after an error too: what was written before it is not for the next cell


def _alike(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5)


def _usable(weights: NDArray[np.float32], n: int) -> bool:
    return weights.shape == (n,) and bool(np.isfinite(weights).all() and (weights >= 0).all() and weights.any())


def _digest(outputs: Any) -> bytes:
    """Hash of every tensor in a model's outputs, bit for bit."""
    digest = hashlib.blake2b(digest_size=16)
    for leaf in pytree.tree_leaves(outputs):
        # a class that pytree does not know is a leaf, and its tensors are its attributes
        parts = [leaf] if isinstance(leaf, Tensor) else pytree.tree_leaves(getattr(leaf, "__dict__", None))
        for part in parts:
            if isinstance(part, Tensor):
                digest.update(tensor_bytes(part))
    return digest.digest()
