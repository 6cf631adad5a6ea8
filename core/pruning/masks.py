"""Masks: from a plan to bool tensors, True = kept, and to cut tensors."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.errors import SecateurError, unknown_name_hint
from core.plans.criteria import FACTS, why_not
from core.plans.patterns import is_pattern, looked_up_as, parse_pattern
from core.plans.plan import HEADS, Cut, SparsityPlan
from core.pruning.coupling.groups import CannotCutError, Group, slice_mask
from core.pruning.criteria.calibration import Calibration, CannotScoreError
from core.pruning.criteria.calibration_sums import Sum
from core.pruning.criteria.registry import CRITERIA, SUMS, head_scores
from core.pruning.criteria.views import LayerView
from core.pruning.patterns import pattern_mask
from core.pruning.ranking import keep_ranked
from core.pruning.repair.repairer import Repairer
from core.pruning.scored import ScoredTargets
from core.pruning.wearing import cut_weight
from core.workload.target import Granularity, Target


def head_mask(target: Target, device: torch.device | str = "cpu") -> Tensor:
    """Mask of an output projection's weight (n_out, n_in), or stored transposed, without what reads one head.

    Zeroing them equals zeroing the head's output before the projection, for every attention whose heads are
    joined in order; nothing has to be hooked. The ablation is that of Michel et al. 2019, arXiv:1905.10650.
    """
    n_out, n_in = target.oriented_shape
    width = target.n_weights // n_out  # of a key/value group: of all its query heads, which stand side by side
    assert target.head is not None
    mask = torch.ones(n_out, n_in, dtype=torch.bool, device=device)
    mask[:, target.head * width : (target.head + 1) * width] = False
    return mask.T.contiguous() if target.layout == "transposed" else mask


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
        keep_bytes: of rankings, 4 bytes per weight, and of changed weights, four times as many of repaired ones; what
            was not used for longest goes first.
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
        self._calibration = calibration or Calibration(model)
        self._seed = seed
        self._parameters = dict(model.named_parameters(remove_duplicate=False))
        self._targets = {(target.granularity, target.name): target for target in targets}
        self._groups = groups
        self._scored = ScoredTargets(model, groups, self._calibration, seed, keep_bytes, kept)
        self.repairer = Repairer(model, groups, self._calibration, self.target_of, self._masked, 4 * keep_bytes)

    @property
    def tensor_names(self) -> Collection[str]:
        """State-dict names of the parameters that may be masked, in network order."""
        return self._parameters.keys()

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
        """State-dict names of the tensors that a plan changes."""
        masked = self._masked(plan.cuts)
        return masked | self.repairer.names(plan) if plan.repair else masked

    def _masked(self, cuts: Iterable[Cut]) -> frozenset[str]:
        names: set[str] = set()
        for cut in cuts:
            target = self.target_of(cut)
            if cut.granularity == "channel":
                slices = self._groups[target.name].slices
                names.update(one.tensor for one in slices if one.tensor in self._parameters)
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
            return {target.parameter: self._scored.updated(cut, target)[0]}
        places = self._scored.places(cut.criterion, target, cut.granularity)
        if is_pattern(cut.granularity):
            mask = pattern_mask(places, parse_pattern(cut.granularity), torch.Size(target.oriented_shape), cut.sparsity)
            return {target.parameter: mask.T.contiguous() if target.layout == "transposed" else mask}
        return {target.parameter: keep_ranked(places, cut.sparsity)}

    def prepare(self, cuts: Iterable[Cut], repair: str | None = None) -> dict[Cut, str]:
        """Look at the calibration data for all these cuts at once, once and for all.

        Nothing may hook the model while cells are measured on threads; after this nothing has to.

        Args:
            cuts: each of a plan of its own, or all of one.
            repair: of those plans.

        Returns:
            Cuts whose criterion has nothing to say of their target, or which the repair can do nothing for, and why:
            one sentence without a full stop.

        Raises:
            SecateurError: there are no calibration data, or no loss, and a criterion or the repair needs them; an
                unknown target.
        """
        cuts = list(cuts)
        raw = self._prepare_raw(cuts)
        if repair is None:
            return raw
        refused = self.repairer.prepare((cut for cut in cuts if cut not in raw), repair)
        return raw | {cut: f"no repair by {repair}: {reason}" for cut, reason in refused.items()}

    def _prepare_raw(self, cuts: Iterable[Cut]) -> dict[Cut, str]:
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
                    self._scored.check(criterion, self._targets[looked_up_as(key[2]), name])
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
        columns = [~(head_mask(t).T if t.layout == "transposed" else head_mask(t))[0] for t in targets]
        view = LayerView(targets[0].layer or "", targets[0].parameter, self._model, self._calibration, self._seed)
        return head_scores(criterion, view, columns)

    def unit_scores(self, criterion: str, target: Target) -> Tensor:
        """How much each channel of a coupled group matters, as `ScoredTargets.of_units`; (units,)."""
        return self._scored.of_units(criterion, target)

    def _looked_at(self, criterion: str, target: Target) -> Collection[str]:
        """Parameters of which a criterion needs sums."""
        if target.granularity != "channel":
            return {target.parameter}
        role = "inputs" if criterion == "apoz" else "outputs"
        found = [one.tensor for one in self._groups[target.name].slices if one.role == role]
        return {name for name in found if name in self._parameters and self._parameters[name].ndim >= 2}

    def units(self, cut: Cut) -> tuple[Group, list[int]]:
        """A coupled group, and the channels of it that a cut removes, ascending.

        Raises:
            SecateurError: there is no such group, or the cut would leave nothing of it.
        """
        target = self.target_of(cut)
        group = self._groups[target.name]
        assert cut.criterion is not None
        assert cut.sparsity is not None
        return group, group.removed(self._scored.of_units(cut.criterion, target), cut.sparsity, cut.align)

    def cut_tensors(self, plan: SparsityPlan, reading: bool = False, skipping: bool = False) -> dict[str, Tensor]:
        """What a plan makes of the dense tensors that it touches, by state-dict name: exact +0 where an entry goes.

        The one place that knows: a criterion may change what stays, and a repair as well, biases and the statistics of
        batch normalisations among it. Where cuts meet, an entry stays only if all keep it.

        Args:
            plan: without blocks, unless `skipping`.
            reading: as for `masks_of`.
            skipping: whoever asks skips the plan's blocks himself.

        Raises:
            SecateurError: as `masks`; or two cuts would each change the weights that stay in one tensor.
        """
        masks = self.masks(without_blocks(plan) if skipping else plan, reading)
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
                values[target.parameter] = self._scored.updated(cut, target)[1]
        if plan.repair is None:
            return {name: cut_weight(values[name], mask) for name, mask in masks.items()}
        values |= self.repairer.repaired(plan, masks, values)
        found = {name: cut_weight(v, masks[name]) if name in masks else v for name, v in values.items()}
        return found | self.repairer.statistics(plan, found)

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


def checked_repairs(maker: MaskMaker, plan: SparsityPlan) -> dict[Cut, str]:
    """Lines of a plan with a repair that stay raw, and why: one sentence without a full stop; none without a repair.

    Raises:
        SecateurError: there are no calibration data, or the repair can do nothing for any line.
    """
    if plan.repair is None or not plan.cuts:
        return {}
    left = maker.repairer.prepare(plan.cuts, plan.repair)
    if len(left) == len(plan.cuts):
        cut, reason = next(iter(left.items()))
        raise SecateurError(
            f"the repair {plan.repair} can do nothing for any cut of the plan; of {cut.target}: {reason}; choose "
            "another repair, or leave it out"
        )
    return left


def without_blocks(plan: SparsityPlan) -> SparsityPlan:
    """The part of a plan that masks can do; blocks are skipped."""
    return replace(plan, cuts=tuple(cut for cut in plan.cuts if cut.granularity != "block"))
