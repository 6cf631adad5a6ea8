"""Where the damage of a plan starts: how far every layer's output is from the dense model's."""

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.plans.plan import SparsityPlan
from core.pruning.skipping import skipping
from core.pruning.wearing import replaced
from core.sensitivity.inside.report import Distance, PlaceDamage
from core.sensitivity.measuring.measurement import Measurement
from core.workload.kept_state import KeptState
from core.workload.outputs import tensors_of
from core.workload.target import SKIP, Target, is_skip

BATCHES = 2  # the first of the order: a fifth of a batch, and the rest of it
Outputs = Mapping[str, list[Tensor]]


def places_of(model: nn.Module, targets: Iterable[Target]) -> dict[str, str]:
    """Modules whose outputs are looked at, by path, and what each is: `"layer"` or `"block"`; in network order.

    The layers whose weights can be cut, and the blocks that can be skipped.
    """
    wanted = {target.name: "block" for target in targets if target.granularity == "block"}
    for target in targets:
        if target.granularity == "weight":
            wanted.setdefault(target.parameter.rpartition(".")[0], "layer")
    return {name: wanted[name] for name, _ in model.named_modules() if name in wanted and name}


def damage_of(
    measurement: Measurement,
    plan: SparsityPlan,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[tuple[PlaceDamage, ...], int]:
    """Compare the outputs of layers and blocks, dense and pruned, on the first batches.

    A copy of the model runs, with hooks; the workload's own is left alone. A layer whose output no hook sees, because
    another module multiplies its weight, is left out.

    Args:
        measurement: entered; the plan was prepared.
        plan: whose tensors are cut from the dense weights.
        on_done: told how many of how many passes are done.

    Returns:
        Each layer and block in network order, and the number of examples.
    """
    twin = copy.deepcopy(measurement.workload.model).eval()
    places = places_of(twin, measurement.targets)
    tensors = measurement.cutting.cut(plan)
    inside = {place: _inside(place, tensors) for place in places}
    alone = {place: names for place, names in inside.items() if names}
    batches = range(min(BATCHES, len(measurement.batches)))
    whole_sums: dict[str, _Sums] = defaultdict(_Sums)
    alone_sums: dict[str, _Sums] = defaultdict(_Sums)
    total, done = len(batches) * (2 + len(alone)), 0
    kept = KeptState(twin)
    kept.note_working_state()
    for i in batches:
        inputs = measurement.batches.trimmed_inputs(i, measurement.inputs(i)[0].device)

        def passed(wanted: Sequence[str], changed: Mapping[str, Tensor], inputs: Any = inputs) -> Outputs:
            nonlocal done
            measurement.check()
            found = _outputs(twin, kept, wanted, inputs, changed)
            done += 1
            on_done(done, total)
            return found

        dense, pruned = passed(list(places), {}), passed(list(places), tensors)
        for place in places:
            whole_sums[place].add(dense[place], pruned[place])
        del pruned
        for place, names in alone.items():
            alone_sums[place].add(dense[place], passed([place], {name: tensors[name] for name in names})[place])
    found = tuple(
        PlaceDamage(place, kind, alone_sums[place].distance() if place in alone_sums else None, distance)
        for place, kind in places.items()
        if (distance := whole_sums[place].distance()) is not None
    )
    return found, sum(measurement.batches.size(i) for i in batches)


def _inside(place: str, tensors: Mapping[str, Tensor]) -> list[str]:
    """Which of the tensors that a plan changes lie in a module; a block that is skipped lies in itself."""
    start = f"{place}."
    return [name for name in tensors if f"{name.removeprefix(SKIP)}{'.' if is_skip(name) else ''}".startswith(start)]


def _outputs(
    model: nn.Module, kept: KeptState, wanted: Sequence[str], inputs: Sequence[Tensor], changed: Mapping[str, Tensor]
) -> Outputs:
    found: dict[str, list[Tensor]] = {place: [] for place in wanted}
    skipped = [name.removeprefix(SKIP) for name in changed if is_skip(name)]
    tensors = {name: tensor for name, tensor in changed.items() if not is_skip(name)}
    try:
        # blocks are skipped by hooks too: those were there first, so that ours see what is passed on
        with torch.inference_mode(), replaced(model, tensors), skipping(model, skipped), _noting(model, found):
            model(*inputs)
    finally:
        kept.restore_buffers()
    return found


@contextmanager
def _noting(model: nn.Module, found: dict[str, list[Tensor]]) -> Iterator[None]:
    def note(place: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            # a copy: an operation in place may follow
            found[place] += [tensor.clone() for tensor in tensors_of(output) if tensor.is_floating_point()]

        return hook

    handles = [model.get_submodule(place).register_forward_hook(note(place)) for place in found]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Sums:
    """Sums over all numbers of an output, batch by batch."""

    def __init__(self) -> None:
        self._dense = self._pruned = self._both = self._apart = 0.0
        self._n = 0

    def add(self, dense: Sequence[Tensor], pruned: Sequence[Tensor]) -> None:
        for a, b in zip(dense, pruned, strict=True):
            x, y = a.double().flatten(), b.double().flatten()
            self._dense += float(x @ x)
            self._pruned += float(y @ y)
            self._both += float(x @ y)
            self._apart += float((x - y) @ (x - y))
            self._n += len(x)

    def distance(self) -> Distance | None:
        """`None` if no output was seen."""
        if not self._n:
            return None
        length = math.sqrt(self._dense * self._pruned)
        cosine = max(-1.0, min(1.0, self._both / length)) if length > 0 and math.isfinite(length) else None
        error = math.sqrt(self._apart / self._dense) if self._dense > 0 and math.isfinite(self._apart) else None
        return Distance(cosine, error)
