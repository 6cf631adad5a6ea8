"""Scoring the outputs of a cut model on one batch."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from core.errors import SecateurError
from core.pruning.skipping import CannotSkip
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.forwards.passes import digest
from core.sensitivity.measuring.outcome import Failure, Found
from core.sensitivity.measuring.stopping import Cancelled
from core.workload.metric import Metric, MetricRaisedError


class CellScoring:
    """A metric that several threads score by."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        own = all(one is None or one.__module__.startswith("core.workload.") for one in (metric.score, metric.loss))
        self._one_at_a_time = nullcontext() if own else Lock()  # who knows what a metric of somebody else's keeps

    def found(
        self,
        run: Callable[[], Any],
        reference: Any,
        n: int,
        of_dense: tuple[Tensor, bytes],
        counted: Tensor | None = None,
    ) -> Found:
        """Evidence of a cut, or why the cut model cannot run.

        Args:
            run: gives the outputs of the cut model.
            reference: what the metric compares them with.
            n: examples in the batch.
            of_dense: scores of the dense model, and digest of its outputs.
            counted: which positions are no padding; see `Metric.score_batch`.
        """
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                outputs = run()
                with self._one_at_a_time:
                    scores = self._metric.score_batch(outputs, reference, n, counted)
                dense_scores, dense_digest = of_dense
                # most cuts change some score, and then nobody has to look at all the outputs
                changed = digest(scores) != digest(dense_scores) or digest(outputs) != dense_digest
                losses = self._metric.loss_batch(outputs, reference, n)
        except MetricRaisedError as error:
            return Failure(str(error))
        except (SecateurError, Cancelled):
            raise
        except CannotSkip as error:
            return Failure(str(error))
        except Exception as error:
            return Failure(f"the cut model raised {type(error).__name__}: {error}")
        seconds = time.perf_counter() - start
        return BatchEvidence(scores.numpy(), changed, None, seconds, None if losses is None else losses.numpy())
