"""Trying cuts: half of a group or of an attention's heads goes, once with zeros and once for good.

The cut tensors take the dense ones' places for one pass and go again; nothing is copied but what is cut. Only of a cut
that does not do, copies are made, to say why.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from core.plans.plan import Cut, SparsityPlan
from core.pruning.coupling.attention import HeadLayout
from core.pruning.coupling.blocks import Alone, alone, parts_alone
from core.pruning.coupling.groups import CannotCutError, Group, n_units_removed
from core.pruning.equality import NotEqualError, compared, distance, is_short, terms_of, tolerance_of
from core.pruning.masks import MaskMaker
from core.pruning.surgery import shrunk_copy, shrunk_meanwhile
from core.pruning.wearing import pruned_sharing, replaced
from core.workload.kept_state import KeptState, sharing_copy
from core.workload.target import RECURRENT_WEIGHTS, Target

Changed = Callable[[], AbstractContextManager[None]]  # inside its block the model is another
Tried = Callable[[Sequence[str], bool], str | None]  # why names cannot go together; whether it is asked in words
LENT, LENT_PARTS = 1 << 26, 4  # bytes of tensors that are cut at once; a quarter of them all, if that is more
FEW = 8  # names of which all halves are soon tried
MANY = 4 * FEW  # names that are worth being tried each in the part of the model that it lies in
ASKED = 2  # of those that fail in parts of one class, how many must fail in the whole for the others to be believed
DIFFERS = "they differ"  # said of several at once, of which nobody asks why


def _terms(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """`terms_of` the dense model in float32 at least, for all trials; empty where that cannot be told."""
    if any(p.is_floating_point() and torch.finfo(p.dtype).bits < 32 for p in (*model.parameters(), *model.buffers())):
        model = sharing_copy(model).float()
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


class Trial:
    """Cuts of a model, tried on a few examples.

    Args:
        model: in evaluation mode; as it was after each trial.
        targets: of it.
        groups: coupled groups that may be cut.
        inputs: of the examples.

    Attributes:
        parts: by name the part of the model that a cut was tried in, where too many fail to try each in the whole.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[Target],
        groups: Sequence[Group],
        inputs: Sequence[Tensor],
    ) -> None:
        self._model, self._inputs = model, inputs
        tensors = (*model.parameters(), *model.buffers(), *inputs)
        self._kept = KeptState(model)
        self._kept.note_working_state()
        self._is_float32 = not any(is_short(tensor) for tensor in tensors)
        self._terms = _terms(model, inputs)
        self._layouts: dict[str, HeadLayout] = {}
        self._groups = {group.target.name: group for group in groups}
        every = (*targets, *(group.target for group in groups))
        self._maker = _EverySecond(model, every, self._groups)
        self._heads: dict[str, list[Target]] = {}
        self.parts: dict[str, Alone] = {}
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
                    if self._differs([path], why=False) is None:
                        right[kind] = i
                        break
            self._layouts[path] = layouts[right[kind]]
        return self._layouts

    def failures(self, names: Sequence[str]) -> dict[str, str]:
        """Of those that cannot be cut, why: as many at once as may be held if all is well, else by halves."""
        found = {name: reason for name in names if (reason := self._too_small(name))}
        return found | self._found([name for name in names if name not in found], self._differs)

    def undecided(self, names: Sequence[str]) -> list[str]:
        """Groups of which more has to be masked than what reads them, for the outputs to be those of the whole mask."""
        return list(self._found(names, self._readers_differ))

    def _found(self, names: Sequence[str], try_them: Tried) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in self._parts(names):
            found |= self._one_or_many([name for name in part if name not in found], try_them)
        return found

    def _parts(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Neighbours whose cut tensors may be held at once; each part begins with the last of the one before.

        So that those which meet in a layer are still tried together.
        """
        order = {name: i for i, name in enumerate(self._maker.tensor_names)}
        tensors = {name: self._tensors(name) for name in names}
        size = {name: sum(self._model.get_parameter(one).nbytes for one in those) for name, those in tensors.items()}
        most = max(LENT, sum(size.values()) // LENT_PARTS)
        if sum(size.values()) <= most:
            yield list(names)
            return
        part: list[str] = []
        for name in sorted(names, key=lambda name: min((order[one] for one in tensors[name]), default=0)):
            if len(part) > 1 and sum(size[one] for one in part) + size[name] > most:
                yield part
                part = part[-1:]
            part.append(name)
        yield part

    def _tensors(self, name: str) -> list[str]:
        """Parameters that a cut of a group, or of heads, touches."""
        if name in self._groups:
            touched = dict.fromkeys(one.tensor for one in self._groups[name].slices)
            return [one for one in touched if one in self._maker.tensor_names]
        return [one for one in self._maker.tensor_names if one.startswith(f"{name}.")]

    def _one_or_many(self, names: Sequence[str], try_them: Tried) -> dict[str, str]:
        """The few that fail alone are found by halving and left out; only where more do all halves are gone through."""
        found: dict[str, str] = {}
        while len(names) >= FEW and len(found) < FEW // 2:
            if try_them(names, False) is None:
                return found
            inside = list(names)
            while len(inside) > 1:
                middle = len(inside) // 2
                inside = inside[middle:] if try_them(inside[:middle], False) is None else inside[:middle]
            reason = try_them(inside, True)
            if reason is None:  # it does what it should alone: they fail together
                break
            found[inside[0]] = reason
            names = [name for name in names if name != inside[0]]
        if len(names) >= MANY:
            found |= self._in_parts(names, try_them)
            names = [name for name in names if name not in found]
        return found | self._by_halves(names, try_them)

    def _in_parts(self, names: Sequence[str], try_them: Tried) -> dict[str, str]:
        """Those that fail in the part of the model that they lie in: of many the whole would be passed too often.

        What is right there is still tried with all the others in the whole model. Parts of a class are believed only if
        the first that fail in them fail in the whole model as well.
        """
        touched = {name: {one.rpartition(".")[0] for one in self._tensors(name)} | self._paths(name) for name in names}
        try:
            lying = alone(self._model, self._inputs, touched)
            parts = parts_alone(self._model, self._inputs, lying)
        except Exception:  # it does not like to be watched: then without
            return {}
        finally:
            self._kept.restore_buffers()
        found: dict[str, str] = {}
        asked: Counter[type] = Counter()
        unlike: set[type] = set()  # classes of parts that show more than the model takes from them
        for path, part in parts.items():
            own, kind = self._within(part, lying[path]), type(self._model.get_submodule(path))
            if kind in unlike:
                continue
            failed = own._found(lying[path], own._differs if try_them == self._differs else own._readers_differ)
            for name in list(failed)[: max(0, ASKED - asked[kind])]:
                asked[kind] += 1
                if (reason := try_them([name], True)) is None:
                    unlike.add(kind)
                else:
                    failed[name] = reason
            if kind not in unlike:
                self.parts |= dict.fromkeys(lying[path], part)
                found |= failed
        return found

    def _paths(self, name: str) -> set[str]:
        """The module whose heads these are; of a group there is none."""
        return set() if name in self._groups else {name}

    def _within(self, part: Alone, names: Sequence[str]) -> "Trial":
        """The trial of cuts in one part of the model."""
        own = {name for name, _ in part.named_modules()}
        targets = [one for path in own for one in self._heads.get(path, ())]
        found = Trial(part, targets, [self._groups[name] for name in names if name in self._groups], part.inputs)
        found._layouts = {path: layout for path, layout in self._layouts.items() if path in own}
        return found

    def _by_halves(self, names: Sequence[str], try_them: Tried) -> dict[str, str]:
        if not names:
            return {}
        reason = try_them(names, len(names) == 1)
        if reason is None:
            return {}
        if len(names) == 1:
            return {names[0]: reason}
        middle = len(names) // 2
        found = self._by_halves(names[:middle], try_them) | self._by_halves(names[middle:], try_them)
        if not found:  # fine apart and not together: nobody can tell whose fault it is
            reason = try_them(names, True)
            if reason is None:
                return {}
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

    def _differs(self, names: Sequence[str], why: bool) -> str | None:
        """The reason for which these cannot go, `None` if they can; unless `why` is asked, any word will do."""
        reason = self._differs_without(names, True, why)
        shared = [name for name in names if name in self._layouts and self._layouts[name].n_kv > 1]
        shared = [name for name in shared if self._layouts[name].n_kv < self._layouts[name].n_heads]
        return reason or (self._differs_without(shared, False, why) if shared else None)

    def _differs_without(self, names: Sequence[str], whole: bool, why: bool) -> str | None:
        cuts: list[Cut] = []
        for name in names:
            if name in self._groups:
                cuts.append(Cut(name, "channel", 0.5))
            else:
                cuts += self._half_of(self._layouts[name], whole)
        plan = SparsityPlan(tuple(cuts))
        try:
            if self._same(
                lambda: self._wearing(plan),
                lambda: shrunk_meanwhile(self._model, plan, self._maker, self._layouts),
            ):
                return None
            if not why and self._is_float32:
                return DIFFERS
            with torch.no_grad():
                twin = sharing_copy(self._model)
                shrunk = shrunk_copy(self._model, plan, self._maker, self._layouts, {}, False, twin)
                self._compare(pruned_sharing(self._model, self._maker.cut_tensors(plan)), shrunk)
        except (NotEqualError, CannotCutError) as error:
            return str(error)
        except Exception as error:
            return f"it cannot be taken out: {type(error).__name__}: {error}"
        return None

    def _wearing(self, plan: SparsityPlan, reading: bool = False) -> AbstractContextManager[None]:
        return replaced(self._model, self._maker.cut_tensors(plan, reading))

    def _same(self, masked: Changed, other: Changed) -> bool:
        """Whether the model gives the same inside both blocks, one after the other; as `_compare`, uncopied."""
        if not self._is_float32:
            return False
        with torch.inference_mode():
            try:
                theirs, ours = self._outputs(masked), self._outputs(other)
            except Exception:
                return False
            if _are_near(theirs, ours, self._terms):
                return True
            with masked():
                terms = terms_of(self._model, self._inputs)
            self._kept.restore_buffers()
            return _are_near(theirs, ours, terms)

    def _outputs(self, changed: Changed) -> Any:
        try:
            with changed():
                return self._model(*self._inputs)
        finally:
            self._kept.restore_buffers()

    def _compare(self, one: nn.Module, other: nn.Module) -> None:
        """As `compared`; by what the dense model adds up, and where that says no by what this cut of it does.

        Of so few examples the dense model may by chance be rounded to next to nothing at some place.
        """
        try:
            compared(one, other, [self._inputs], self._terms)
        except NotEqualError:
            compared(one, other, [self._inputs])

    def _readers_differ(self, names: Sequence[str], why: bool) -> str | None:
        plan = SparsityPlan(tuple(Cut(name, "channel", 0.5) for name in names))
        if self._same(lambda: self._wearing(plan), lambda: self._wearing(plan, reading=True)):
            return None
        if not why and self._is_float32:
            return DIFFERS
        try:
            both = (self._maker.cut_tensors(plan, reading) for reading in (False, True))
            self._compare(*(pruned_sharing(self._model, tensors) for tensors in both))
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


def _are_near(theirs: Any, ours: Any, terms: list[Tensor] | None) -> bool:
    found = distance(theirs, ours, terms)
    return found is not None and found <= tolerance_of(theirs)
