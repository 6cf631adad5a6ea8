"""A workload: the model, the data it is judged on, and the metric that judges it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from core.errors import SecateurError
from core.workload.columns import Value, checked_columns, class_column
from core.workload.examples import Examples
from core.workload.identity.origin import Stage
from core.workload.identity.unwrapped import unwrapped
from core.workload.inputs.names import by_name, in_order
from core.workload.inputs.padding import counted
from core.workload.inputs.spilled import rows_of
from core.workload.layers.held_by_hooks import why_held
from core.workload.metric import Metric

ROLES = ("evaluation", "calibration", "training", "holdout")
HELD_SHARE = 5  # one evaluation example of so many is set aside for certificates
HELD_FROM = 1_000  # evaluation examples: a fifth of fewer certifies nothing, and each is missed in a sweep


@dataclass(frozen=True)
class Workload:
    """What is studied, as in MLPerf: model + evaluation data + metric.

    Attributes:
        name: how it is called on screen.
        model: trained, dense. Never changed by Secateur.
        evaluation: what the metric is measured on; at least two examples.
        metric: per-example scores and how they are aggregated.
        calibration: what a criterion may look at; shares no example with `evaluation`.
        training: what recovery may train on; shares no example with `evaluation`.
        holdout: what certificates are made on, and nothing is chosen by; shares no example with the others. `None`:
            a fifth of `evaluation` is set aside, see `core.sensitivity.forwards.set_aside`.
        class_names: of the labels, where they are classes.
        sweep_examples: how many evaluation examples a sweep uses unless told otherwise; `None` for all.
        batch_size: examples per forward pass.
        columns: by name, what is known of each evaluation example and worth looking at group by group: strings or
            integers, one each. "class" is there by itself where labels are classes, unless given here.
        augment: `(first input of a batch, generator) -> the same, changed at random`, for what recovery trains on. It
            draws from the generator alone, or runs could not be repeated.
        teacher: of a model that was made smaller the dense one, which takes the same inputs: recovery learns from it,
            and tells drops from it. `None`: the model is the dense one.
        origin: what Secateur did to the model since it was loaded, first to last, as plain values, so that it can be
            done again; see `core.workload.identity.origin`. Empty for a model as its own file gives it.
        n_ignored: evaluation examples that were given and left out, because none of their labels counts (-100).
        notes: what was inferred, or changed in loading, for people: `name: what was taken`, a line each.
    """

    name: str
    model: nn.Module = field(repr=False)
    evaluation: Examples = field(repr=False)
    metric: Metric
    calibration: Examples | None = field(default=None, repr=False)
    training: Examples | None = field(default=None, repr=False)
    class_names: tuple[str, ...] = ()
    sweep_examples: int | None = None
    batch_size: int = 250
    columns: Mapping[str, Sequence[Value] | Tensor] = field(default_factory=dict, repr=False)
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = field(default=None, repr=False)
    teacher: nn.Module | None = field(default=None, repr=False)
    origin: tuple[Stage, ...] = field(default=(), repr=False)
    n_ignored: int = 0
    notes: tuple[str, ...] = field(default=(), repr=False)
    holdout: Examples | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """What torch wraps around a model is taken off. Inputs by name are put in the order of the model's `forward`,
        and the model takes them so: see `core.workload.inputs.names`. Examples whose label does not count (-100) are
        left out, with their columns: they have no score.

        Raises:
            SecateurError: the model takes no input of such a name, or needs another.
        """
        self._unwrap()
        self._fit_names()
        self._leave_out_padding()
        self._leave_out_ignored()
        self._tell_of_disk()

    def _tell_of_disk(self) -> None:
        for role in ("evaluation", "calibration", "training"):
            examples = getattr(self, role)
            if isinstance(examples, Examples) and examples.on_disk:
                size = sum(tensor.nbytes for tensor in examples.tensors)
                note = f"memory: the {role} data, {size / 1e9:.2f} GB, lie in a temporary file, being too large for it"
                if note not in self.notes:
                    object.__setattr__(self, "notes", (*self.notes, note))

    def _fit_names(self) -> None:
        model: object = self.model
        if not isinstance(self.evaluation, Examples) or not isinstance(model, nn.Module):
            return  # `check` says so
        given = {role: examples for role in ROLES if isinstance(examples := getattr(self, role), Examples)}
        named = [role for role, examples in given.items() if examples.names is not None]
        if not named:
            return
        names = in_order(self.model, given[named[0]].names or ())
        for role, examples in given.items():
            if examples.names is None or set(examples.names) != set(names):
                theirs = "inputs by position" if examples.names is None else ", ".join(examples.names)
                raise SecateurError(
                    f"the {role} examples of {self.name} have {theirs}, the {named[0]} examples {', '.join(names)}; "
                    "give all of them the same inputs by name"
                )
            if examples.names != names:
                object.__setattr__(self, role, examples.ordered(names))
        object.__setattr__(self, "model", by_name(self.model, names))
        if isinstance(self.teacher, nn.Module):
            in_order(self.teacher, names)
            object.__setattr__(self, "teacher", by_name(self.teacher, names))

    def _leave_out_padding(self) -> None:
        """Labels of tokens that are padding, by the mask, do not count, whatever they are."""
        reading = getattr(self.metric, "reading", None)
        if reading is None or reading.kind != "tokens":
            return
        for role in ROLES:
            examples = getattr(self, role)
            mask = counted(examples) if isinstance(examples, Examples) else None
            if mask is None or examples.labels.shape != mask.shape or examples.labels.is_floating_point():
                continue
            labels = examples.labels.masked_fill(~mask, reading.ignored)
            object.__setattr__(self, role, replace(examples, labels=labels))

    def _leave_out_ignored(self) -> None:
        reading = getattr(self.metric, "reading", None)
        if reading is None or not isinstance(self.evaluation, Examples):
            return
        keep = reading.counted(self.evaluation.labels).nonzero().squeeze(1)
        n = len(self.evaluation)
        if not len(keep):
            return  # `check` and whoever needs a label say so
        if len(keep) < n:
            rows = keep.tolist()
            cut = {
                name: [list(values)[row] for row in rows] if len(values) == n else values
                for name, values in self.columns.items()
            }
            object.__setattr__(self, "columns", cut)
        for role in ROLES:
            examples = getattr(self, role)
            if isinstance(examples, Examples):
                counted = reading.counted(examples.labels)
                if not counted.all():
                    object.__setattr__(self, role, rows_of(examples, counted.nonzero().squeeze(1)))
        object.__setattr__(self, "n_ignored", self.n_ignored + n - len(keep))

    def _unwrap(self) -> None:
        """Layers then have the names of the model, not `_orig_mod.0` or `module.0`, and a copy can be made of it."""
        for role in ("model", "teacher"):
            given = getattr(self, role)
            if isinstance(given, nn.Module) and (inside := unwrapped(given)) is not given:
                object.__setattr__(self, role, inside)
                note = f"{role}: taken out of its {type(given).__name__}; it is measured as it is without"
                object.__setattr__(self, "notes", (*self.notes, note))

    @property
    def n_held(self) -> int:
        """Evaluation examples that are set aside for certificates: a fifth. None of few, none where others are named or
        the metric has no bound: it cannot be certified, and they would be missed."""
        n, metric = len(self.evaluation), self.metric
        certifiable = metric.scale.is_bounded and metric.weigh is None
        return n // HELD_SHARE if self.holdout is None and n >= HELD_FROM and certifiable else 0

    @property
    def n_open(self) -> int:
        """Evaluation examples that may be chosen by."""
        return len(self.evaluation) - self.n_held

    @property
    def dense_model(self) -> nn.Module:
        """The teacher where the model was made smaller, else the model."""
        return self.model if self.teacher is None else self.teacher

    def check(self) -> None:
        """Refuse what cannot be measured honestly.

        Raises:
            SecateurError: fewer than two evaluation examples, none of the labels that the metric needs, a batch of
                none, NaN or infinite weights, an evaluation example that is also a calibration or a training
                example, or a column of another length.
        """
        self._check_types()
        if len(self.evaluation) < 2:
            left_out = f" ({self.n_ignored} more have no label that counts)" if self.n_ignored else ""
            raise SecateurError(
                f"the evaluation data of {self.name} has {len(self.evaluation)} example(s){left_out}; "
                "an interval needs at least 2: give it more data"
            )
        self.metric.check_labels(self.evaluation.labels)
        reading = self.metric.reading
        if reading is not None and not reading.counted(self.evaluation.labels).any():
            raise SecateurError(
                f"none of the labels of {self.name} counts, all are {reading.ignored}; "
                "give labels of the evaluation data"
            )
        spans = self.metric.beside_scores(self.evaluation.labels) if self.metric.scale.aggregate == "span_f1" else None
        if spans is not None and not spans.any():
            raise SecateurError(
                f"the labels of {self.name} have no span, so that its F1 is 0 whatever the model says; is the order of "
                "the names that of the classes? Give labels with spans, or token_accuracy()"
            )
        mask = counted(self.evaluation)
        if mask is not None and not mask.any(1).all():
            empty = int((~mask.any(1)).nonzero()[0])
            raise SecateurError(
                f"example {empty} of {self.name} is all padding: its attention mask is 0 everywhere; leave it out"
            )
        for name in ("batch_size", "sweep_examples"):
            given: Any = getattr(self, name)
            if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
                raise SecateurError(f"{name} of {self.name} must be a whole number, got {given!r}")
        if self.sweep_examples is not None and self.sweep_examples < 2:
            raise SecateurError(
                f"sweep_examples of {self.name} must be at least 2, or None for all; got {self.sweep_examples}"
            )
        if self.batch_size < 1:
            raise SecateurError(f"batch_size of {self.name} must be at least 1, got {self.batch_size}")
        self._check_weights(self.model, self.name)
        if self.teacher is not None:
            self._check_weights(self.teacher, f"the teacher of {self.name}")
        self.all_columns()
        self._check_holdout()
        for role, other in (("calibration", self.calibration), ("training", self.training)):
            common = self.evaluation.n_common(other) if other is not None else 0
            if common:
                raise SecateurError(
                    f"{common} evaluation example(s) of {self.name} are also {role} examples; "
                    "remove them from one of the two, or the measured drop flatters the cut"
                )

    def _check_holdout(self) -> None:
        if self.holdout is None:
            return
        if len(self.holdout) < 2:
            raise SecateurError(
                f"the holdout of {self.name} has {len(self.holdout)} example(s); a certificate needs hundreds: "
                "give it more data, or leave it out"
            )
        self.metric.check_labels(self.holdout.labels)
        for role in ("evaluation", "calibration", "training"):
            other = getattr(self, role)
            common = self.holdout.n_common(other) if other is not None else 0
            if common:
                raise SecateurError(
                    f"{common} holdout example(s) of {self.name} are also {role} examples; remove them from one "
                    "of the two, or a certificate would be made on what a plan was chosen by"
                )

    def all_columns(self) -> dict[str, tuple[Value, ...]]:
        """`columns`, and "class" where the labels say it, as plain values: one per evaluation example.

        Raises:
            SecateurError: a column of another length, or of other values than strings and integers.
        """
        given = checked_columns(self.columns, len(self.evaluation), self.name)
        return {**class_column(self.evaluation.labels, self.class_names), **given}

    @staticmethod
    def _check_weights(model: nn.Module, owner: str) -> None:
        if (reason := why_held(model)) is not None:
            raise SecateurError(f"the model of {owner} cannot be taken as it is: {reason}")
        for name, tensor in model.state_dict().items():
            if not isinstance(tensor, torch.Tensor):  # a module's own extra state
                continue
            if is_lazy(tensor) or tensor.device.type == "meta":
                raise SecateurError(
                    f"{name} of {owner} has no values yet; load the weights before returning the workload"
                )
            if tensor.is_inference():
                raise SecateurError(
                    f"{name} of {owner} was made inside torch.inference_mode() and cannot be changed and restored; "
                    "make the model outside of it"
                )
            if not tensor.is_floating_point():
                continue
            # what is not finite stays so in a sum, which takes a tenth of the time and no memory
            if torch.finfo(tensor.dtype).bits >= 16 and tensor.layout == torch.strided and tensor.sum().isfinite():
                continue
            n_bad = int((~torch.isfinite(tensor.float())).sum())  # float8 has no isfinite of its own
            if n_bad:
                raise SecateurError(
                    f"{name} of {owner} holds {n_bad} NaN or infinite value(s); "
                    "load a checkpoint from before training diverged"
                )

    def _check_types(self) -> None:
        """A workload file is written by hand; what is of the wrong kind is better named here than deep in a sweep."""
        given: tuple[tuple[str, Any, type, str], ...] = (
            ("model", self.model, nn.Module, "a torch.nn.Module"),
            ("teacher", self.dense_model, nn.Module, "a torch.nn.Module or None"),
            ("metric", self.metric, Metric, "a core.Metric; call the function: accuracy(), not accuracy"),
            ("evaluation", self.evaluation, Examples, "core.Examples(inputs, labels)"),
            ("calibration", self.calibration or self.evaluation, Examples, "core.Examples or None"),
            ("training", self.training or self.evaluation, Examples, "core.Examples or None"),
            ("holdout", self.holdout or self.evaluation, Examples, "core.Examples or None"),
        )
        for name, value, expected, text in given:
            if not isinstance(value, expected):
                raise SecateurError(f"{name} of workload {self.name!r} must be {text}; got {type(value).__name__}")
        if isinstance(self.model, torch.jit.ScriptModule):
            raise SecateurError(
                f"the model of {self.name} is TorchScript, whose layers cannot be cut; "
                "give the nn.Module that it was made of"
            )
