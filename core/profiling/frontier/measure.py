"""What plans make of a model, and the times of those models in one engine, in turn with the dense one."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from core.drafted import scratch
from core.engines.engine import EngineUnavailable, reason_of
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.profiling.frontier.report import DENSE
from core.profiling.frontier.request import FrontierRequest
from core.profiling.paired import median_interval, quartiles
from core.profiling.pays.measure import sizes_of
from core.profiling.shipped.turns import InTurns, expected_of
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by
from core.pruning.structure import EXAMPLES, find_structure
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.report import Estimate
from core.workload.workload import Workload


class Cutter:
    """Makes models of plans; what is coupled is looked for once.

    Attributes:
        maker: of masks.
    """

    def __init__(self, workload: Workload) -> None:
        self._model = workload.model
        self._few = tuple(tensor[:EXAMPLES].clone() for tensor in workload.evaluation.inputs)
        self._structure = find_structure(workload.model, self._few)
        self.maker = MaskMaker(
            workload.model, self._structure.targets, self._structure.groups, Calibration.of(workload)
        )

    def made(self, plan: SparsityPlan) -> nn.Module:
        """The model that is shipped: the smaller one, or where nothing can be taken out the masked one.

        Raises:
            SecateurError: the plan cannot be made, or the shrunk model differs from the masked one.
        """
        self.maker.prepare(plan.cuts, plan.repair)
        if form_of(plan) == "masked":
            return pruned_copy(self._model, self.maker.cut_tensors(plan)).eval()
        shrunk = shrunk_by(self._model, plan, self._structure, self.maker, self._few)
        equal(self._model, shrunk, plan, self.maker, [self._few])
        return shrunk


def form_of(plan: SparsityPlan) -> Form:
    """What is shipped of a plan."""
    return plan.forms[-1]


@dataclass(frozen=True)
class Timed:
    """A model in the engine; what is `None` was not measured, for the reason."""

    bytes: int | None = None
    compressed: int | None = None
    seconds: float | None = None
    ratio: Estimate | None = None
    note: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class Turns:
    """How models of one budget are timed.

    Attributes:
        request: with the engine, threads and rounds.
        inputs: of one batch, on the CPU.
        check: raises `Cancelled` to stop.
        say: told what is being done.
    """

    request: FrontierRequest
    inputs: tuple[Tensor, ...]
    check: Callable[[], None] = field(default=lambda: None)
    say: Callable[[str], None] = field(default=lambda text: None)


def timed(dense: nn.Module, models: Mapping[str, Callable[[], nn.Module]], how: Turns) -> dict[str, Timed]:
    """Times of the dense model and of some others, each in turn; what an engine refuses has a reason.

    Args:
        dense: what all are compared with; under `DENSE` in the answer.
        models: by label, made when they are written.
        how: engine, batch, rounds.

    Raises:
        SecateurError: the engine cannot run the dense model, so that there is nothing to compare with.
    """
    found: dict[str, Timed] = {}
    request = how.request
    with torch.no_grad(), scratch() as folder:
        engine = InTurns(request.engine, Path(folder, "engine"), request.threads, request.python, how.check)
        with engine:
            ready: Mapping[str, Callable[[], nn.Module]] = {DENSE: lambda: copy.deepcopy(dense).eval(), **models}
            for label, make in ready.items():
                how.check()
                how.say(f"{engine.adapter.title}: writing and loading {label}")
                try:
                    model = expected_of(make(), how.inputs, Path(folder, f"model-{len(found)}"))
                    written, _ = engine.put(label, model, is_base=label == DENSE)
                    size, compressed = sizes_of(written.files, how.check)
                    found[label] = Timed(size, compressed, note=written.note)
                except (EngineUnavailable, SecateurError) as error:
                    found[label] = Timed(reason=str(error))
                except Cancelled:
                    raise
                except Exception as error:  # the model itself fails on such a batch
                    found[label] = Timed(reason=reason_of(error))
                if found[DENSE].reason is not None:
                    break
            if found[DENSE].reason is None:
                how.say(f"{engine.adapter.title}: timing {sum(one.reason is None for one in found.values())} in turn")
                times, died = engine.times(request.rounds, request.seconds)
                for label, reason in died.items():
                    found[label] = Timed(reason=reason)
    if found[DENSE].reason is not None:
        raise SecateurError(
            f"{engine.adapter.title} cannot run the dense model ({found[DENSE].reason}); choose another --engine"
        )
    return {label: _with_times(label, one, times) for label, one in found.items()}


def _with_times(label: str, one: Timed, times: Mapping[str, list[float]]) -> Timed:
    if one.reason is not None:
        return one
    seconds = times[label]
    ratio = median_interval([a / b for a, b in zip(times[DENSE], seconds, strict=True)]) if label != DENSE else None
    return Timed(one.bytes, one.compressed, quartiles(seconds)[1], ratio, one.note)
