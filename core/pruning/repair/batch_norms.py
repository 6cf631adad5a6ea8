"""Statistics of batch normalisations taken anew behind a cut, on a private copy of the model.

Every module stays in evaluation mode. Before a batch normalisation runs, its mean and variance become those of its
inputs in this batch, in channels that the cut changes; behind the last batch those of all batches together. Others keep
what they had: a cut says nothing of them, and the training data were more.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.pruning.criteria.calibration import Calibration
from core.pruning.criteria.one_thread import one_thread
from core.pruning.skipping import CannotSkip, skipping
from core.pruning.wearing import replaced
from core.workload.examples import Examples

N_EXAMPLES = 200  # of the calibration data; a pass for every cut, so no more than tells a mean
BATCH = 50
LEAST_BATCH = 8  # statistics of fewer are those of single examples
N_TRIED = 4  # examples that tell which inputs a cut changes

Norm = nn.modules.batchnorm._BatchNorm


@dataclass
class _Sums:
    """What one batch normalisation got, by channel."""

    n: int = 0
    total: Tensor | float = 0.0
    squares: Tensor | float = 0.0
    seen: list[Tensor] = field(default_factory=list)


class BatchNorms:
    """The batch normalisations of one model that keep statistics.

    Args:
        model: dense; a copy of it is made, on the CPU, when it is first needed.
        calibration: whose examples are looked at.
    """

    def __init__(self, model: nn.Module, calibration: Calibration) -> None:
        self._model, self._calibration = model, calibration
        self._copy: nn.Module | None = None
        self._dense: dict[str, list[Tensor]] = {}
        self._affected: dict[tuple[frozenset[str], tuple[str, ...]], tuple[str, ...] | str] = {}
        self.paths = tuple(
            path
            for path, module in model.named_modules()
            if isinstance(module, Norm) and module.running_mean is not None and module.running_var is not None
        )

    def affected(self, changed: frozenset[str], blocks: Sequence[str] = ()) -> tuple[str, ...] | str:
        """Paths of those whose inputs can change with some tensors and skipped blocks; or why that cannot be told.

        The tensors are set to zero, which is the most that a cut can do to them.

        Args:
            changed: state-dict names.
            blocks: that are skipped.
        """
        key = (changed, tuple(blocks))
        if key not in self._affected:
            self._affected[key] = self._tried(changed, blocks)
        return self._affected[key]

    def _tried(self, changed: frozenset[str], blocks: Sequence[str]) -> tuple[str, ...] | str:
        if not self.paths:
            return "the model has no batch normalisation that keeps statistics"
        if self._batch() < LEAST_BATCH:
            return (
                f"statistics need batches of at least {LEAST_BATCH} calibration examples, and the workload runs "
                f"{self._batch()} at a time"
            )
        twin = self._twin()
        zeros = {name: torch.zeros_like(twin.get_parameter(name)) for name in changed}
        try:
            found = self._inputs(zeros, blocks)
        except CannotSkip as error:
            return str(error)
        paths = tuple(path for path in self.paths if bool(self._channels(path, found).any()))
        return paths or "no batch normalisation runs on what the cut changes"

    def statistics(
        self, tensors: Mapping[str, Tensor], paths: Sequence[str], blocks: Sequence[str]
    ) -> dict[str, Tensor]:
        """Means and variances behind a cut, by state-dict name, on the CPU.

        Args:
            tensors: cut, by state-dict name.
            paths: of the batch normalisations that are affected.
            blocks: that are skipped.
        """
        twin = self._twin()
        lent = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        given = self._inputs(lent, blocks)
        moved = {path: self._channels(path, given) for path in paths}
        sums = {path: _Sums() for path in paths}
        before = {path: _statistics(twin, path) for path in paths}
        with ExitStack() as hooks:
            for path in paths:
                hook = _Renewing(sums[path], moved[path], *before[path])
                hooks.callback(twin.get_submodule(path).register_forward_pre_hook(hook, with_kwargs=True).remove)
            for batch in self._batches():
                self._run(batch.inputs, lent, blocks)
        found: dict[str, Tensor] = {}
        for path in paths:
            mean, var = _renewed(sums[path], moved[path], *before[path])
            prefix = f"{path}." if path else ""  # the model may be one itself
            found |= {f"{prefix}running_mean": mean, f"{prefix}running_var": var}
        return found

    def _inputs(self, tensors: Mapping[str, Tensor], blocks: Sequence[str]) -> dict[str, list[Tensor]]:
        """What each got of the few examples that are tried."""
        sums = {path: _Sums() for path in self.paths}
        twin = self._twin()
        with ExitStack() as hooks:
            for path, own in sums.items():
                hook = _Keeping(own.seen)
                hooks.callback(twin.get_submodule(path).register_forward_pre_hook(hook, with_kwargs=True).remove)
            examples = self._calibration.examples
            assert examples is not None
            self._run(examples.first(N_TRIED).inputs, tensors, blocks)
        return {path: own.seen for path, own in sums.items()}

    def _channels(self, path: str, found: Mapping[str, Sequence[Tensor]]) -> Tensor:
        """Which channels of a batch normalisation got something else than in the dense model: bool (channels,)."""
        own, dense = found[path], self._dense[path]
        module = self._twin().get_submodule(path)
        assert isinstance(module, Norm)
        if [x.shape for x in own] != [x.shape for x in dense]:
            return torch.ones(module.num_features, dtype=torch.bool)
        other = torch.zeros(module.num_features, dtype=torch.bool)
        for x, y in zip(own, dense, strict=True):
            other |= (x != y).movedim(1, 0).flatten(1).any(1)
        return other

    def _run(self, inputs: Any, tensors: Mapping[str, Tensor], blocks: Sequence[str]) -> None:
        twin = self._twin()
        quiet = (torch.inference_mode(False), torch.no_grad(), one_thread())
        with quiet[0], quiet[1], quiet[2], _buffers_kept(twin), replaced(twin, tensors), skipping(twin, blocks):
            twin(*inputs)

    def _twin(self) -> nn.Module:
        if self._copy is None:
            with torch.inference_mode(False), torch.no_grad():
                self._copy = copy.deepcopy(self._model).cpu().eval()
            try:
                self._dense = self._inputs({}, ())
            except BaseException:
                self._copy = None
                raise
        return self._copy

    def ready(self) -> None:
        """Make the copy now, while nobody else runs the model."""
        if self.paths and self._batch() >= LEAST_BATCH:
            self._twin()

    def _batch(self) -> int:
        examples = self._calibration.examples
        return min(BATCH, self._calibration.usual_batch, len(examples) if examples is not None else 0)

    def _batches(self) -> Iterator[Examples]:
        examples = self._calibration.examples
        assert examples is not None
        size, n = self._batch(), min(N_EXAMPLES, len(examples))
        # a rest that is smaller than a batch would be given statistics of few
        for batch in examples.first(n - n % size).batches(size):
            self._calibration.check()
            yield batch


class _Keeping:
    """Pre-hook that keeps what a module gets."""

    def __init__(self, seen: list[Tensor]) -> None:
        self._seen = seen

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._seen.append([*args, *kwargs.values()][0].detach().clone())


class _Renewing:
    """Pre-hook that gives a batch normalisation the statistics of what it is about to get."""

    def __init__(self, sums: _Sums, moved: Tensor, mean: Tensor, var: Tensor) -> None:
        self._sums, self._moved, self._mean, self._var = sums, moved, mean, var

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        by_channel = [*args, *kwargs.values()][0].detach().double().movedim(1, 0).flatten(1)
        own = _Sums(by_channel.shape[1], by_channel.sum(1), by_channel.square().sum(1))
        self._sums.n += own.n
        self._sums.total = self._sums.total + own.total
        self._sums.squares = self._sums.squares + own.squares
        module.running_mean, module.running_var = _renewed(own, self._moved, self._mean, self._var, unbiased=False)


def _renewed(sums: _Sums, moved: Tensor, mean: Tensor, var: Tensor, unbiased: bool = True) -> tuple[Tensor, Tensor]:
    """Mean and variance with those of `sums` in the channels that moved.

    A channel that is constant now keeps its variance: dividing by none would make much of the first input that differs.
    """
    if not sums.n:
        return mean, var
    new_mean = torch.as_tensor(sums.total) / sums.n
    new_var = torch.as_tensor(sums.squares) / sums.n - new_mean.square()
    new_var = new_var * sums.n / max(1, sums.n - 1) if unbiased else new_var
    sound = moved & new_mean.isfinite() & new_var.isfinite()
    varies = sound & (new_var > 1e-12 * new_mean.square()) & (new_var > 0)
    return torch.where(sound, new_mean.to(mean.dtype), mean), torch.where(varies, new_var.to(var.dtype), var)


def _statistics(model: nn.Module, path: str) -> tuple[Tensor, Tensor]:
    module = model.get_submodule(path)
    assert isinstance(module.running_mean, Tensor)
    assert isinstance(module.running_var, Tensor)
    return module.running_mean, module.running_var


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """A model that writes into buffers of its own (counts, caches) finds them again as they were."""
    kept = [(module, name, buffer) for module in model.modules() for name, buffer in module._buffers.items()]
    copies = [None if buffer is None else buffer.clone() for _, _, buffer in kept]
    try:
        yield
    finally:
        for (module, name, buffer), value in zip(kept, copies, strict=True):
            module._buffers[name] = buffer
            if buffer is not None and value is not None and not torch.equal(buffer, value):
                buffer.copy_(value)
