"""Masks: from a plan to bool tensors, True = kept, and to cut tensors; and a model that wears them for a while."""

import copy
import difflib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.criteria import FACTS, why_not
from core.plans.patterns import is_pattern, looked_up_as, parse_pattern
from core.plans.plan import HEADS, Cut, SparsityPlan, n_removed
from core.pruning.coupling.groups import CannotCutError, Group, slice_mask
from core.pruning.criteria.calibration import Calibration, CannotScoreError
from core.pruning.criteria.calibration_sums import Sum
from core.pruning.criteria.registry import CHANNEL_CRITERIA, CRITERIA, SUMS, GroupView, LayerView, head_scores
from core.pruning.criteria.sparsegpt import cut_and_updated, factors
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


def ranks_by_row(saliency: Tensor) -> Tensor:
    """Place of each entry, as `ranks`, when every row loses its least before any loses its second: int32, same shape.

    So every row loses the same share at any sparsity, to one entry; of those that stand equally in their rows the less
    salient goes first. Source: Sun et al. 2023, arXiv:2306.11695, who compare the weights of one output.
    """
    rows = saliency.flatten(1)
    in_row = rows.argsort(dim=1, stable=True).argsort(dim=1).flatten()
    order = least_first(saliency)
    order = order[in_row[order].argsort(stable=True)]
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
    """Masks of cuts on one model, and the tensors that a plan makes of it.

    Remembers rankings, which all sparsities of a target share, and what is changed besides being cut.

    Args:
        model: dense. Never modified.
        targets: what can be cut in it, as `find_targets` lists it.
        groups: coupled groups among the targets, by name.
        calibration: what criteria may look at besides the weights; by default nothing.
        seed: for criteria that draw random numbers. A plan holds none, so what is measured, applied and verified draws
            by 0.
        keep_bytes: of rankings, 4 bytes per weight, and of changed weights; what was not used for longest goes first.
        kept: of models that lost something before, by granularity and target what stayed, True = kept: entries of the
            weight, or channels of the group. What is gone ranks lowest, whatever the criterion says of it.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[Target],
        groups: Mapping[str, Group] = MappingProxyType({}),
        calibration: Calibration | None = None,
        seed: int = 0,
        keep_bytes: int = 1 << 28,
        kept: Mapping[tuple[str, str], Tensor] = MappingProxyType({}),
    ) -> None:
        self._model = model
        self._kept = kept
        self._calibration = calibration or Calibration(model)
        self._seed = seed
        self._parameters = dict(model.named_parameters(remove_duplicate=False))
        self._targets = {(target.granularity, target.name): target for target in targets}
        self._groups = groups
        self._saliency: dict[tuple[str, str], Tensor] = {}
        self._ranked: OrderedDict[tuple[str, str, Granularity], Tensor] = OrderedDict()
        self._factors: dict[str, tuple[Tensor, Tensor]] = {}
        self._updated: OrderedDict[Cut, tuple[Tensor, Tensor]] = OrderedDict()
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
        if FACTS[cut.criterion].updates:
            return {target.parameter: self._update(cut, target)[0]}
        places = self._ranks(cut.criterion, target, cut.granularity)
        if is_pattern(cut.granularity):
            pattern = parse_pattern(cut.granularity)
            return {target.parameter: pattern_mask(places, pattern, weight.shape, cut.sparsity)}
        return {target.parameter: keep_ranked(places, cut.sparsity)}

    def prepare(self, cuts: Iterable[Cut]) -> dict[Cut, str]:
        """Look at the calibration data for all these cuts at once, once and for all.

        Nothing may hook the model while cells are measured on threads; after this nothing has to.

        Returns:
            Cuts whose criterion has nothing to say of their target, and why: one sentence without a full stop.

        Raises:
            SecateurError: there are no calibration data, or no loss, and a criterion needs them; an unknown target.
        """
        checked: dict[tuple[str, str, Granularity], str | None] = {}
        asked: dict[tuple[str, str, Granularity], list[Cut]] = {}
        wanted: dict[Sum, set[str]] = {}
        for cut in cuts:
            if cut.criterion is not None:
                key = (cut.criterion, cut.target, cut.granularity)
                target = self.target_of(cut)
                asked.setdefault(key, []).append(cut)
                if key not in checked:
                    checked[key] = why_not(cut.criterion, target, cut.granularity)
                    if checked[key] is None and cut.criterion in SUMS:
                        wanted.setdefault(SUMS[cut.criterion], set()).update(self._looked_at(cut.criterion, target))
        self._calibration.gather(wanted)
        for key, reason in checked.items():
            criterion, name, _ = key
            if reason is None and not (criterion in CRITERIA and FACTS[criterion].needs == "weights"):
                try:
                    self._try(criterion, self._targets[looked_up_as(key[2]), name])
                except CannotScoreError as error:
                    checked[key] = str(error)
        return {cut: reason for key, reason in checked.items() if reason is not None for cut in asked[key]}

    def head_scores(self, criterion: str, targets: Sequence[Target]) -> Tensor:
        """How much the heads of one attention matter: float64 (targets,).

        Args:
            criterion: any that scores heads.
            targets: heads, or key/value groups, of one attention.

        Raises:
            SecateurError: as `prepare`; or the criterion has nothing to say of these.
        """
        if reason := why_not(criterion, targets[0]):
            raise CannotScoreError(reason)
        columns = [~head_mask(target)[0] for target in targets]
        view = LayerView(targets[0].layer or "", targets[0].parameter, self._model, self._calibration, self._seed)
        return head_scores(criterion, view, columns)

    def _looked_at(self, criterion: str, target: Target) -> Collection[str]:
        """Parameters of which a criterion needs sums."""
        if target.granularity != "channel":
            return {target.parameter}
        role = "inputs" if criterion == "apoz" else "outputs"
        found = [one.tensor for one in self._groups[target.name].slices if one.role == role]
        return {name for name in found if name in self._parameters and self._parameters[name].ndim >= 2}

    def _try(self, criterion: str, target: Target) -> None:
        with self._lock:
            if target.granularity == "channel":
                self._unit_scores(criterion, target)
            elif FACTS[criterion].updates:
                self._factors_of(target)
            else:
                self._calibration.get(SUMS[criterion], target.parameter)

    def units(self, cut: Cut) -> tuple[Group, list[int]]:
        """A coupled group, and the channels of it that a cut removes, ascending.

        Raises:
            SecateurError: there is no such group, or the cut would leave nothing of it.
        """
        target = self.target_of(cut)
        group = self._groups[target.name]
        assert cut.criterion is not None
        assert cut.sparsity is not None
        with self._lock:
            return group, group.removed(self._unit_scores(cut.criterion, target), cut.sparsity, cut.align)

    def _unit_scores(self, criterion: str, target: Target) -> Tensor:
        key = (criterion, target.name)
        if key not in self._saliency:
            if reason := why_not(criterion, target):
                raise CannotScoreError(f"{reason}; choose another criterion, or leave it out")
            view = GroupView(self._groups[target.name], self._model, self._calibration, self._seed)
            self._saliency[key] = self._gone_last(CHANNEL_CRITERIA[criterion](view), "channel", target)
        return self._saliency[key]

    def _ranks(self, criterion: str, target: Target, granularity: Granularity) -> Tensor:
        self._check(criterion, target, granularity)
        pattern = parse_pattern(granularity) if is_pattern(granularity) else None
        key = (criterion, target.name, granularity)
        with self._lock:
            places = self._ranked.pop(key, None)
            if places is None:
                view = LayerView(target.name, target.parameter, self._model, self._calibration, self._seed)
                saliency = self._gone_last(CRITERIA[criterion](view), granularity, target)
                whole = ranks_by_row if FACTS[criterion].by_row else ranks
                places = whole(saliency) if pattern is None else pattern_places(saliency, pattern)
            self._ranked[key] = places
            while len(self._ranked) > 1 and sum(p.nbytes for p in self._ranked.values()) > self._keep_bytes:
                self._ranked.popitem(last=False)
            return places

    def _gone_last(self, saliency: Tensor, granularity: Granularity, target: Target) -> Tensor:
        kept = self._kept.get((granularity, target.name))
        return saliency if kept is None else torch.where(kept.to(saliency.device), saliency, -torch.inf)

    def _check(self, criterion: str, target: Target, granularity: Granularity) -> None:
        if is_pattern(granularity) and (reason := parse_pattern(granularity).why_not(target)):
            raise SecateurError(f"{reason}; choose another pattern, or leave {target.name} out")
        if reason := why_not(criterion, target, granularity):
            raise CannotScoreError(f"{reason}; choose another criterion, or leave {target.name} out")

    def _update(self, cut: Cut, target: Target) -> tuple[Tensor, Tensor]:
        """Mask and new weight of a cut whose criterion changes what stays."""
        assert cut.criterion is not None
        assert cut.sparsity is not None
        self._check(cut.criterion, target, cut.granularity)
        pattern = parse_pattern(cut.granularity) if is_pattern(cut.granularity) else None
        with self._lock:
            found = self._updated.pop(cut, None)
            made_of = self._factors_of(target) if found is None else None
        if made_of is not None:  # outside of the lock: it takes long, and cells of other targets need not wait
            weight = self._parameters[target.parameter].detach()
            found = cut_and_updated(weight, *made_of, cut.sparsity, pattern)
        assert found is not None
        with self._lock:
            self._updated[cut] = found
            while len(self._updated) > 1 and sum(w.nbytes for _, w in self._updated.values()) > self._keep_bytes:
                self._updated.popitem(last=False)
        return found

    def _factors_of(self, target: Target) -> tuple[Tensor, Tensor]:
        if target.parameter not in self._factors:
            self._factors[target.parameter] = factors(self._calibration.get("hessians", target.parameter))
        return self._factors[target.parameter]

    def cut_tensors(self, plan: SparsityPlan, reading: bool = False) -> dict[str, Tensor]:
        """What a plan makes of the dense tensors that it touches, by state-dict name: exact +0 where an entry goes.

        The one place that knows: a criterion may change what stays. Where cuts meet, an entry stays only if all keep
        it.

        Args:
            plan: without blocks, see `without_blocks`.
            reading: as for `masks_of`.

        Raises:
            SecateurError: as `masks`; or two cuts would each change the weights that stay in one tensor.
        """
        masks = self.masks(plan, reading)
        values = {name: self._parameters[name].detach() for name in masks}
        changed: dict[str, Cut] = {}
        for cut in plan.cuts:
            if cut.criterion is not None and FACTS[cut.criterion].updates:
                target = self.target_of(cut)
                if target.parameter in changed:
                    raise SecateurError(
                        f"the plan cuts {cut.target} twice by {cut.criterion}, as {cut.granularity} and as "
                        f"{changed[target.parameter].granularity}, and each changes the weights that stay; keep one"
                    )
                changed[target.parameter] = cut
                values[target.parameter] = self._update(cut, target)[1]
        return {name: cut_weight(values[name], mask) for name, mask in masks.items()}

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


def put(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Replace parameters for good: of a copy that belongs to the caller, never of a workload's model.

    Args:
        model: whose parameters point at tensors of the same devices afterwards.
        tensors: by state-dict name, as `MaskMaker.cut_tensors` gives them; copied.
    """
    for name, tensor in tensors.items():
        parameter = model.get_parameter(name)
        parameter.data = tensor.detach().to(parameter.device, copy=True)


def pruned_copy(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model with some tensors cut for good, as `MaskMaker.cut_tensors` gives them; `model` stays."""
    clone = copy.deepcopy(model)
    put(clone, tensors)
    return clone
