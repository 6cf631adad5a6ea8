"""Cutting everything once, alone and together, and running it: what a forward pass holds, for every plan."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.profiling.held.caches import cached
from core.profiling.held.fitting import Changed, NotUnderstood, differs, fitted
from core.profiling.memory import Storage, storages
from core.pruning.coupling.attention import HeadLayout
from core.pruning.masks import MaskMaker
from core.pruning.structure import Structure, find_structure
from core.pruning.surgery import shrunk_meanwhile
from core.sensitivity.measuring.stopping import Cancelled
from core.workload.description import BATCH, Description, MemoryUse, keys_of, queries_of
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.kept_state import trial_copy
from core.workload.target import head_name
from core.workload.workload import Workload

SHARES = (0.5, 0.25)  # of everything that go together: two passes that the answer has to explain
MANY = 3  # examples of these passes


def memory_use(
    workload: Workload, structure: Structure | None = None, check: Callable[[], None] = lambda: None
) -> MemoryUse:
    """What a forward pass of a workload's model holds, and what of it goes with which cut.

    Every coupled group and attention is cut alone, on a copy that shares the model's memory, and a pass of it is
    watched; two more have everything cut together, and what was found must give them to the byte. What does not is
    refused with the reason, and nothing is raised for it.

    Args:
        workload: its model is only read.
        structure: of the model, where somebody has it already.
        check: called between passes; raises to stop.
    """
    few = tuple(tensor[:MANY] for tensor in workload.evaluation.inputs)
    with redirect_stdout(sys.stderr), torch.no_grad():
        try:
            twin = trial_copy(workload.model, few)
            found = structure or find_structure(workload.model, few)
            return _Counting(twin, found, few, check).use()
        except Cancelled:
            raise
        except NotUnderstood as reason:
            return MemoryUse((), (), {"": str(reason)})
        except Exception as error:  # whatever a model does to be watched: everything else is known of it all the same
            first = (str(error).splitlines() or ["no reason given"])[0][:200]
            return MemoryUse((), (), {"": f"its pass could not be watched: {type(error).__name__}: {first}"})


def with_memory(found: Description, workload: Workload, check: Callable[[], None] = lambda: None) -> Description:
    """A description with what a forward pass holds, counted if it is not known.

    Raises:
        SecateurError: the workload has another model by now.
    """
    if found.memory is not None:
        return found
    if model_fingerprint(workload.model) != found.fingerprint:
        raise SecateurError(
            f"{found.name} has changed since it was measured, so nothing that is known of it holds; "
            f"`secateur sweep {found.ref}` again"
        )
    return replace(found, memory=memory_use(workload, check=check))


class _Counting:
    """The passes of one model.

    Args:
        twin: in evaluation mode; never changed.
        structure: of it.
        inputs: of at least `MANY` examples, or all there are.
        check: called between passes.
    """

    def __init__(
        self, twin: nn.Module, structure: Structure, inputs: Sequence[Tensor], check: Callable[[], None]
    ) -> None:
        self._twin, self._structure, self._inputs, self._check = twin, structure, inputs, check
        self._maker = MaskMaker(twin, structure.targets, structure.groups)
        self._groups = {target.name: target for target in structure.targets if target.granularity == "channel"}
        self._pass(1)  # what a model makes once and keeps is there before anything is counted
        self._dense = self._pass(1)
        if (why := differs(self._dense, self._pass(1))) is not None:
            raise NotUnderstood(f"two passes of the same model are not alike: {why}")

    def use(self) -> MemoryUse:
        """What a pass holds, of all that is understood."""
        refused: dict[str, str] = {}
        alone: list[Changed] = []
        for name in (BATCH, *self._groups, *self._heads()):
            changed = self._one(name)
            if isinstance(changed, Changed):
                alone.append(changed)
            else:
                refused[name] = changed
        names = [name for one in alone for name in one.gone]
        held = fitted(self._dense, alone, self._together(names))
        keys, why = cached(self._twin, self._structure, self._inputs)
        return MemoryUse(held, tuple(names), refused, keys, why)

    def _heads(self) -> Iterator[str]:
        for path, layout in self._structure.heads.items():
            if layout.n_kv > 1:
                yield keys_of(path)
            if layout.n_heads > layout.n_kv:
                yield queries_of(path)

    def _one(self, name: str) -> Changed | str:
        """The pass without some units of one name, or why it tells nothing."""
        plan, gone = self._without([name], SHARES[0])
        if not gone:
            return "it is too small to lose any"
        try:
            seen = self._pass(1 - gone.get(BATCH, 0), plan)
        except Exception as error:
            return f"the model does not run then: {type(error).__name__}: {error}".splitlines()[0][:200]
        why = differs(self._dense, seen)
        return Changed(gone, seen) if why is None else why

    def _together(self, names: Sequence[str]) -> list[Changed]:
        """Passes with units of all names gone; of an attention either key/value heads or query heads of all."""
        keys = {keys_of(path) for path in self._structure.heads}
        queries = {queries_of(path): keys_of(path) for path in self._structure.heads}
        found = []
        for share, without in zip(SHARES, (set(queries), set(queries.values())), strict=True):
            free = [name for name in names if name not in without or (name in keys and not self._is_grouped(name))]
            plan, gone = self._without(free, share)
            if BATCH in names:
                gone[BATCH] = 1 - MANY
            try:
                seen = self._pass(1 - gone.get(BATCH, 0), plan)
            except Exception as error:
                raise NotUnderstood(
                    f"the model does not run with everything cut together: {type(error).__name__}: {error}"[:300]
                ) from error
            if (why := differs(self._dense, seen)) is not None:
                raise NotUnderstood(f"with everything cut together {why}")
            found.append(Changed(gone, seen))
        return found

    def _is_grouped(self, name: str) -> bool:
        return any(one.n_heads > one.n_kv for path, one in self._structure.heads.items() if keys_of(path) == name)

    def _without(self, names: Sequence[str], share: float) -> tuple[SparsityPlan, dict[str, int]]:
        """A plan that takes a share of the units of each name, and how many that are; not of what is too small."""
        cuts: list[Cut] = []
        gone: dict[str, int] = {}
        heads = {keys_of(path): (layout, True) for path, layout in self._structure.heads.items()}
        heads |= {queries_of(path): (layout, False) for path, layout in self._structure.heads.items()}
        for name in names:
            if name == BATCH:
                gone[name] = -1
            elif name in self._groups:
                cut = Cut(name, "channel", share)
                if n := len(self._maker.units(cut)[1]):
                    cuts.append(cut)
                    gone[name] = n
            else:
                layout, is_keys = heads[name]
                numbers = _heads_of(layout, share, is_keys)
                cuts += [Cut(head_name(layout.path, number), "head") for number in numbers]
                per_key = layout.n_heads // layout.n_kv
                if numbers:
                    gone[name] = len(numbers) // (per_key if is_keys else layout.n_kv)
        return SparsityPlan(tuple(cuts)), gone

    def _pass(self, batch: int, plan: SparsityPlan | None = None) -> tuple[Storage, ...]:
        """What a pass of so many examples holds, of the model without what a plan takes."""
        self._check()
        rows = torch.arange(batch) % len(self._inputs[0])
        with shrunk_meanwhile(self._twin, plan or SparsityPlan(), self._maker, self._structure.heads):
            return storages(self._twin, tuple(tensor[rows] for tensor in self._inputs))


def _heads_of(layout: HeadLayout, share: float, is_keys: bool) -> list[int]:
    """Query heads that go: with a share of the key/value heads, or the same number of each of these."""
    per_key = layout.n_heads // layout.n_kv
    if is_keys:
        n = min(max(1, round(share * layout.n_kv)), layout.n_kv - 1)
        return list(range(n * per_key))
    n = min(max(1, round(share * per_key)), per_key - 1)
    return [head for head in range(layout.n_heads) if head % per_key < n]
