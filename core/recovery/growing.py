"""Masks that only grow: what a plan removes after each round, chosen anew from the weights as they are by then."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.criteria import FACTS
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import HEADS, Cut, SparsityPlan
from core.plans.schedules import Schedule
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.sensitivity.measuring.measurement import Measurement
from core.workload.workload import Workload


def plans_of_rounds(plan: SparsityPlan, schedule: Schedule, heads: Sequence[Cut] = ()) -> tuple[SparsityPlan, ...]:
    """What is removed after each round, so that every target reaches its own sparsity at the end.

    Args:
        plan: the end.
        schedule: the way; its own final sparsity is not looked at.
        heads: the plan's heads and key/value groups in the order in which they shall go; what goes as a whole goes one
            after the other. A pattern of fixed sparsity is there from the first round.

    Raises:
        SecateurError: the plan is empty, skips a block, or moves weights by its criterion.
    """
    if not plan.cuts:
        raise SecateurError("the plan cuts nothing, so there is nothing to recover from; give some line a sparsity")
    check_maskable(plan)
    for cut in plan.cuts:
        if cut.criterion is not None and FACTS[cut.criterion].updates:
            raise SecateurError(
                f"{cut.criterion} of {cut.target} changes the weights that stay, which training does anyway; "
                "choose wanda or magnitude"
            )
    named = {cut.target: cut for cut in heads}
    rounds: list[list[Cut]] = [[] for _ in range(schedule.num_iterations)]
    for cut in plan.cuts:
        if cut.granularity in HEADS:
            continue
        if is_pattern(cut.granularity) and parse_pattern(cut.granularity).sparsity is not None:
            for cuts in rounds:
                cuts.append(cut)
            continue
        assert cut.sparsity is not None
        for cuts, sparsity in zip(rounds, schedule.sparsities(cut.sparsity), strict=True):
            cuts.append(replace(cut, sparsity=sparsity))
    for cuts, share in zip(rounds, schedule.shares(), strict=True):
        cuts.extend(list(named.values())[: round(share * len(named))])
    return tuple(SparsityPlan(tuple(cuts), plan.workload) for cuts in rounds)


def check_maskable(plan: SparsityPlan) -> None:
    """Raises `SecateurError` if training cannot hold some cut of a plan."""
    for cut in plan.cuts:
        if cut.granularity == "block":
            raise SecateurError(
                f"no mask makes block {cut.target} pass its input on, so it cannot be held in training; leave it out"
            )


class GrowingMasks:
    """Masks of a model that is trained between rounds.

    Every round ranks by the weights as they are then, and what is gone ranks lowest, so a mask contains the next. Zero
    weights alone would not do: `random` and `fpgm` do not look whether a weight is zero.

    Args:
        measurement: entered; targets and coupled groups of the dense model, and what a criterion may look at.
        with_channels: whether coupled groups will be cut.
    """

    def __init__(self, measurement: Measurement, with_channels: bool) -> None:
        self._measurement = measurement
        self._groups = measurement.structure().groups if with_channels else {}
        self._gone: dict[tuple[str, str], Tensor] = {}
        self._masks: dict[str, Tensor] = {}

    def heads_least_first(self, model: nn.Module, plan: SparsityPlan) -> tuple[Cut, ...]:
        """The plan's heads and key/value groups, by the magnitude of what reads them, per attention's largest.

        Of those that are gone nothing is read any more, so they stand first.
        """
        maker = self._maker(model)
        cuts = [cut for cut in plan.cuts if cut.granularity in HEADS]
        scored = [(float(maker.head_scores("magnitude", [maker.target_of(cut)])[0]), cut) for cut in cuts]
        return tuple(cut for _, cut in sorted(scored, key=lambda found: found[0]))

    def grown(self, model: nn.Module, plan: SparsityPlan) -> dict[str, Tensor]:
        """Masks by state-dict name after a round, from the model's weights as they are.

        Args:
            model: of the dense model's structure; only read.
            plan: of this round, no cut less sparse than in the one before.
        """
        maker = self._maker(model)
        maker.prepare(plan.cuts)
        masks = maker.masks(plan)
        for cut in plan.cuts:
            if cut.granularity == "channel":
                group, units = maker.units(cut)
                kept = torch.ones(len(group.parts), dtype=torch.bool)
                kept[units] = False
                self._gone["channel", cut.target] = kept
            elif cut.granularity not in HEADS:
                self._gone[cut.granularity, cut.target] = next(iter(maker.masks_of(cut).values()))
        # what ranks lowest goes first, so this takes nothing away that the plan keeps; it is the promise, not the means
        for name, before in self._masks.items():
            masks[name] = masks[name] & before.to(masks[name].device) if name in masks else before
        self._masks = masks
        return masks

    def resume(self, masks: dict[str, Tensor], gone: dict[tuple[str, str], Tensor]) -> None:
        """Go on from the masks of an earlier round."""
        self._masks, self._gone = dict(masks), dict(gone)

    @property
    def gone(self) -> dict[tuple[str, str], Tensor]:
        """By granularity and target, what of it stays: weights, or the channels of a group."""
        return dict(self._gone)

    def _maker(self, model: nn.Module) -> MaskMaker:
        workload: Workload = replace(self._measurement.workload, model=model)
        return MaskMaker(
            model,
            self._measurement.targets,
            self._groups,
            Calibration.of(workload, self._measurement.check),
            kept=self._gone,
        )
