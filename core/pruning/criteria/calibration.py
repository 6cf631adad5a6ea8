"""What criteria may look at: calibration data, as sums over examples that are made once for all who need them.

Everything is summed on the CPU by one thread, with the model as it was found and left as it was found: so a plan means
the same bits wherever and in whatever order it is measured, exported and verified.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.pruning.criteria.calibration_sums import BYTES, MAX_EXAMPLES, OF_GRADIENTS, InputSum, Sum
from core.pruning.criteria.gradients import Loss, requiring_gradients, summed_loss
from core.pruning.criteria.layer_inputs import multiplies, watched
from core.pruning.criteria.one_thread import one_thread
from core.workload.code_text import code_text
from core.workload.device import free_memory
from core.workload.examples import Examples
from core.workload.inputs.padding import counted
from core.workload.kept_state import KeptState
from core.workload.layers.linear import oriented
from core.workload.workload import Workload

VERSION = 2  # of what is summed and of what criteria make of it; raise it when either changes
BATCH_SIZE = 20  # each batch is one sample of the gradient, and a backward pass keeps every activation
FOR_REPAIR: tuple[Sum, ...] = ("means", "moments")  # of these, padding is left out
OF_EXAMPLES: tuple[Sum, ...] = ("squares", "columns")  # that need the gradient of each example


class CannotScoreError(SecateurError):
    """A criterion has nothing to say of a target."""


class Calibration:
    """Sums over calibration examples, each made when it is first asked for and then kept.

    Args:
        model: dense; left as it was found.
        examples: the first `MAX_EXAMPLES` are looked at; `None` if there are none.
        loss: `(outputs, labels) -> (n,)`; `None` if there is none.
        name: of the workload, for messages.
        batch_size: examples per pass, at most.
        check: called before each pass; may raise.
        read: what the loss is given of the model's outputs.

    Attributes:
        name, check: as given.
        usual_batch: examples in a batch as given, which a pass without gradients may have.
    """

    def __init__(
        self,
        model: nn.Module,
        examples: Examples | None = None,
        loss: Loss | None = None,
        name: str = "the model",
        batch_size: int = BATCH_SIZE,
        check: Callable[[], None] = lambda: None,
        read: Callable[[Any], Any] = lambda outputs: outputs,
    ) -> None:
        self._model, self._loss, self._name, self._check, self._read = model, loss, name, check, read
        self._examples = examples.first(MAX_EXAMPLES) if examples is not None and len(examples) else None
        self._batch_size = min(BATCH_SIZE, batch_size)
        self.name, self.check, self.usual_batch = name, check, batch_size
        self._found: dict[tuple[Sum, str], Any] = {}

    @classmethod
    def of(cls, workload: Workload, check: Callable[[], None] = lambda: None) -> "Calibration":
        """That of a workload."""
        return cls(
            workload.model,
            workload.calibration,
            workload.metric.loss,
            workload.name,
            workload.batch_size,
            check,
            workload.metric.read,
        )

    def _losses(self, outputs: Any, labels: Tensor) -> Tensor:
        assert self._loss is not None
        return self._loss(self._read(outputs), labels)

    def fingerprint(self, with_loss: bool) -> str:
        """Hash of the examples, and of the loss's code if asked for."""
        examples = self._examples.fingerprint() if self._examples else ""
        loss = code_text(self._loss) if with_loss else ""
        return hashlib.sha256(f"{VERSION} {self._batch_size} {examples} {loss}".encode()).hexdigest()

    @property
    def examples(self) -> Examples | None:
        """That are looked at; `None` if there are none."""
        return self._examples

    def gather(self, wanted: Mapping[Sum, Collection[str]]) -> None:
        """Make sums of parameters, by their state-dict names, those that are not there yet; one pass for each kind.

        Raises:
            SecateurError: there are no calibration data, no loss, or the passes fail.
        """
        for kind, names in wanted.items():
            missing = sorted(name for name in set(names) if (kind, name) not in self._found)
            if missing:
                self._found.update({(kind, name): found for name, found in self._sums(kind, missing).items()})

    def get(self, kind: Sum, name: str) -> Any:
        """The sum of one parameter; see the functions below for what each kind is.

        Raises:
            CannotScoreError: there is none for this parameter; says why.
            SecateurError: as `gather`.
        """
        self.gather({kind: [name]})
        found = self._found[kind, name]
        if isinstance(found, str):
            raise CannotScoreError(found)
        return found

    def _sums(self, kind: Sum, names: Sequence[str]) -> Mapping[str, Any]:
        if self._examples is None:
            raise SecateurError(
                f"{self._name} has no calibration data, which this criterion looks at; give its Workload "
                "calibration=Examples(...) that are no evaluation examples, or choose a criterion of the weights alone"
            )
        gradients = kind == "gradients" or kind in OF_EXAMPLES
        if gradients and self._loss is None:
            raise SecateurError(
                f"the metric of {self._name} has no loss, whose gradients this criterion looks at; give it one, "
                "Metric(..., loss=...), or choose another criterion"
            )
        self._check_memory(kind, names)
        kept = KeptState(self._model)
        try:
            with one_thread():
                self._model.to("cpu").eval()
                kept.note_working_state()
                with kept.guarded_parameters():
                    if gradients:
                        return self._of_gradients(kind, names, kept)
                    return self._of_inputs(kind, names, kept)
        finally:
            kept.restore()

    def _of_gradients(self, kind: Sum, names: Sequence[str], kept: KeptState) -> Mapping[str, Any]:
        """`"gradients"`: `GradientSums`. `"squares"`: g² of single examples, averaged. `"columns"`: of every example
        what g w adds up to in each column, float64 (n, columns)."""
        named = dict(self._model.named_parameters(remove_duplicate=False))
        # all of them, whichever are asked for: the backward pass and its bits must not depend on the question
        every = list({id(p): p for p in self._model.parameters() if p.is_floating_point()}.values())
        place = {id(p): i for i, p in enumerate(every)}
        makers = {name: OF_GRADIENTS[kind](self._by_column(kind, name, named[name].detach())) for name in names}
        n_examples = 0
        with torch.inference_mode(False), torch.enable_grad(), requiring_gradients(every):
            for batch in self._batches(1 if kind in OF_EXAMPLES else self._batch_size):
                try:
                    loss = summed_loss(self._model, self._losses, batch, f"the metric of {self._name}") / len(batch)
                    # autograd.grad and not backward: nothing is added to anybody's .grad
                    found = torch.autograd.grad(loss, every, allow_unused=True)
                finally:
                    kept.restore_buffers()
                n_examples += len(batch)
                for name, maker in makers.items():
                    gradient = found[place[id(named[name])]]
                    if gradient is not None:
                        maker.add(self._by_column(kind, name, gradient), len(batch))
        return {name: maker.result(n_examples, name) for name, maker in makers.items()}

    def _by_column(self, kind: Sum, name: str, tensor: Tensor) -> Tensor:
        """A tensor of a weight's shape with outputs first where columns are asked for; else as it is stored."""
        return oriented(self._model, name, tensor) if kind == "columns" else tensor

    def _of_inputs(self, kind: Sum, names: Sequence[str], kept: KeptState) -> Mapping[str, Any]:
        """`"norms"`: sums of squares of what each column is multiplied with, float64 (blocks, columns). `"hessians"`:
        sums of their products, float64 (blocks, columns, columns). `"non_zeros"`: share of a layer's inputs that are
        not zero, float64 (channels,). `"means"`, `"moments"`: sums, and sums of products, with a 1 behind the last
        column, float64 (blocks, columns + 1) and (blocks, columns + 1, columns + 1)."""
        makers = {name: InputSum(kind, self._rows(name) if kind in FOR_REPAIR else None) for name in names}
        with ExitStack() as hooks:
            for name, maker in makers.items():
                for path, attribute in self.homes(name):
                    if kind == "non_zeros":
                        module = self._model.get_submodule(path)
                        hooks.callback(module.register_forward_pre_hook(maker.count, with_kwargs=True).remove)
                    elif multiplies(self._model.get_submodule(path), attribute):
                        hooks.enter_context(watched(self._model, path, attribute, maker.add))
            with torch.inference_mode():
                for batch in self._batches(self._batch_size):
                    if kind in FOR_REPAIR and (told := counted(batch)) is not None:
                        for maker in makers.values():
                            maker.counted = told.flatten()
                    try:
                        self._model(*batch.inputs)
                    finally:
                        kept.restore_buffers()
        return {name: maker.result(name) for name, maker in makers.items()}

    def _rows(self, name: str) -> Tensor:
        return oriented(self._model, name).detach().flatten(1)

    def homes(self, name: str) -> list[tuple[str, str]]:
        """Modules that hold a parameter, tied ones too, each once: paths and attributes."""
        parameter = self._model.get_parameter(name)
        found: dict[tuple[int, str], tuple[str, str]] = {}
        for other, tied in self._model.named_parameters(remove_duplicate=False):
            if tied is parameter:
                path, _, attribute = other.rpartition(".")
                found.setdefault((id(self._model.get_submodule(path)), attribute), (path, attribute))
        return list(found.values())

    def _check_memory(self, kind: Sum, names: Sequence[str]) -> None:
        """Refuse before the machine swaps: all sums of a kind are held at once, for they are made in one pass."""
        weights = [oriented(self._model, name) for name in names]
        needed = sum(BYTES[kind](weight) for weight in weights)
        free = free_memory(torch.device("cpu"))
        if needed > free:
            raise SecateurError(
                f"what this criterion sums up over the calibration data takes {needed / 1e9:.1f} GB for {len(names)} "
                f"layers, and {free / 1e9:.1f} GB are free; cut fewer layers at a time (--layers), or by magnitude"
            )

    def _batches(self, size: int) -> Iterator[Examples]:
        assert self._examples is not None
        for batch in self._examples.batches(size):
            self._check()
            yield batch
