"""The structure of a model: its coupled groups and its heads, each tried before anybody may cut it.

Trying means: cut half of it, once with zeros and once for good, and compare the outputs on a few examples. What differs
is listed with the reason and never offered.
"""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from core.plans.plan import SparsityPlan
from core.pruning.coupling.attention import HeadLayout
from core.pruning.coupling.dependency import coupled_groups
from core.pruning.coupling.groups import Group
from core.pruning.coupling.head_layouts import head_layouts, projections
from core.pruning.coupling.head_traces import traced_targets
from core.pruning.coupling.traced import NoGroups
from core.pruning.coupling.ways import way_of, why_not_followed
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.pruning.trial import Trial
from core.workload.kept_state import given_copies, trial_copy
from core.workload.target import Target, Uncuttable
from core.workload.workload import Workload

EXAMPLES = 2  # to trace and to try with


@dataclass(frozen=True)
class Structure:
    """What of a model can be cut, all granularities together.

    Attributes:
        targets: layers, coupled groups, heads, key/value groups, blocks; in this order, each in network order.
        uncuttable: what cannot be cut, and why.
        groups: coupled groups by name.
        heads: attention modules of which heads can be taken out, by path.
    """

    targets: tuple[Target, ...]
    uncuttable: tuple[Uncuttable, ...]
    groups: Mapping[str, Group] = field(default_factory=dict)
    heads: Mapping[str, HeadLayout] = field(default_factory=dict)


def find_structure(model: nn.Module, inputs: Sequence[Tensor] | Tensor) -> Structure:
    """Everything that can be cut in a model, and the reasons for the rest.

    Args:
        model: with its weights; not modified. A copy is traced and tried.
        inputs: of the evaluation data, or the one if there is one; the first few examples are used.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    with redirect_stdout(sys.stderr), _uncollected():  # what a model prints is no answer of ours
        return _found(model, inputs)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles, which would go through copies of thousands of layers again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _found(model: nn.Module, inputs: Sequence[Tensor]) -> Structure:
    targets, uncuttable = traced_targets(model, tuple(tensor[:EXAMPLES] for tensor in inputs))
    try:
        return _tried(model, targets, uncuttable, inputs)
    except Exception as error:  # whatever a model does to be looked into: its weights can be swept all the same
        first = (str(error).splitlines() or ["no reason given"])[0][:200]
        reason = f"no cut could be tried on a copy of the model: {type(error).__name__}: {first}"
        return Structure(targets, (*uncuttable, Uncuttable("channels", (), reason)))


def _tried(
    model: nn.Module, targets: tuple[Target, ...], uncuttable: tuple[Uncuttable, ...], inputs: Sequence[Tensor]
) -> Structure:
    few = tuple(tensor[:EXAMPLES].clone() for tensor in inputs)
    twin = trial_copy(model, few)
    with given_copies(twin):  # they are passed many times, and a model may write into them
        return _tried_on(twin, model, targets, uncuttable, few)


def _tried_on(
    twin: nn.Module,
    model: nn.Module,
    targets: tuple[Target, ...],
    uncuttable: tuple[Uncuttable, ...],
    few: tuple[Tensor, ...],
) -> Structure:
    candidates, opaque = head_layouts(twin)
    known = {item.name for item in uncuttable}
    refused = [item for item in opaque if item.name not in known]
    groups: list[Group] = []
    try:
        groups, unfit = coupled_groups(twin, few, projections(twin))
        refused += unfit
    except NoGroups as reason:
        refused.append(Uncuttable("channels", (), str(reason)))
    trial = Trial(twin, targets, groups, few)
    layouts = trial.chosen(candidates)
    reasons = trial.failures([*(group.target.name for group in groups), *layouts])
    for group in groups:
        if group.target.name in reasons:
            makers = [member.layer for member in group.target.members if member.role == "outputs"]
            part = trial.parts.get(group.target.name)
            way = way_of(part or twin, part.inputs if part else few, makers)
            reasons[group.target.name] = why_not_followed(way, reasons[group.target.name])
    reasons |= {name: _of_heads(_norm_over_heads(twin, name, reasons[name])) for name in layouts if name in reasons}
    refused += [
        Uncuttable(f"channels of {name}" if name not in layouts else f"heads of {name}", (), reason)
        for name, reason in reasons.items()
    ]
    good = {group.target.name: group for group in groups if group.target.name not in reasons}
    for name in trial.undecided(list(good)):
        good[name] = replace(good[name], readers_decide=False)
    rank = {"weight": 0, "channel": 1, "head": 2, "kv_group": 3, "block": 4}
    every = sorted((*targets, *(group.target for group in good.values())), key=lambda target: rank[target.granularity])
    heads = {path: layout for path, layout in layouts.items() if path not in reasons}
    return Structure(tuple(every), (*uncuttable, *refused), good, heads)


def _of_heads(reason: str) -> str:
    """A reason against removing heads, which are masked all the same."""
    said = "heads can be masked, not removed: "
    return reason if reason.startswith((said, "it is a single head")) else said + reason


def _norm_over_heads(model: nn.Module, path: str, reason: str) -> str:
    """The reason against removing heads; where a norm over all of them raised, that it did."""
    for name, module in model.get_submodule(path).named_modules(prefix=path):
        if "Norm" in type(module).__name__ and reason.startswith((f"{name}, a ", f"{type(module).__name__} {name} ")):
            return (
                f"heads can be masked, not removed: {name}, a {type(module).__name__}, is a norm over all heads "
                "together, so without one the others would change"
            )
    return reason


def maker_for(workload: Workload, plan: SparsityPlan) -> MaskMaker:
    """A maker of a plan's masks; coupled groups are looked for if the plan cuts any."""
    model, calibration = workload.model, Calibration.of(workload)
    if any(cut.granularity == "channel" for cut in plan.cuts):
        structure = find_structure(model, tuple(workload.evaluation.inputs))
        return MaskMaker(model, structure.targets, structure.groups, calibration)
    few = tuple(tensor[:EXAMPLES] for tensor in workload.evaluation.inputs)
    return MaskMaker(model, traced_targets(model, few)[0], calibration=calibration)


def everything(workload: Workload) -> tuple[tuple[Target, ...], tuple[Uncuttable, ...]]:
    """What can be cut in a workload's model, and what cannot, for `describe`."""
    found = find_structure(workload.model, tuple(workload.evaluation.inputs))
    return found.targets, found.uncuttable
