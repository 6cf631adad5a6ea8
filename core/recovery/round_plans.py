"""What each round of a recovery removes: the way to a plan, or to one sparsity that is spread over the layers."""

from collections.abc import Mapping

from torch import Tensor, nn

from core.plans.plan import Cut, SparsityPlan
from core.pruning.allocations import ALLOCATIONS
from core.recovery.growing import GrowingMasks, plans_of_rounds
from core.recovery.request import RecoverRequest
from core.sensitivity.measuring.measurement import Measurement


class RoundPlans:
    """Plans of the rounds, each made when it is that round's turn.

    Args:
        measurement: entered; the targets of the dense model.
        request: the schedule, and what to prune by.
        whole: the plan at the end; `None` if one sparsity is spread.
        growing: what is gone so far.
    """

    def __init__(
        self, measurement: Measurement, request: RecoverRequest, whole: SparsityPlan | None, growing: GrowingMasks
    ) -> None:
        self._measurement, self._request, self._growing = measurement, request, growing
        self.whole = whole

    def of_round(self, number: int, model: nn.Module, masks: Mapping[str, Tensor]) -> SparsityPlan:
        """What is gone after a round; a spread, and which heads, are chosen anew by the weights as they are by then.

        Args:
            number: of the round, counted from 1.
            model: of the dense model's structure; only read.
            masks: of the round before by state-dict name, True = kept.

        Raises:
            SecateurError: the plan cannot be held in training.
        """
        if self.whole is not None:
            heads = self._growing.heads_least_first(model, self.whole)
            return plans_of_rounds(self.whole, self._request.schedule, heads)[number - 1]
        targets = [target for target in self._measurement.targets if target.granularity == "weight"]
        removed = round(self._request.schedule.sparsities()[number - 1] * sum(target.n_weights for target in targets))
        counts = ALLOCATIONS[self._request.spread](model, targets)(removed)
        gone = {
            target.name: int((~masks[target.parameter]).sum()) if target.parameter in masks else 0 for target in targets
        }
        cuts = []
        for target in targets:  # zeros rank lowest, but a layer may have been given its share to the last weight
            n = max(counts[target.name], gone[target.name])
            cuts.append(Cut(target.name, "weight", n / target.n_weights, self._request.criterion))
        return SparsityPlan(tuple(cuts))

    @property
    def planned(self) -> tuple[float, ...]:
        """Share of the weights that can be cut which is to be gone after every round; of a plan, of all it removes."""
        schedule = self._request.schedule
        if self.whole is None:
            return schedule.sparsities()
        final = self.share_gone(self._measurement.maker.masks(self.whole))
        return tuple(share * final for share in schedule.shares())

    def share_gone(self, masks: Mapping[str, Tensor]) -> float:
        """Share of the weights that can be cut which masks remove, in [0, 1], each counted once."""
        targets = {target.parameter: target for target in self._measurement.targets if target.granularity == "weight"}
        n = sum(target.n_weights for target in targets.values())
        gone = sum(int((~masks[name]).sum()) for name in targets if name in masks)
        return gone / n if n else 0.0
