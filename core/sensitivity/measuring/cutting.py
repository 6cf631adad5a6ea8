"""What of a model can be cut, what a plan makes of its tensors, and what its evidence depends on besides."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.errors import SecateurError
from core.plans.criteria import FACTS
from core.plans.plan import Cut, SparsityPlan
from core.pruning.coupling.head_traces import traced_targets
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker, checked_repairs
from core.pruning.structure import EXAMPLES, Structure, find_structure
from core.sensitivity.evidence import Conditions
from core.workload.target import Target, Uncuttable, skip_name
from core.workload.workload import Workload

RANKINGS = 1 << 28
NOTHING = torch.empty(0)  # in place of a tensor where a block is skipped


class Cutting:
    """The cuts of one workload's model.

    Args:
        workload: its model is never changed.
        device: where the model runs.
        check: called while calibration data are looked at; raises to stop.

    Attributes:
        keep_bytes: of rankings; set before the first of them is asked for.
    """

    keep_bytes = RANKINGS

    def __init__(self, workload: Workload, device: torch.device, check: Callable[[], None]) -> None:
        self._workload, self._device = workload, device
        self._calibration = Calibration.of(workload, check)
        self._calibration_keys: dict[bool, str] = {}
        self._structure: Structure | None = None
        self._known: tuple[tuple[Target, ...], MaskMaker] | None = None
        self._uncuttable: tuple[Uncuttable, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """What can be cut; of heads those that were traced. Coupled groups are among them once they were looked for."""
        return self._found()[0]

    def everything(self) -> tuple[tuple[Target, ...], tuple[Uncuttable, ...], bool]:
        """What can be cut, what cannot, and whether coupled groups were looked for."""
        return self.targets, self._uncuttable, self._structure is not None

    @property
    def maker(self) -> MaskMaker:
        """Of masks."""
        return self._found()[1]

    def _found(self) -> tuple[tuple[Target, ...], MaskMaker]:
        if self._known is None:
            model = self._workload.model
            targets, self._uncuttable = traced_targets(
                model, tuple(tensor[:EXAMPLES] for tensor in self._workload.evaluation.inputs)
            )
            maker = MaskMaker(model, targets, calibration=self._calibration, keep_bytes=self.keep_bytes)
            self._known = targets, maker
        return self._known

    def structure(self) -> Structure:
        """Coupled groups and heads as well; from now on they are among the targets. Finding them takes a second."""
        if self._structure is None:
            few = tuple(tensor[:EXAMPLES].clone().to(self._device) for tensor in self._workload.evaluation.inputs)
            self._structure = found = find_structure(self._workload.model, few)
            model, keep = self._workload.model, self.keep_bytes
            maker = MaskMaker(model, found.targets, found.groups, self._calibration, keep_bytes=keep)
            self._known, self._uncuttable = (found.targets, maker), found.uncuttable
        return self._structure

    def prepare(self, plan: SparsityPlan) -> None:
        """Find the coupled groups if a plan cuts any, and look at calibration data if its criteria or its repair do.

        Raises:
            SecateurError: an unknown target, a criterion that has nothing to say of one, or a repair that can do
                nothing for any line.
        """
        for cut, reason in self.prepare_cuts(plan.cuts).items():
            raise SecateurError(f"{reason}; choose another criterion for {cut.target}, or leave it out of the plan")
        self.unrepaired(plan)

    def unrepaired(self, plan: SparsityPlan) -> dict[Cut, str]:
        """Lines that stay raw though the plan has a repair, and why; as `checked_repairs`."""
        return checked_repairs(self.maker, plan)

    def prepare_cuts(self, cuts: Sequence[Cut], repair: str | None = None) -> dict[Cut, str]:
        """As `prepare`, for cuts that may be measured apart: returns those of which nothing can be said, and why."""
        if any(cut.granularity == "channel" for cut in cuts):
            self.structure()
        return self.maker.prepare(cuts, repair)

    def key(self, plan: SparsityPlan, conditions: Conditions) -> str:
        """Under which the evidence of a plan is kept.

        Of coupled groups also by what they consist of, of criteria that look at calibration data by what they see.
        """
        names = [cut.target for cut in plan.cuts if cut.granularity == "channel"]
        groups = self.structure().groups if names else {}
        coupled = [groups[name].fingerprint() for name in names if name in groups]
        needs = {FACTS[cut.criterion].needs for cut in plan.cuts if cut.criterion is not None} - {"weights"}
        looked_at = [self._looked_at("loss" in needs)] if needs else []
        repaired = [self.maker.repairer.fingerprint()] if plan.repair and plan.cuts else []
        return conditions.cell_key(plan, coupled, looked_at + repaired)

    def _looked_at(self, with_loss: bool) -> str:
        if with_loss not in self._calibration_keys:
            self._calibration_keys[with_loss] = self._calibration.fingerprint(with_loss)
        return self._calibration_keys[with_loss]

    def changed_by(self, plan: SparsityPlan) -> frozenset[str]:
        """State-dict names of the tensors that a plan changes: what `cut` gives."""
        return self.maker.parameters(plan)

    def cut(self, plan: SparsityPlan) -> dict[str, Tensor]:
        """The tensors that a plan changes, all of them: that those which read a channel decide alone what its cut does
        to the outputs is known of some examples only, and a gate may open for others."""
        skipped = {skip_name(cut.target): NOTHING for cut in plan.cuts if cut.granularity == "block"}
        return self.maker.cut_tensors(plan, skipping=True) | skipped
