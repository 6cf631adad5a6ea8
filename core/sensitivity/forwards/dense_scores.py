"""The dense model's scores, batch by batch: what every cell is paired with."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import SecateurError
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.forwards.passes import digest
from core.sensitivity.report import Estimate
from core.sensitivity.statistics.intervals import metric_estimate
from core.workload.metrics.margins import VERSION, Margin, margins_of
from core.workload.workload import Workload

FLUSH_SECONDS = 0.5  # what was measured is on disk at the latest this much later
UNLIKE = 20  # examples whose outputs all lie where probabilities do, before they are taken for some


class DenseScores:
    """Scores of the dense model on batches, measured now or earlier; earlier ones win: cells were paired with them.

    Args:
        workload: whose model and metric.
        batches: of its examples.
        device: where labels are compared with outputs.
        store, key: where the evidence is kept, and as what; without a store nothing is.

    Attributes:
        margins: of batches, once they are asked for with `want_margins`; see `core.workload.metrics.margins`.
        ran: scores and digest of the outputs of batches that ran in this process.

    Raises:
        SecateurError: the labels give no usable weights.
    """

    def __init__(
        self, workload: Workload, batches: Batches, device: torch.device, store: EvidenceStore | None, key: str
    ) -> None:
        self._workload, self._batches, self._device = workload, batches, device
        self._store, self._key = store, key
        self.ran: dict[int, tuple[Tensor, bytes]] = {}
        self._margin: Margin | None = None
        self.margins: dict[int, NDArray[np.float32]] = {}
        self._n_unlike: int | None = 0  # examples that look like no logits; `None` once some do
        self._companions = self._companion_numbers()
        if store is not None:
            columns = workload.all_columns()
            placed = {key: rows.tolist() for key, rows in zip(batches.keys, batches.positions, strict=True)}
            store.add_batches(
                {
                    key: (rows, {name: [values[r] for r in rows] for name, values in columns.items()})
                    for key, rows in placed.items()
                }
            )
        self._known = store.read(key, batches.keys, workload.metric.scale, dense=True) if store else {}
        self._evidence: dict[int, BatchEvidence] = {}
        self._unsaved: dict[str, BatchEvidence] = {}
        self._saved_at = time.monotonic()

    def __contains__(self, i: int) -> bool:
        return i in self._evidence

    def __getitem__(self, i: int) -> BatchEvidence:
        return self._evidence[i]

    def want_margins(self) -> bool:
        """From now on note margins of batches, and recall those that are known; whether the metric has any."""
        self._margin = margins_of(self._workload.metric)
        if self._margin is not None and self._store is not None:
            known = self._store.beside(VERSION).read(self._key, self._batches.keys, dense=True)
            for i, key in enumerate(self._batches.keys):
                if key in known and (margins := known[key].losses) is not None:
                    self.margins[i] = margins
                    # beside these scores stand margins, which are no losses
                    self._evidence[i] = self._known.get(key) or replace(known[key], losses=None)
        return self._margin is not None

    def recall(self, i: int) -> None:
        """Take a batch's scores from what the workspace knows, if it does."""
        known = self._known.get(self._batches.keys[i])
        if known is not None:
            self._evidence.setdefault(i, known)

    def scores(self, batches: Iterable[int]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Scores, and what comes with them, on batches that are at hand: each (n,)."""
        evidence = [self._evidence[i] for i in batches]
        scores = np.concatenate([batch.scores for batch in evidence]).astype(np.float64)
        weights = [batch.weights for batch in evidence if batch.weights is not None]
        return scores, np.concatenate(weights).astype(np.float64) if weights else None

    def estimate(self, batches: Iterable[int]) -> Estimate:
        """The metric on batches that are at hand."""
        estimate = metric_estimate(self._workload.metric.scale, *self.scores(batches))
        if self._workload.metric.against == "dense":  # it agrees with itself by definition: nothing was sampled
            return Estimate(estimate.value, estimate.value, estimate.value, estimate.n)
        return estimate

    def note(self, i: int, outputs: Any) -> None:
        """Score the dense model's outputs on a batch that it has just run.

        Raises:
            SecateurError: outputs are probabilities where the metric wants logits, a score is not finite, or the
                workspace remembers others.
        """
        metric, key = self._workload.metric, self._batches.keys[i]
        labels = self._batches.trimmed_labels(i, self._device)
        counted = self._batches.trimmed_counted(i, self._device)
        reference = outputs if metric.against == "dense" else labels
        scores = metric.score_batch(outputs, reference, self._batches.size(i), counted)
        self._check_logits(i, outputs)
        n_bad = int((~torch.isfinite(scores)).sum())
        if n_bad:
            raise SecateurError(
                f"the dense {self._workload.name} gives NaN or infinite scores on {n_bad} of {len(scores)} examples; "
                "check the data and the metric"
            )
        self.ran[i] = scores, digest(outputs)
        self._note_margins(i, outputs, labels)
        weights = None if self._companions is None else self._companions[self._batches.rows(i)]
        losses = metric.loss_batch(outputs, labels, self._batches.size(i))
        found = BatchEvidence(scores.numpy(), False, weights, losses=None if losses is None else losses.numpy())
        known = self._known.get(key)
        if known is None:
            self._evidence[i] = self._unsaved[key] = found
        elif _alike(known.scores, found.scores) and _alike(known.weights, found.weights):
            self._evidence[i] = known  # cells on disk were paired with it
            if known.losses is None and found.losses is not None:  # measured before losses were kept
                self._evidence[i] = self._unsaved[key] = replace(known, losses=found.losses)
        else:
            raise SecateurError(
                f"the dense {self._workload.name} scores differently from what the workspace remembers of the same "
                "weights, code and data: something that is not in its file decides (another library version, a "
                "file read while scoring?); use a fresh --workspace"
            )

        if time.monotonic() - self._saved_at > FLUSH_SECONDS:
            self.save()

    def save(self, beside: Iterable[tuple[str, str, BatchEvidence]] = ()) -> None:
        """Put on disk what was noted since, and evidence of cells beside it: all of it or nothing."""
        rows = [*((self._key, key, found) for key, found in self._unsaved.items()), *beside]
        if rows and self._store is not None:
            self._store.add_all(rows)
        self._unsaved.clear()
        self._saved_at = time.monotonic()

    def _note_margins(self, i: int, outputs: Any, labels: Tensor) -> None:
        margins = None if self._margin is None else self._margin(self._workload.metric.read(outputs), labels)
        if margins is not None:
            self.margins[i] = margins.detach().to("cpu", torch.float32).numpy()

    def keep_margins(self) -> None:
        """Put the margins of batches on disk, beside the scores."""
        self.save()
        if self._store is not None:
            found = {
                self._batches.keys[i]: replace(self._evidence[i], losses=margins) for i, margins in self.margins.items()
            }
            self._store.beside(VERSION).add(self._key, found)

    def _check_logits(self, i: int, outputs: Any) -> None:
        """Refuse probabilities, by all the examples so far: two logits may lie between 0 and 1 by chance."""
        unlike = None if self._n_unlike is None else self._workload.metric.unlike_logits(outputs)
        if self._n_unlike is None or unlike is None:
            self._n_unlike = None
            return
        self._n_unlike += self._batches.size(i)
        if self._n_unlike >= min(UNLIKE, self._batches.n):
            raise unlike

    def _companion_numbers(self) -> NDArray[np.float32] | None:
        """What is kept beside every score, from the labels alone: the example's weight in the mean, or the truth."""
        metric = self._workload.metric
        beside = [metric.beside_scores(self._batches.labels(i, self._device)) for i in range(len(self._batches))]
        if beside[0] is None:
            return None
        weights: NDArray[np.float32] = np.concatenate([each.numpy() for each in beside if each is not None])
        if metric.weigh is not None and not _usable(weights, self._batches.n):
            raise SecateurError(
                f"metric {self._workload.metric.scale.name!r} must give weights of the examples that are finite, "
                "at least 0 and not all 0, one each; are there labels that count?"
            )
        return weights


def _alike(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5)


def _usable(weights: NDArray[np.float32], n: int) -> bool:
    return weights.shape == (n,) and bool(np.isfinite(weights).all() and (weights >= 0).all() and weights.any())
