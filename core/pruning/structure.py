"""The structure of a model: its coupled groups and its heads, each tried before anybody may cut it.

Trying means: cut half of it, once with zeros and once for good, and compare the outputs on a few examples. What differs
is listed with the reason and never offered.
"""

import copy
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from core.plans.plan import Cut, SparsityPlan
from core.pruning.coupling.attention import HeadLayout
from core.pruning.coupling.dependency import coupled_groups
from core.pruning.coupling.groups import CannotCutError, Group, n_units_removed
from core.pruning.coupling.head_layouts import head_layouts, projections
from core.pruning.coupling.head_traces import traced_targets
from core.pruning.coupling.traced import NoGroups
from core.pruning.coupling.ways import way_of, why_not_followed
from core.pruning.criteria.calibration import Calibration
from core.pruning.equality import NotEqualError, compared, terms_of
from core.pruning.masks import MaskMaker
from core.pruning.surgery import shrunk_copy
from core.pruning.wearing import pruned_copy
from core.workload.kept_state import given_copies
from core.workload.target import RECURRENT_WEIGHTS, Target, Uncuttable
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
    twin = copy.deepcopy(model).eval()
    few = tuple(tensor[:EXAMPLES].clone() for tensor in inputs)
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
    trial = _Trial(twin, targets, groups, few)
    layouts = trial.chosen(candidates)
    reasons = trial.failures([*(group.target.name for group in groups), *layouts])
    for group in groups:
        if group.target.name in reasons:
            makers = [member.layer for member in group.target.members if member.role == "outputs"]
            reasons[group.target.name] = why_not_followed(way_of(twin, few, makers), reasons[group.target.name])
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


def _terms(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """`terms_of` the dense model in float32 at least, for all trials; empty where that cannot be told."""
    if any(p.is_floating_point() and torch.finfo(p.dtype).bits < 32 for p in (*model.parameters(), *model.buffers())):
        model = copy.deepcopy(model).float()
    return terms_of(model, [x.float() if x.is_floating_point() else x for x in inputs]) or []


class _EverySecond(MaskMaker):
    """Cuts every second channel of a part, whatever it is worth: the least salient ones may hold zeros already."""

    def units(self, cut: Cut) -> tuple[Group, list[int]]:
        """As `MaskMaker.units`."""
        group = self._groups[cut.target]
        per_part = n_units_removed(group.target, 0.5) // group.target.n_parts
        units = []
        for part in range(group.target.n_parts):
            own = [unit for unit, label in enumerate(group.parts) if label == part]
            units += own[1::2][:per_part]
        return group, sorted(units)


class _Trial:
    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[Target],
        groups: Sequence[Group],
        inputs: Sequence[Tensor],
    ) -> None:
        self._model, self._inputs = model, inputs
        self._terms = _terms(model, inputs)
        self._layouts: dict[str, HeadLayout] = {}
        self._groups = {group.target.name: group for group in groups}
        every = (*targets, *(group.target for group in groups))
        self._maker = _EverySecond(model, every, self._groups)
        self._heads: dict[str, list[Target]] = {}
        for target in targets:
            if target.layer is not None and target.granularity == "head":
                self._heads.setdefault(target.layer, []).append(target)

    def chosen(self, candidates: Mapping[str, Sequence[HeadLayout]]) -> Mapping[str, HeadLayout]:
        """Of the layouts that each attention may have, the one that is right for the first module of its class."""
        right: dict[tuple[type, int], int] = {}
        for path, layouts in candidates.items():
            if path not in self._heads:  # they cannot even be masked
                continue
            kind = (type(self._model.get_submodule(path)), len(layouts))
            if kind not in right:
                right[kind] = 0
                for i, layout in enumerate(layouts if len(layouts) > 1 else ()):
                    self._layouts[path] = layout
                    if self._differs([path]) is None:
                        right[kind] = i
                        break
            self._layouts[path] = layouts[right[kind]]
        return self._layouts

    def failures(self, names: Sequence[str]) -> dict[str, str]:
        """Of those that cannot be cut, why: all at once if all is well, else by halves."""
        found = {name: reason for name in names if (reason := self._too_small(name))}
        rest = [name for name in names if name not in found]
        return found | self._by_halves(rest, self._differs)

    def undecided(self, names: Sequence[str]) -> list[str]:
        """Groups of which more has to be masked than what reads them, for the outputs to be those of the whole mask."""
        return list(self._by_halves(names, self._readers_differ))

    def _by_halves(self, names: Sequence[str], try_them: Callable[[Sequence[str]], str | None]) -> dict[str, str]:
        if not names:
            return {}
        reason = try_them(names)
        if reason is None:
            return {}
        if len(names) == 1:
            return {names[0]: reason}
        middle = len(names) // 2
        found = self._by_halves(names[:middle], try_them) | self._by_halves(names[middle:], try_them)
        if not found:  # fine apart and not together: nobody can tell whose fault it is
            return dict.fromkeys(names, f"not together with the others: {reason}")
        return found

    def _too_small(self, name: str) -> str | None:
        if name in self._layouts and self._layouts[name].n_heads == 1:
            return "it is a single head, which cannot go"
        group = self._groups.get(name)
        if group is None:
            return None
        n, parts = len(group.parts), group.target.n_parts
        if n == 1:
            return "it is a single channel, which cannot go"
        if n // parts == 1:
            gated = any(m.layer.rpartition(".")[2].startswith(RECURRENT_WEIGHTS) for m in group.target.members)
            what = "layers and directions" if gated else "grouped convolutions"
            return f"{what} divide its {n} channels into {parts} parts of one, which cannot go"
        return None

    def _differs(self, names: Sequence[str]) -> str | None:
        reason = self._differs_without(names, whole=True)
        shared = [name for name in names if name in self._layouts and self._layouts[name].n_kv > 1]
        shared = [name for name in shared if self._layouts[name].n_kv < self._layouts[name].n_heads]
        return reason or (self._differs_without(shared, whole=False) if shared else None)

    def _differs_without(self, names: Sequence[str], whole: bool) -> str | None:
        cuts: list[Cut] = []
        for name in names:
            if name in self._groups:
                cuts.append(Cut(name, "channel", 0.5))
            else:
                cuts += self._half_of(self._layouts[name], whole)
        plan = SparsityPlan(tuple(cuts))
        try:
            shrunk = shrunk_copy(self._model, plan, self._maker, self._layouts, {}, configurations=False)
            with torch.no_grad():
                self._compare(pruned_copy(self._model, self._maker.cut_tensors(plan)), shrunk)
        except (NotEqualError, CannotCutError) as error:
            return str(error)
        except Exception as error:
            return f"it cannot be taken out: {type(error).__name__}: {error}"
        return None

    def _compare(self, one: nn.Module, other: nn.Module) -> None:
        """As `compared`; by what the dense model adds up, and where that says no by what this cut of it does.

        Of so few examples the dense model may by chance be rounded to next to nothing at some place.
        """
        try:
            compared(one, other, [self._inputs], self._terms)
        except NotEqualError:
            compared(one, other, [self._inputs])

    def _readers_differ(self, names: Sequence[str]) -> str | None:
        plan = SparsityPlan(tuple(Cut(name, "channel", 0.5) for name in names))
        readers, whole = (pruned_copy(self._model, self._maker.cut_tensors(plan, reading)) for reading in (True, False))
        try:
            self._compare(whole, readers)
        except NotEqualError as error:
            return str(error)
        return None

    def _half_of(self, layout: HeadLayout, whole: bool) -> list[Cut]:
        """Every second key/value head with its query heads; or, and of a single one, every second query head of it."""
        per_kv = layout.n_heads // layout.n_kv
        gone = range(1, layout.n_kv, 2) if whole else range(0)
        heads = [head for head in range(layout.n_heads) if layout.kv_of(head) in gone]
        if not heads:
            heads = [head for head in range(layout.n_heads) if head % per_kv % 2]
        return [Cut(self._heads[layout.path][head].name, "head") for head in heads]
