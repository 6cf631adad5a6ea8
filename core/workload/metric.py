"""Metrics: per-example scores, and how they become the one number that is shown."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import AskedToStop, SecateurError, first_line
from core.workload.code_text import code_text
from core.workload.identity.kept_names import kept_name
from core.workload.metrics.reading import IGNORED, Reading
from core.workload.scale import ROUNDING, Scale


class MetricRaisedError(SecateurError):
    """The code of a metric raised: these outputs cannot be scored."""


@dataclass(frozen=True)
class Metric:
    """What a model's outputs are worth, example by example.

    Attributes:
        scale: name, unit, direction and range of the number that is shown, and how scores become it.
        score: `(outputs, labels) -> (n,)` float tensor, one score per example; NaN where there is none. Of a metric of
            the set (`scale.of_set`) it is the prediction: a class index, or a number.
            It sees outputs and not the model, whose weights may be others by then.
        weigh: `labels -> (n,)` weight of each example in the mean (tokens per passage, say);
            `None` weighs all alike.
        truth: `labels -> (n,)` what the predictions of a metric of the set are held against; `None` for all others.
            Evidence keeps it in the column of the weights, which such a metric has not.
        against: what `score` gets as its second argument: the labels, or the dense model's outputs on the same
            examples, for data without labels.
        loss: `(outputs, labels) -> (n,)` differentiable loss of each example, lower is better, for estimates from
            gradients; it changes no score. `None` where there is none: what is held against the dense model is at its
            best there, its gradient is zero and says nothing.
        logits: whether outputs are logits of classes along their last dimension. Distillation then compares them as
            distributions; of other outputs it takes the squared distance.
        reading: what outputs and labels are taken for, and checked to be; `None`: `score` gets them as the model gives
            them, and is believed. No evidence depends on it: it changes no score, it only refuses.
    """

    scale: Scale
    score: Callable[[Any, Any], Tensor] = field(repr=False)
    weigh: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    truth: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    against: Literal["labels", "dense"] = "labels"
    loss: Callable[[Any, Tensor], Tensor] | None = field(default=None, repr=False)
    logits: bool = False
    reading: Reading | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        name = self.scale.name
        if self.against not in ("labels", "dense"):
            raise SecateurError(f"metric {name!r} is against 'labels' or 'dense', got {self.against!r}")
        if self.scale.of_set != (self.truth is not None) or (self.truth is not None and self.weigh is not None):
            raise SecateurError(
                f"metric {name!r} with aggregate {self.scale.aggregate!r}: macro_f1, r2, spearman and span_f1 need "
                "`truth` and no `weigh`; the others have no `truth`"
            )

    def fingerprint(self) -> str:
        """Hash of the scale and the scoring code: another metric never shares evidence with this one."""
        under = f"{self.scale!r}{self.against}"
        if kept := kept_name(self.score, under):
            return kept
        digest = hashlib.sha256(under.encode())
        for name in ("score", "weigh", "truth"):  # not the loss: no score depends on it
            digest.update(f"{name}: {code_text(getattr(self, name))}".encode())
        return digest.hexdigest()

    @property
    def has_own_loss(self) -> bool:
        """Whether there is a loss that says more than the scores do."""
        return self.loss is not None and self.loss is not self.score and self.against == "labels"

    def loss_fingerprint(self) -> str:
        """Hash of the loss's code; of a metric without a loss that of nothing."""
        if kept := kept_name(self.loss, "loss"):
            return kept
        return hashlib.sha256(code_text(self.loss).encode() if self.loss is not None else b"").hexdigest()

    def read(self, outputs: Any) -> Any:
        """What `score` and `loss` are given of a model's outputs: the tensor that is judged, in float32 at least.

        Raises:
            SecateurError: there is no telling which tensor that is.
        """
        return outputs if self.reading is None else self.reading.outputs(outputs, self.scale.name)

    def unlike_logits(self, outputs: Any) -> SecateurError | None:
        """Why outputs of a dense model look like probabilities where logits are wanted; see `Reading.unlike_logits`."""
        return None if self.reading is None else self.reading.unlike_logits(self.read(outputs), self.scale.name)

    def losses(self, outputs: Any, labels: Tensor) -> Tensor:
        """`loss` of a model's outputs as they come, (n,), differentiable; only of a metric that has one.

        Raises:
            SecateurError: see `read`.
        """
        assert self.loss is not None
        return self.loss(self.read(outputs), labels)

    def loss_batch(self, outputs: Any, labels: Tensor, n: int) -> Tensor | None:
        """`loss`, float32 (n,) on the CPU; `None` where it is not one finite number per example.

        It is kept beside the scores and decides nothing, so that a loss which does not work stops no measurement.
        """
        if not self.has_own_loss:
            return None
        try:
            losses = self.losses(outputs, labels).detach().to("cpu", torch.float32)
        except Exception:
            return None
        return losses if losses.shape == (n,) and bool(losses.isfinite().all()) else None

    def score_batch(self, outputs: Any, reference: Any, n: int | None = None, counted: Tensor | None = None) -> Tensor:
        """`score`, checked: float32 (n,) on the CPU.

        Args:
            outputs: of the model.
            reference: labels, or the dense model's outputs on the same examples; see `against`.
            n: how many examples these are; `None` counts the rows of `reference`. Outputs in an object have no rows
                that could be counted: then only `n` tells.
            counted: bool (n, length), which positions are no padding, where that is known: of outputs (n, length, …)
                against the dense model's only those are averaged. Labels say it themselves.

        Raises:
            SecateurError: the function does not return one number per example, or there are no labels to compare with.
        """
        if self.against == "labels":
            self.check_labels(reference)
        if n is None and isinstance(reference, Tensor):
            n = len(reference)
        if self.reading is not None:
            outputs = self.read(outputs)
            reference = self.read(reference) if self.against == "dense" else reference
            self.reading.check(outputs, reference, self.scale.name)
        if counted is not None and self._has_positions(outputs, counted):
            at = counted.nonzero()[:, 0].cpu()
            each = self._scored(outputs[counted], reference[counted]).detach().to("cpu", torch.float32)
            scores = torch.zeros(len(counted)).index_add_(0, at, each) / counted.sum(1).cpu()
        else:
            scores = self._scored(outputs, reference)
        if not isinstance(scores, Tensor) or scores.dim() != 1 or (n is not None and len(scores) != n):
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise SecateurError(
                f"metric {self.scale.name!r} must return one score per example, shape ({'n' if n is None else n},), "
                f"got {got}; reduce over every dimension but the first"
            )
        scores = scores.detach().to("cpu", torch.float32)
        self._check_range(scores)
        return scores

    def _scored(self, outputs: Any, reference: Any) -> Any:
        try:
            return self.score(outputs, reference)
        except (SecateurError, AskedToStop):
            raise
        except Exception as error:
            raise MetricRaisedError(
                f"metric {self.scale.name!r} raised {type(error).__name__}: {first_line(error)}; mend its "
                "`score`, which is given outputs and labels of one batch"
            ) from error

    def _has_positions(self, outputs: Tensor, counted: Tensor) -> bool:
        kinds = ("classes of dense", "vectors of dense")
        return self.reading is not None and self.reading.kind in kinds and outputs.shape[:-1] == counted.shape

    def _check_range(self, scores: Tensor) -> None:
        """A score outside of the declared range would make every interval that relies on it a lie."""
        low, high = self.scale.score_range
        for bound, outside in ((low, scores < (low or 0.0) - ROUNDING), (high, scores > (high or 0.0) + ROUNDING)):
            if bound is not None and bool(outside.any()):
                raise SecateurError(
                    f"metric {self.scale.name!r} says that its scores lie in [{low}, {high}], and one is "
                    f"{scores[outside][0].item():.6g}; declare the range that they have (None where there is no end)"
                )

    def beside_scores(self, labels: Tensor) -> Tensor | None:
        """What evidence keeps beside the scores: weights, or the truth of a metric of the set; float32 (n,) on the CPU.

        Raises:
            SecateurError: the truth is not one finite number per example.
        """
        if self.weigh is not None:
            return self.weigh(labels).detach().to("cpu", torch.float32)
        if self.truth is None:
            return None
        truth = self.truth(labels).detach().to("cpu", torch.float32)
        if truth.shape != labels.shape[:1] or not truth.isfinite().all():
            raise SecateurError(
                f"metric {self.scale.name!r} needs labels that are one finite number per example, "
                f"got shape {tuple(labels.shape)}"
            )
        return truth

    def check_labels(self, labels: Tensor) -> None:
        """Refuse examples without labels where this metric needs them.

        Raises:
            SecateurError: labels of shape (n, 0), which is what `Examples(inputs)` has.
        """
        needed = self.against == "labels" or self.weigh is not None or self.truth is not None
        if needed and labels.dim() == 2 and labels.shape[1] == 0:
            raise SecateurError(
                f"metric {self.scale.name!r} compares with labels, and these examples have none; give "
                "Examples(inputs, labels), or hold the cut model against the dense one with agreement(), "
                "kl_from_dense() or cosine_to_dense()"
            )
        if self.reading is not None and self.against == "labels":
            self.reading.check_labels(labels, self.scale.name)


def accuracy() -> Metric:
    """Top-1 accuracy: outputs are class logits (n, classes), labels int64 (n,). A fraction in [0, 1]."""
    return Metric(
        Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0),
        _hits,
        loss=class_loss,
        logits=True,
        reading=Reading("classes"),
    )


def top_k(k: int) -> Metric:
    """Top-k accuracy: outputs are class logits (n, classes), labels int64 (n,). A fraction in [0, 1].

    Among equal logits the lower class comes first, as for `accuracy`, which is `top_k(1)`: a model that is cut to
    equal logits everywhere must not hit every time.

    Raises:
        SecateurError: `k` is less than 1.
    """
    if k < 1:
        raise SecateurError(f"k must be at least 1, got {k}")

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        own = outputs.gather(-1, labels.unsqueeze(-1))
        lower = torch.arange(outputs.shape[-1], device=outputs.device) < labels.unsqueeze(-1)
        before = (outputs > own) | ((outputs == own) & lower)
        return nan_where_outputs_are((before.sum(-1) < k).float(), outputs)

    scale = Scale(f"top-{k} accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
    return Metric(scale, score, loss=class_loss, logits=True, reading=Reading("classes", top=k))


def cross_entropy() -> Metric:
    """Cross-entropy in nats: outputs are class logits (n, classes), labels int64 (n,). Lower is better."""
    scale = Scale("cross-entropy", "nats", higher_is_better=False, low=0.0, high=None)
    return Metric(scale, class_loss, loss=class_loss, logits=True, reading=Reading("classes", wants_logits=True))


def perplexity(ignore_index: int = IGNORED) -> Metric:
    """Token-weighted perplexity: logits (n, length, symbols), labels int64 (n, length). Lower is better.

    `exp` of the mean negative log-likelihood over all tokens but those labelled `ignore_index`; a passage counts
    as much as it has tokens.
    """

    def score(outputs: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=ignore_index)
        counted = (labels != ignore_index).sum(1)
        return losses.view(labels.shape).sum(1) / counted.clamp(min=1)

    def weigh(labels: Tensor) -> Tensor:
        return (labels != ignore_index).sum(1).float()

    scale = Scale("perplexity", "perplexity", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")
    return Metric(
        scale, score, weigh, loss=score, logits=True, reading=Reading("tokens", wants_logits=True, ignored=ignore_index)
    )


def class_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of class logits (n, classes) with labels int64 (n,), in nats; (n,)."""
    return F.cross_entropy(outputs, labels, reduction="none")


def nan_where_outputs_are(scores: Tensor, outputs: Tensor) -> Tensor:
    """Scores (n,) with NaN for examples whose outputs (n, ...) hold one: a class chosen among NaN is no choice."""
    return scores.masked_fill(outputs.flatten(1).isnan().any(1), float("nan"))


def _hits(outputs: Tensor, labels: Tensor) -> Tensor:
    return nan_where_outputs_are((outputs.argmax(-1) == labels).float(), outputs)
