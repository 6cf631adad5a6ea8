"""What a metric takes a model's outputs and the labels for, checked before a number is made of them.

A metric that looks at nothing calls a binary classifier of one logit right wherever class 0 is, and every cut of it
harmless. What is not understood is refused with the function to use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from core.errors import SecateurError

ROWS = 1000  # examples whose labels are looked at at once
IGNORED = -100  # the label that torch and transformers leave out of every loss

Kind = Literal[
    "classes",
    "tokens",
    "pixels",
    "binary",
    "labels",
    "relevance",
    "number",
    "classes of dense",
    "number of dense",
    "vectors of dense",
]

WRAP = "wrap the model in a module whose forward returns the tensor to judge"


@dataclass(frozen=True)
class Reading:
    """How a metric reads outputs.

    Attributes:
        kind: `"classes"`: logits (n, classes) and labels (n,). `"tokens"`: logits (n, length, classes), labels
            (n, length). `"pixels"`: logits (n, classes, height, width), labels (n, height, width). `"binary"`: one
            logit (n,) or (n, 1), labels 0 and 1 (n,). `"labels"`: a logit for each of several labels, (n, labels), and
            labels 0 and 1 of that shape. `"relevance"`: a score for each of several items, (n, items), and labels of at
            least 0 of that shape. `"number"`: (n,) or (n, 1) and labels (n,). `"classes of dense"`, `"vectors of
            dense"`: (n, …, classes or features), `"number of dense"`: (n,) or (n, 1), held against the dense model's.
        top: of classes that are looked at; must be fewer than there are.
        wants_logits: whether probabilities would give wrong numbers, not only other ones.
        ignored: the label that does not count, of kinds that are classes.
        n_classes: of tokens, as many as there are names for; `None` for any number.
    """

    kind: Kind
    top: int = 1
    wants_logits: bool = False
    ignored: int = IGNORED
    n_classes: int | None = None

    @property
    def ignores(self) -> bool:
        """Whether there is a label that does not count."""
        return self.kind in ("classes", "tokens", "pixels")

    def outputs(self, outputs: Any, name: str) -> Tensor:
        """The tensor that is judged: outputs themselves, or their `logits`; float32 where they are of a shorter type.

        Raises:
            SecateurError: there is no telling which tensor of several is meant, or it holds no real numbers.
        """
        found = _the_tensor(outputs, name)
        if found.is_complex() or not (found.is_floating_point() or self.kind == "number"):
            raise SecateurError(
                f"metric {name!r} reads real numbers, and the model's outputs are {found.dtype}; {WRAP}, before it "
                "chooses a class"
            )
        # sums of bfloat16 have three digits; a drop is what is left when two of them are subtracted
        return found.float() if found.is_floating_point() and torch.finfo(found.dtype).bits < 32 else found

    def check(self, outputs: Tensor, reference: Any, name: str) -> None:
        """Whether `outputs` of this shape and these labels (or dense outputs) mean what the metric takes them for.

        Raises:
            SecateurError: they do not; the message names the function to use, or the mend.
        """
        _CHECKS[self.kind](self, outputs, reference, name)

    def unlike_logits(self, outputs: Tensor, name: str) -> SecateurError | None:
        """Why all these outputs look like probabilities, and what to do; `None` where they don't, or may be any number.

        For the dense model to be asked, of many examples: of few, or of a cut model whose outputs have all become the
        same, logits may lie between 0 and 1 by chance.
        """
        single = self.kind == "labels" or (self.kind in ("binary", "number of dense") and self.wants_logits)
        if single:
            return _unlike_one_logit(outputs, name)
        return _unlike_logits(outputs, 1 if self.kind == "pixels" else -1, name) if self.wants_logits else None

    def counted(self, labels: Tensor) -> Tensor:
        """Which examples have a label that counts: bool (n,)."""
        if not self.ignores or labels.is_floating_point() or not labels.dim():
            return torch.ones(len(labels), dtype=torch.bool)
        if labels.dim() == 1:
            return labels != self.ignored
        # some at a time: a class for every pixel may be too large for memory
        return torch.cat([(part != self.ignored).flatten(1).any(1) for part in labels.split(ROWS)])

    def check_labels(self, labels: Tensor, name: str) -> None:
        """What can be told of labels without any outputs.

        Raises:
            SecateurError: their type or shape is not this metric's.
        """
        if self.kind in ("classes", "tokens", "pixels"):
            dimensions = {"classes": 1, "tokens": 2, "pixels": 3}[self.kind]
            if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
                raise SecateurError(_real_labels(labels, name))
            if labels.dim() != dimensions:
                raise SecateurError(_other_labels(self.kind, labels, name))
            if self.n_classes is not None:
                odd = labels[(labels != self.ignored) & ((labels < 0) | (labels >= self.n_classes))]
                if len(odd):
                    raise SecateurError(
                        f"metric {name!r} was given the names of {self.n_classes} classes, 0 to {self.n_classes - 1}, "
                        f"and a label is {int(odd[0])}; give a name for each class, in their order ({self.ignored} is "
                        "left out)"
                    )
        elif self.kind == "relevance":
            if labels.dim() != 2 or labels.is_complex() or not bool((labels >= 0).all()):
                raise SecateurError(
                    f"metric {name!r} wants as labels the relevance of each item, (n, items), numbers of at least 0; "
                    f"they have shape {tuple(labels.shape)}, or some are negative"
                )
        elif self.kind in ("binary", "labels"):
            values = set(labels.flatten()[:100_000].tolist())
            if not values <= {0, 1}:
                raise SecateurError(
                    f"metric {name!r} wants labels of 0 and 1, and there are others: {_few(sorted(values - {0, 1}))}; "
                    "of several classes use accuracy() or f1()"
                )


def _the_tensor(outputs: Any, name: str) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    if isinstance(outputs, Mapping):
        named = outputs.get("logits", outputs.get("out"))  # torchvision's segmentation nets give "out", and "aux"
    else:
        named = getattr(outputs, "logits", None)
    if isinstance(named, Tensor):
        return named
    if isinstance(outputs, Sequence) and len(outputs) == 1 and isinstance(outputs[0], Tensor):
        return outputs[0]
    raise SecateurError(f"metric {name!r} reads one tensor, and the model gives {_described(outputs)}; {WRAP}")


def _described(outputs: Any) -> str:
    if isinstance(outputs, Mapping):
        return f"a {type(outputs).__name__} of {', '.join(map(str, outputs)) or 'nothing'}, none of them logits"
    if isinstance(outputs, Sequence) and not isinstance(outputs, str):
        shapes = [str(tuple(item.shape)) if isinstance(item, Tensor) else type(item).__name__ for item in outputs]
        return f"a {type(outputs).__name__} of {len(outputs)}: {', '.join(shapes)}"
    return f"a {type(outputs).__name__} without logits"


def _classes(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    shape = tuple(outputs.shape)
    reading.check_labels(labels, name)
    if outputs.dim() == 1 or (outputs.dim() == 2 and outputs.shape[1] == 1):
        raise SecateurError(
            f"metric {name!r} wants logits of at least two classes, (n, classes), and the model gives one number per "
            f"example, {shape}: of a binary classifier use binary_accuracy(), binary_f1() or binary_cross_entropy() "
            "(a logit above 0 is class 1; threshold=0.5 for probabilities); of a regression spearman() or "
            "squared_error()"
        )
    if outputs.dim() != 2:
        raise SecateurError(
            f"metric {name!r} wants logits (n, classes), and the model gives {shape}; for a class per token, "
            "(n, length, classes), use token_accuracy() or perplexity(); per pixel, (n, classes, height, width), "
            "pixel_accuracy()"
        )
    _check_range(labels, outputs.shape[1], reading.ignored, name)
    if reading.top >= outputs.shape[1]:
        raise SecateurError(
            f"metric {name!r} of {outputs.shape[1]} classes is right whatever the model says; take fewer than "
            f"{outputs.shape[1]}"
        )


def _tokens(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    reading.check_labels(labels, name)
    if outputs.dim() != 3 or outputs.shape[:2] != labels.shape or outputs.shape[2] < 2:
        raise SecateurError(
            f"metric {name!r} wants logits (n, length, classes) of labels (n, length), and the model gives "
            f"{tuple(outputs.shape)} for labels {tuple(labels.shape)}; of one class per example use accuracy() or "
            "cross_entropy()"
        )
    if reading.n_classes not in (None, outputs.shape[2]):
        raise SecateurError(
            f"metric {name!r} was given the names of {reading.n_classes} classes, and the model has "
            f"{outputs.shape[2]}; give a name for each, in their order"
        )
    _check_range(labels, outputs.shape[2], reading.ignored, name)


def _pixels(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    reading.check_labels(labels, name)
    if outputs.dim() != 4 or outputs.shape[1] < 2 or (outputs.shape[0], *outputs.shape[2:]) != tuple(labels.shape):
        raise SecateurError(
            f"metric {name!r} wants logits (n, classes, height, width) of labels (n, height, width), and the model "
            f"gives {tuple(outputs.shape)} for labels {tuple(labels.shape)}; of other sizes scale the logits up in the "
            "model, as its users do"
        )
    _check_range(labels, outputs.shape[1], reading.ignored, name)


def _binary(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    reading.check_labels(labels, name)
    if outputs.dim() > 2 or (outputs.dim() == 2 and outputs.shape[1] != 1):
        raise SecateurError(
            f"metric {name!r} wants one logit per example, (n,) or (n, 1), and the model gives {tuple(outputs.shape)}; "
            "of a logit per class use accuracy() or f1(), of several labels at once label_accuracy()"
        )
    if labels.numel() != outputs.numel():
        raise SecateurError(
            f"metric {name!r} wants a label per example, and there are labels {tuple(labels.shape)} for outputs "
            f"{tuple(outputs.shape)}"
        )


def _labels(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    reading.check_labels(labels, name)
    if outputs.dim() != 2 or outputs.shape != labels.shape:
        raise SecateurError(
            f"metric {name!r} wants a logit for each of several labels, (n, labels), and labels of 0 and 1 of that "
            f"shape; got outputs {tuple(outputs.shape)} and labels {tuple(labels.shape)}"
        )


def _relevance(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    reading.check_labels(labels, name)
    if outputs.dim() != 2 or outputs.shape != labels.shape or outputs.shape[1] < 2:
        raise SecateurError(
            f"metric {name!r} wants a score for each of at least two items, (n, items), and labels of that shape; got "
            f"outputs {tuple(outputs.shape)} and labels {tuple(labels.shape)}"
        )


def _number(reading: Reading, outputs: Tensor, labels: Tensor, name: str) -> None:
    if outputs.dim() > 2 or (outputs.dim() == 2 and outputs.shape[1] != 1):
        raise SecateurError(
            f"metric {name!r} wants one number per example, (n,) or (n, 1), and the model gives "
            f"{tuple(outputs.shape)}; of class logits use accuracy() or cross_entropy(), of vectors cosine_to_dense()"
        )
    if labels.dim() > 2 or (labels.dim() == 2 and labels.shape[1] != 1):
        raise SecateurError(f"metric {name!r} wants one label per example, got labels {tuple(labels.shape)}")


def _classes_of_dense(reading: Reading, outputs: Tensor, dense: Tensor, name: str) -> None:
    if outputs.dim() not in (2, 3) or outputs.shape[-1] < 2:
        what = "one number per example" if outputs.dim() == 1 or outputs.shape[-1] == 1 else "another shape"
        raise SecateurError(
            f"metric {name!r} wants logits of at least two classes in the last dimension, (n, classes) or (n, length, "
            f"classes), and the model gives {what}, {tuple(outputs.shape)}; of one logit per example use "
            "binary_agreement(); classes elsewhere are moved last in the model: outputs.movedim(1, -1).flatten(1, 2)"
        )
    if outputs.shape != dense.shape:
        raise SecateurError(
            f"metric {name!r} compares outputs {tuple(outputs.shape)} with the dense model's {tuple(dense.shape)}; "
            "they must have one shape"
        )


def _number_of_dense(reading: Reading, outputs: Tensor, dense: Tensor, name: str) -> None:
    if outputs.dim() > 2 or (outputs.dim() == 2 and outputs.shape[1] != 1) or outputs.shape != dense.shape:
        raise SecateurError(
            f"metric {name!r} wants one logit per example, (n,) or (n, 1), and the model gives {tuple(outputs.shape)}; "
            "of a logit per class use agreement()"
        )


def _vectors_of_dense(reading: Reading, outputs: Tensor, dense: Tensor, name: str) -> None:
    if outputs.dim() not in (2, 3) or outputs.shape[-1] < 2:
        raise SecateurError(
            f"metric {name!r} wants vectors, (n, features) or (n, length, features), and the model gives "
            f"{tuple(outputs.shape)}: the cosine of single numbers is their sign; flatten maps to (n, features), of "
            "one number per example use spearman()"
        )


_CHECKS: Mapping[Kind, Callable[[Reading, Tensor, Any, str], None]] = {
    "classes": _classes,
    "tokens": _tokens,
    "pixels": _pixels,
    "binary": _binary,
    "labels": _labels,
    "relevance": _relevance,
    "number": _number,
    "classes of dense": _classes_of_dense,
    "number of dense": _number_of_dense,
    "vectors of dense": _vectors_of_dense,
}


def _check_range(labels: Tensor, n_classes: int, ignored: int, name: str) -> None:
    counted = labels[labels != ignored]
    if not counted.numel():
        return
    low, high = int(counted.min()), int(counted.max())
    if low < 0 or high >= n_classes:
        mend = "subtract 1 from the labels" if low == 1 and high == n_classes else "map them onto 0, 1, 2, …"
        raise SecateurError(
            f"metric {name!r} wants labels from 0 to {n_classes - 1}, as many as the model has classes, and they go "
            f"from {low} to {high}; {mend} ({ignored} is left out)"
        )


def _unlike_logits(outputs: Tensor, dimension: int, name: str) -> SecateurError | None:
    """Of probabilities where they would be taken for logits: numbers from 0 to 1 whose sum over classes is 1."""
    if not outputs.numel() or bool((outputs < 0).any()) or bool((outputs > 1).any()):
        return None
    if not bool(((outputs.sum(dimension) - 1).abs() < 1e-3).all()):
        return None
    return SecateurError(
        f"metric {name!r} wants logits, and the model gives probabilities (they sum to 1): take the softmax out of "
        "the model, or return their logarithm"
    )


def _unlike_one_logit(outputs: Tensor, name: str) -> SecateurError | None:
    low, high = (float(outputs.min()), float(outputs.max())) if outputs.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1 and high > 0):
        return None
    return SecateurError(
        f"metric {name!r} wants logits, and all outputs lie between {low:.3g} and {high:.3g}, as probabilities do; "
        "take the sigmoid out of the model, or give threshold=0.5 where the metric has one"
    )


def _real_labels(labels: Tensor, name: str) -> str:
    if labels.dim() == 2 and labels.dtype != torch.complex64:
        return (
            f"metric {name!r} wants whole numbers as labels, one class each, and they are {labels.dtype} of shape "
            f"{tuple(labels.shape)}: of one-hot labels give labels.argmax(1); of several labels at once use "
            "label_accuracy()"
        )
    return (
        f"metric {name!r} wants whole numbers as labels, and they are {labels.dtype}: of classes give labels.long(), "
        "of a regression use spearman() or squared_error()"
    )


def _other_labels(kind: Kind, labels: Tensor, name: str) -> str:
    wants = {"classes": "(n,)", "tokens": "(n, length)", "pixels": "(n, height, width)"}[kind]
    use = {
        1: "of one class per example use accuracy()",
        2: "of one class per token use token_accuracy() or perplexity(), of several labels at once label_accuracy(), "
        "of (n, 1) give labels.squeeze(1)",
        3: "of one class per pixel use pixel_accuracy()",
    }.get(labels.dim(), "flatten them")
    return f"metric {name!r} wants labels {wants}, and they are {tuple(labels.shape)}; {use}"


def _few(values: Sequence[object]) -> str:
    shown = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values[:4])
    return shown + (", …" if len(values) > 4 else "")
