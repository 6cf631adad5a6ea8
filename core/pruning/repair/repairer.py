"""What a plan's repair makes of the dense tensors, and which of its lines it can do nothing for."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import RLock

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.pruning.coupling.groups import Group
from core.pruning.criteria.calibration import Calibration, CannotScoreError
from core.pruning.criteria.calibration_sums import Sum
from core.pruning.criteria.one_thread import one_thread
from core.pruning.repair.batch_norms import BATCH, N_EXAMPLES, BatchNorms
from core.pruning.repair.least_squares import (
    made_up_for,
    means_of,
    products_of,
    shares_columns,
    swept_factors,
)
from core.pruning.repair.readers import Reader, Readers
from core.pruning.scored import forget_oldest
from core.workload.layers.linear import oriented
from core.workload.target import Target

VERSION = 1  # of what repairs make of a plan; raise it when that changes
SOLVED: Mapping[str, Sum] = {"bias": "means", "least-squares": "moments", "full": "moments"}
WITH_NORMS = ("batchnorm", "full")


class Repairer:
    """Repairs of plans on one model. What was computed is remembered, as batches ask for it one after the other.

    Args:
        model: dense. Never modified.
        groups: coupled groups by name.
        calibration: what repairs look at.
        target_of: the target that a cut names.
        touched: state-dict names of the tensors that cuts mask.
        keep_bytes: of repaired tensors, and as many again of what they are made from.
    """

    def __init__(
        self,
        model: nn.Module,
        groups: Mapping[str, Group],
        calibration: Calibration,
        target_of: Callable[[Cut], Target],
        touched: Callable[[Sequence[Cut]], frozenset[str]],
        keep_bytes: int,
    ) -> None:
        self._model, self._calibration, self._target_of, self._touched = model, calibration, target_of, touched
        self._readers = Readers(model, groups, calibration)
        self._norms = BatchNorms(model, calibration)
        self._keep_bytes = keep_bytes
        self._lock = RLock()  # cells are measured by several threads, and there is one copy to run
        self._reasons: dict[tuple[str, str, str, str | None], str | None] = {}
        self._makers_up: dict[tuple[str, str, str, str | None], tuple[Reader, ...] | str] = {}
        self._products: dict[tuple[str, bool], Tensor] = {}
        self._factors: dict[tuple[str, bool], Tensor] = {}
        self._solved: dict[SparsityPlan, dict[str, Tensor]] = {}
        self._statistics: dict[SparsityPlan, dict[str, Tensor]] = {}

    def fingerprint(self) -> str:
        """Hash of what repairs look at besides the weights, and of how."""
        batch = min(BATCH, self._calibration.usual_batch)
        made = f"{VERSION} {N_EXAMPLES} {batch} {self._calibration.fingerprint(with_loss=False)}"
        return hashlib.sha256(made.encode()).hexdigest()

    def prepare(self, cuts: Iterable[Cut], repair: str) -> dict[Cut, str]:
        """Look at the calibration data for all these cuts at once.

        Returns:
            Cuts that the repair can do nothing for, and why: one sentence without a full stop.

        Raises:
            SecateurError: there are no calibration data.
        """
        if self._calibration.examples is None:
            raise SecateurError(
                f"{self._calibration.name} has no calibration data, which repairs look at; give its Workload "
                "calibration=Examples(...) that are no evaluation examples, or leave the repair out"
            )
        cuts = list(cuts)
        if repair in WITH_NORMS:
            with self._lock:
                self._norms.ready()
        if repair in SOLVED:
            wanted: set[str] = set()
            for cut in cuts:
                found = self._readers.of(cut, self._target_of(cut))
                if not isinstance(found, str):
                    wanted.update(reader.weight for reader in found)
            self._calibration.gather({SOLVED[repair]: wanted})
        return {cut: reason for cut in cuts if (reason := self.why_not(cut, repair)) is not None}

    def why_not(self, cut: Cut, repair: str) -> str | None:
        """Why a repair can do nothing for a cut, without a full stop; `None` if it can."""
        key = (repair, cut.granularity, cut.target, cut.criterion)
        with self._lock:
            if key not in self._reasons:
                readers = self._usable(cut, repair) if repair in SOLVED else None
                reason = readers if isinstance(readers, str) else None
                if repair == "batchnorm" or (repair == "full" and reason is not None):
                    norms = self._affected([cut])
                    reason = (reason or norms) if isinstance(norms, str) else None
                self._reasons[key] = reason
            return self._reasons[key]

    def _usable(self, cut: Cut, repair: str) -> tuple[Reader, ...] | str:
        """The layers that make up for a cut; or why none does."""
        key = (SOLVED[repair], cut.granularity, cut.target, cut.criterion)
        with self._lock:
            if key not in self._makers_up:
                self._makers_up[key] = self._looked_up(cut, repair)
            return self._makers_up[key]

    def _looked_up(self, cut: Cut, repair: str) -> tuple[Reader, ...] | str:
        found = self._readers.of(cut, self._target_of(cut))
        for reader in found if not isinstance(found, str) else ():
            if repair == "bias" and reader.bias is None:
                return f"{reader.weight} has no bias of its own that could take over what is lost on average"
            try:
                self._calibration.get(SOLVED[repair], reader.weight)
            except CannotScoreError as error:
                return str(error)
        return found

    def _affected(self, cuts: Sequence[Cut]) -> tuple[str, ...] | str:
        blocks = tuple(cut.target for cut in cuts if cut.granularity == "block")
        others = [cut for cut in cuts if cut.granularity != "block"]
        with self._lock:
            return self._norms.affected(self._touched(others), blocks)

    def _readers_of(self, plan: SparsityPlan) -> tuple[Reader, ...]:
        """The layers that make up for the lines which this repair can do something for."""
        if plan.repair is None or plan.repair not in SOLVED:
            return ()
        found: dict[Reader, None] = {}
        for cut in plan.cuts:
            readers = self._usable(cut, plan.repair)
            if not isinstance(readers, str):
                found.update(dict.fromkeys(readers))
        return tuple(found)

    def names(self, plan: SparsityPlan) -> frozenset[str]:
        """State-dict names of the tensors that the plan's repair may change."""
        readers = self._readers_of(plan)
        weights = {reader.weight for reader in readers if plan.repair != "bias"}
        biases = {reader.bias for reader in readers if reader.bias is not None}
        return frozenset(weights | biases | {name for path in self._paths(plan) for name in _of_norm(path)})

    def _paths(self, plan: SparsityPlan) -> tuple[str, ...]:
        found = self._affected(plan.cuts) if plan.repair in WITH_NORMS and plan.cuts else ()
        return () if isinstance(found, str) else found

    def repaired(
        self, plan: SparsityPlan, masks: Mapping[str, Tensor], values: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Weights and biases that make up for a plan, before its masks are put on: all of `names`, but statistics.

        Args:
            plan: with a repair.
            masks: of the tensors that the plan touches.
            values: those tensors, before the masks; not modified.
        """
        if plan.repair is None or plan.repair not in SOLVED:
            return {}
        with self._lock:
            found = self._solved.pop(plan, None)
        if found is None:  # outside of the lock: other cells need not wait
            found = {}
            with one_thread():
                for reader in self._readers_of(plan):
                    found |= self._of_reader(reader, plan.repair, masks, values)
        with self._lock:
            self._solved[plan] = found
            forget_oldest(self._solved, self._keep_bytes, _n_bytes)
        return found

    def statistics(self, plan: SparsityPlan, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Statistics of the batch normalisations behind a plan's cuts, by state-dict name.

        Args:
            plan: with a repair; its blocks are skipped.
            tensors: all that the plan has changed so far, with the masks on.
        """
        if not (paths := self._paths(plan)):
            return {}
        with self._lock:
            found = self._statistics.pop(plan, None)
            if found is None:
                blocks = [cut.target for cut in plan.cuts if cut.granularity == "block"]
                found = self._norms.statistics(tensors, paths, blocks)
            self._statistics[plan] = found
            forget_oldest(self._statistics, self._keep_bytes, _n_bytes)
        device = next(iter(tensors.values())).device if tensors else next(self._model.parameters()).device
        return {name: tensor.to(device) for name, tensor in found.items()}

    def _of_reader(
        self, reader: Reader, repair: str, masks: Mapping[str, Tensor], values: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        name = reader.weight
        dense = self._model.get_parameter(name).detach()
        mask = oriented(self._model, name, masks[name]).flatten(1).cpu()
        first = oriented(self._model, name, dense)
        matrix = first.reshape(len(first), -1).double().cpu()
        found: dict[str, Tensor] = {}
        if repair == "bias":
            sums: Tensor = self._calibration.get("means", name)
            new = oriented(self._model, name, values[name]).reshape(matrix.shape).double().cpu()
        else:
            moments: Tensor = self._calibration.get("moments", name)
            sums = moments[:, -1]
            centred = reader.bias is not None
            upper = None if shares_columns(mask, len(moments)) else self._factors_of(name, centred)
            # where another line's criterion has moved what stays, that is where this one goes on from
            begun = oriented(self._model, name, values[name]).reshape(matrix.shape).double().cpu()
            new = made_up_for(begun, mask, self._products_of(name, centred), upper)
            new = new.to(dense.dtype).double()
            stored = oriented(self._model, name, new.to(dense.dtype).view(first.shape)).contiguous()
            found[name] = stored.to(dense.device)
        if reader.bias is not None:
            lost = (matrix - torch.where(mask, new, 0.0)).unflatten(0, (len(sums), -1))
            bias = self._model.get_parameter(reader.bias).detach()
            moved = bias.double().cpu() + (lost @ means_of(sums).unsqueeze(2)).flatten()
            found[reader.bias] = moved.to(bias.dtype).to(bias.device)
        return found

    def _products_of(self, name: str, centred: bool) -> Tensor:
        return self._made(self._products, (name, centred), lambda: products_of(self._moments(name), centred))

    def _factors_of(self, name: str, centred: bool) -> Tensor:
        return self._made(self._factors, (name, centred), lambda: swept_factors(self._products_of(name, centred)))

    def _moments(self, name: str) -> Tensor:
        found: Tensor = self._calibration.get("moments", name)
        return found

    def _made(self, known: dict[tuple[str, bool], Tensor], key: tuple[str, bool], make: Callable[[], Tensor]) -> Tensor:
        with self._lock:
            found = known.pop(key, None)
        found = make() if found is None else found
        with self._lock:
            known[key] = found
            forget_oldest(known, self._keep_bytes, lambda tensor: tensor.nbytes)
        return found


def _of_norm(path: str) -> tuple[str, str]:
    prefix = f"{path}." if path else ""
    return f"{prefix}running_mean", f"{prefix}running_var"


def _n_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
