"""What criteria say of a model's targets: scores of channels, ranks of weights, weights that make up for others."""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import TypeVar

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.criteria import FACTS, why_not
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import Cut
from core.pruning.coupling.groups import Group
from core.pruning.criteria.calibration import Calibration, CannotScoreError
from core.pruning.criteria.registry import CHANNEL_CRITERIA, CRITERIA, SUMS
from core.pruning.criteria.sparsegpt import cut_and_updated, factors
from core.pruning.criteria.views import GroupView, LayerView
from core.pruning.patterns import pattern_places
from core.pruning.ranking import ranks, ranks_by_row
from core.workload.target import Granularity, Target

Key = TypeVar("Key")
Value = TypeVar("Value")


class ScoredTargets:
    """Scores of one model's targets, remembered: all sparsities of a target share them.

    Args:
        model: dense. Never modified.
        groups, calibration, seed, keep_bytes, kept: as of `MaskMaker`.
    """

    def __init__(
        self,
        model: nn.Module,
        groups: Mapping[str, Group],
        calibration: Calibration,
        seed: int,
        keep_bytes: int,
        kept: Mapping[tuple[str, str], Tensor],
    ) -> None:
        self._model, self._groups, self._calibration, self._seed = model, groups, calibration, seed
        self._keep_bytes, self._kept = keep_bytes, kept
        self._saliency: dict[tuple[str, str], Tensor] = {}
        self._factors: dict[str, tuple[Tensor, Tensor]] = {}
        self._ranked: dict[tuple[str, str, Granularity], Tensor] = {}
        self._updated: dict[Cut, tuple[Tensor, Tensor]] = {}
        self._lock = Lock()  # cells are measured by several threads

    def check(self, criterion: str, target: Target) -> None:
        """Look at the calibration data of a target, once and for all.

        Raises:
            CannotScoreError: the criterion has nothing to say of it.
        """
        if target.granularity == "channel":
            self.of_units(criterion, target)
            return
        with self._lock:
            if FACTS[criterion].updates:
                self._factors_of(target)
            else:
                self._calibration.get(SUMS[criterion], target.parameter)

    def of_units(self, criterion: str, target: Target) -> Tensor:
        """How much each channel of a coupled group matters: (units,)."""
        key = (criterion, target.name)
        with self._lock:
            if key not in self._saliency:
                if reason := why_not(criterion, target):
                    raise CannotScoreError(f"{reason}; choose another criterion, or leave it out")
                view = GroupView(self._groups[target.name], self._model, self._calibration, self._seed)
                self._saliency[key] = self._gone_last(CHANNEL_CRITERIA[criterion](view), "channel", target)
            return self._saliency[key]

    def places(self, criterion: str, target: Target, granularity: Granularity) -> Tensor:
        """Rank of each weight, or of what a pattern ranks.

        Raises:
            SecateurError: the pattern does not fit, or the criterion has nothing to say of the target.
        """
        _check(criterion, target, granularity)
        pattern = parse_pattern(granularity) if is_pattern(granularity) else None
        key = (criterion, target.name, granularity)
        with self._lock:
            places = self._ranked.pop(key, None)
            if places is None:
                view = LayerView(target.name, target.parameter, self._model, self._calibration, self._seed)
                saliency = self._gone_last(CRITERIA[criterion](view), granularity, target)
                turned = target.layout == "transposed"
                along = saliency.T if turned else saliency  # outputs first, for what looks along the inputs
                if pattern is not None:
                    places = pattern_places(along, pattern)
                elif FACTS[criterion].by_row:
                    places = ranks_by_row(along)
                    places = places.T.contiguous() if turned else places
                else:
                    places = ranks(saliency)
            self._ranked[key] = places
            forget_oldest(self._ranked, self._keep_bytes, lambda places: places.nbytes)
            return places

    def updated(self, cut: Cut, target: Target) -> tuple[Tensor, Tensor]:
        """Mask and new weight of a cut whose criterion changes what stays.

        Raises:
            SecateurError: as `places`.
        """
        assert cut.criterion is not None
        assert cut.sparsity is not None
        _check(cut.criterion, target, cut.granularity)
        pattern = parse_pattern(cut.granularity) if is_pattern(cut.granularity) else None
        with self._lock:
            found = self._updated.pop(cut, None)
            made_of = self._factors_of(target) if found is None else None
        if made_of is not None:  # outside of the lock: it takes long, and cells of other targets need not wait
            weight = self._model.get_parameter(target.parameter).detach()
            turned = target.layout == "transposed"
            found = cut_and_updated(weight.T if turned else weight, *made_of, cut.sparsity, pattern)
            found = (found[0].T.contiguous(), found[1].T.contiguous()) if turned else found
        assert found is not None
        with self._lock:
            self._updated[cut] = found
            forget_oldest(self._updated, self._keep_bytes, lambda found: found[1].nbytes)
        return found

    def _factors_of(self, target: Target) -> tuple[Tensor, Tensor]:
        if target.parameter not in self._factors:
            self._factors[target.parameter] = factors(self._calibration.get("hessians", target.parameter))
        return self._factors[target.parameter]

    def _gone_last(self, saliency: Tensor, granularity: Granularity, target: Target) -> Tensor:
        kept = self._kept.get((granularity, target.name))
        return saliency if kept is None else torch.where(kept.to(saliency.device), saliency, -torch.inf)


def _check(criterion: str, target: Target, granularity: Granularity) -> None:
    if is_pattern(granularity) and (reason := parse_pattern(granularity).why_not(target)):
        raise SecateurError(f"{reason}; choose another pattern, or leave {target.name} out")
    if reason := why_not(criterion, target, granularity):
        raise CannotScoreError(f"{reason}; choose another criterion, or leave {target.name} out")


def forget_oldest(kept: dict[Key, Value], keep_bytes: int, size: Callable[[Value], int]) -> None:
    """What was not used for longest goes first, as long as all take too many bytes; the newest stays."""
    while len(kept) > 1 and sum(map(size, kept.values())) > keep_bytes:
        del kept[next(iter(kept))]
