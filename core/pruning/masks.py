"""Masks: from a plan to bool tensors, True = kept; and a model that wears them for a while."""

import copy
import difflib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.patterns import is_pattern, looked_up_as, parse_pattern
from core.plans.plan import HEADS, Cut, SparsityPlan, n_removed
from core.pruning.criteria import get_criterion
from core.pruning.groups import CannotCutError, Group, slice_mask
from core.pruning.patterns import pattern_mask, pattern_places
from core.workload.target import Granularity, Target


def keep_largest(saliency: Tensor, sparsity: float) -> Tensor:
    """Mask that removes the least salient entries of one tensor.

    Args:
        saliency: any shape, higher = more important. Not modified.
        sparsity: fraction of entries to remove, in [0, 1). Unitless.

    Returns:
        Bool tensor, shape and device of `saliency`, True = kept. Exactly `round(sparsity * saliency.numel())`
        entries are False; of equal scores the earlier position goes first.

    Source: Han et al. 2015, arXiv:1506.02626 (layer-wise, one-shot).
    """
    return keep_ranked(ranks(saliency), sparsity)


def least_first(saliency: Tensor) -> Tensor:
    """Positions of a flattened tensor from least to most salient, ties by position: int64 (n,)."""
    return saliency.flatten().argsort(stable=True)


def ranks(saliency: Tensor) -> Tensor:
    """Place of each entry when they stand from least to most salient, ties by position: int32, same shape."""
    order = least_first(saliency)
    places = torch.empty(len(order), dtype=torch.int32, device=order.device)
    places[order] = torch.arange(len(order), dtype=torch.int32, device=order.device)
    return places.view_as(saliency)


def keep_ranked(places: Tensor, sparsity: float) -> Tensor:
    """Bool mask, shape of `places`, without the `round(sparsity * n)` entries of lowest rank.

    Ranked once, a target serves all its sparsities. A rank and not a threshold: equal scores would all fall below
    a threshold together, and a fresh LayerNorm is nothing but equal scores.
    """
    return places >= n_removed(sparsity, places.numel())


def head_mask(target: Target, device: torch.device | str = "cpu") -> Tensor:
    """Mask of an output projection's weight (n_out, n_in) without the columns that read one head.

    Zeroing them equals zeroing the head's output before the projection, for every attention whose heads are
    joined in order; nothing has to be hooked. The ablation is that of Michel et al. 2019, arXiv:1905.10650.
    """
    n_out, n_in = target.shape
    width = target.n_weights // n_out  # of a key/value group: of all its query heads, which stand side by side
    assert target.head is not None
    mask = torch.ones(n_out, n_in, dtype=torch.bool, device=device)
    mask[:, target.head * width : (target.head + 1) * width] = False
    return mask


class MaskMaker:
    """Masks of cuts on one model; remembers rankings, which all sparsities of a target share.

    Args:
        model: dense. Never modified.
        targets: what can be cut in it, as `find_targets` lists it.
        groups: coupled groups among the targets, by name.
        keep_bytes: of rankings, 4 bytes per weight; the one that was not used for longest goes first.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[Target],
        groups: Mapping[str, Group] = MappingProxyType({}),
        keep_bytes: int = 1 << 28,
    ) -> None:
        self._model = model
        self._parameters = dict(model.named_parameters(remove_duplicate=False))
        self._targets = {(target.granularity, target.name): target for target in targets}
        self._groups = groups
        self._saliency: dict[tuple[str, str], Tensor] = {}
        self._ranked: OrderedDict[tuple[str, str, Granularity], Tensor] = OrderedDict()
        self._keep_bytes = keep_bytes
        self._lock = Lock()  # cells are measured by several threads

    def target_of(self, cut: Cut) -> Target:
        """The target that a cut names.

        Raises:
            SecateurError: the model has no such target.
        """
        kind = looked_up_as(cut.granularity)
        target = self._targets.get((kind, cut.target))
        if target is None:
            known = [name for granularity, name in self._targets if granularity == kind]
            raise SecateurError(f"no {kind} target {cut.target!r}; {unknown_name_hint(cut.target, known)}")
        return target

    def parameters(self, plan: SparsityPlan) -> frozenset[str]:
        """State-dict names of the tensors that decide what a plan does to the outputs, as `masks(…, reading=True)`."""
        names: set[str] = set()
        for cut in plan.cuts:
            target = self.target_of(cut)
            if cut.granularity == "channel":
                deciding = self._groups[target.name].deciding
                names.update(one.tensor for one in deciding if one.tensor in self._parameters)
            else:
                names.add(target.parameter)
        return frozenset(names)

    def masks_of(self, cut: Cut, reading: bool = False) -> dict[str, Tensor]:
        """Masks of the tensors that a cut touches, by state-dict name (shape of the tensor, True = kept).

        Args:
            reading: of a coupled group only what decides the outputs, as `Group.deciding`.

        Raises:
            SecateurError: the model has no such target, no mask can do this cut, or it would leave nothing.
        """
        target = self.target_of(cut)
        if cut.granularity == "block":
            raise SecateurError(
                f"no mask makes block {cut.target} pass its input on: it can be swept and be removed by `shrink`, not "
                "be masked; leave it out of this plan, or shrink"
            )
        if cut.granularity == "channel":
            group, units = self.units(cut)
            masks: dict[str, Tensor] = {}
            for one in group.deciding if reading else group.slices:
                weight = self._parameters.get(one.tensor)  # buffers, a BatchNorm's statistics, are not masked
                if weight is not None:
                    mask = slice_mask(weight.shape, one, units, weight.device)
                    masks[one.tensor] = masks[one.tensor] & mask if one.tensor in masks else mask
            return masks
        weight = self._parameters[target.parameter]
        if cut.granularity in HEADS:
            return {target.parameter: head_mask(target, weight.device)}
        assert cut.criterion is not None
        assert cut.sparsity is not None
        places = self._ranks(cut.criterion, target, cut.granularity)
        if is_pattern(cut.granularity):
            pattern = parse_pattern(cut.granularity)
            return {target.parameter: pattern_mask(places, pattern, weight.shape, cut.sparsity)}
        return {target.parameter: keep_ranked(places, cut.sparsity)}

    def units(self, cut: Cut) -> tuple[Group, list[int]]:
        """A coupled group, and the channels of it that a cut removes, ascending.

        Raises:
            SecateurError: there is no such group, or the cut would leave nothing of it.
        """
        group = self._groups[self.target_of(cut).name]
        assert cut.criterion is not None
        assert cut.sparsity is not None
        key = (cut.criterion, cut.target)
        with self._lock:
            if key not in self._saliency:
                self._saliency[key] = group.saliency(self._model, get_criterion(cut.criterion))
            return group, group.removed(self._saliency[key], cut.sparsity, cut.align)

    def _ranks(self, criterion: str, target: Target, granularity: Granularity) -> Tensor:
        pattern = parse_pattern(granularity) if is_pattern(granularity) else None
        if pattern is not None and (reason := pattern.why_not(target)):
            raise SecateurError(f"{reason}; choose another pattern, or leave {target.name} out")
        key = (criterion, target.name, granularity)
        with self._lock:
            places = self._ranked.pop(key, None)
            if places is None:
                saliency = get_criterion(criterion)(self._parameters[target.parameter])
                places = ranks(saliency) if pattern is None else pattern_places(saliency, pattern)
            self._ranked[key] = places
            while len(self._ranked) > 1 and sum(p.nbytes for p in self._ranked.values()) > self._keep_bytes:
                self._ranked.popitem(last=False)
            return places

    def masks(self, plan: SparsityPlan, reading: bool = False) -> dict[str, Tensor]:
        """Every tensor that a plan touches, with one mask: where cuts meet, an entry stays only if all keep it.

        Args:
            reading: as for `masks_of`.
        """
        masks: dict[str, Tensor] = {}
        for cut in plan.cuts:
            try:
                found = self.masks_of(cut, reading)
            except CannotCutError:
                raise
            except SecateurError as error:
                made_for = f" (the plan was made for {plan.workload})" if plan.workload else ""
                raise SecateurError(f"{error}{made_for}") from None
            for name, mask in found.items():
                masks[name] = masks[name] & mask if name in masks else mask
        return masks


def without_blocks(plan: SparsityPlan) -> SparsityPlan:
    """The part of a plan that masks can do; blocks are skipped."""
    return SparsityPlan(tuple(cut for cut in plan.cuts if cut.granularity != "block"))


def unknown_name_hint(name: str, known: Sequence[str]) -> str:
    """What to try instead of a name that is not known."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return (
        f"there are {len(known)}: {', '.join(known[:8])}{' …' if len(known) > 8 else ''}" if known else "there are none"
    )


def cut_weight(weight: Tensor, mask: Tensor) -> Tensor:
    """A copy of `weight` with exact +0 where `mask` is False; the rest bit for bit."""
    return torch.where(mask, weight.detach(), torch.zeros((), dtype=weight.dtype, device=weight.device))


@contextmanager
def masked(model: nn.Module, masks: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """The model with masks on, for as long as the `with` block lasts.

    The dense tensors are never written to: each parameter points at a cut copy for a while. Tied weights are one
    parameter and so are cut everywhere.
    """
    with replaced(model, {name: cut_weight(model.get_parameter(name), mask) for name, mask in masks.items()}):
        yield model


@contextmanager
def replaced(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Parameters of the model point at `tensors` inside the block, and back at their own storage after it."""
    parameters = {name: model.get_parameter(name) for name in tensors}
    dense = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = tensors[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = dense[name]


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Cut a model for good: for a copy that belongs to the caller, never for a workload's model."""
    for name, mask in masks.items():
        parameter = model.get_parameter(name)
        parameter.data = cut_weight(parameter.data, mask)


def pruned_copy(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model with masks applied for good. `model` is not modified."""
    clone = copy.deepcopy(model)
    apply_masks(clone, masks)
    return clone
