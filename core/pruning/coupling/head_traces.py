"""Where the outputs of each attention head go, found by moving them: names and numbers may say anything.

A head mixes what stands at all positions in a way of its own. So the same push, other at each position, is given to all
that the values are made of, twice: columns of the output projection's input that belong to one head answer both pushes
in the same proportion at every position, whatever scale or gate is on the way, and columns of two heads do not. All
other projections give noise meanwhile, or a model of small weights would attend everywhere alike. Where that cannot
tell (a norm of each head, attention among channels) the queries of some heads are changed instead, and columns of these
heads and of no others must move.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from core.pruning.coupling.functional_calls import FunctionalCalls
from core.workload.attention import DeclaredHeads, attention_modules
from core.workload.discovery import find_targets
from core.workload.kept_state import trial_copy
from core.workload.layers.linear import is_linear, n_outputs
from core.workload.target import Target, Uncuttable

SAME, OTHER = 1e-3, 1e-2  # of answers that are proportional, and of those that are not; shares of their product
POSITIONS = 256  # to look at, of all examples together
STILL = 1e-5  # a column that moves less, in parts of the one that moves most, does not move

Rows = list[list[int]]  # of each head
Candidate = tuple[str, Rows]  # a layer, and its outputs that make values, by key/value head


def traced_targets(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[tuple[Target, ...], tuple[Uncuttable, ...]]:
    """As `find_targets`, with those heads only that were traced: the columns that a mask takes are one head's.

    Args:
        model: only read; where there are heads to trace, a copy runs.
        inputs: of a small batch.
    """
    targets, uncuttable = find_targets(model)
    heads, groups = untraced_heads(model, inputs)
    refused = [Uncuttable(f"heads of {path or 'model'}", (), reason) for path, reason in heads.items()]
    refused += [Uncuttable(f"key/value groups of {path or 'model'}", (), reason) for path, reason in groups.items()]
    against = {"head": heads.keys(), "kv_group": heads.keys() | groups.keys()}
    kept = tuple(target for target in targets if target.layer not in against.get(target.granularity, ()))
    return kept, (*uncuttable, *refused)


def untraced_heads(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[dict[str, str], dict[str, str]]:
    """Attention modules of which heads, or key/value groups, are not where they are looked for; by path, with why.

    `nn.MultiheadAttention` is known, and not tried; one with a forward of its own could be anything.

    Args:
        model: only read; a copy runs.
        inputs: of a small batch.

    Returns:
        Reasons against heads; and reasons against key/value groups only.
    """
    wanted: dict[str, DeclaredHeads] = {}
    other: dict[str, str] = {}
    for path, module, declared in attention_modules(model):
        if isinstance(module, nn.MultiheadAttention):
            if type(module).forward is not nn.MultiheadAttention.forward:
                other[path] = (
                    f"where its heads' outputs go cannot be traced: {type(module).__name__} is an "
                    "nn.MultiheadAttention with a forward of its own; use torch's own, and do the rest around it"
                )
        elif declared.reason is None and declared.n_heads > 1:
            wanted[path] = declared
    if not wanted:
        return other, {}
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    given = tuple(tensor.to(device) for tensor in inputs)
    try:
        found = _all_traced(trial_copy(model, given), given, wanted)
    except Exception as error:
        first = (str(error).splitlines() or ["no reason given"])[0][:200]
        reason = f"where its heads' outputs go cannot be traced, for the model does not run: {type(error).__name__}: "
        return other | dict.fromkeys(wanted, reason + first), {}
    never = "where its heads' outputs go cannot be traced, for the model does not call it on the examples"
    against = other | {path: reason for path, (reason, _) in found.items() if reason}
    against |= {path: never for path in wanted if path not in found}
    return against, {path: reason for path, (_, reason) in found.items() if reason and path not in against}


Answer = tuple[str | None, str | None]  # against heads, against key/value groups


def _all_traced(twin: nn.Module, inputs: Sequence[Tensor], wanted: Mapping[str, DeclaredHeads]) -> dict[str, Answer]:
    if any(_is_short(tensor) for tensor in (*twin.parameters(), *twin.buffers())):
        twin = twin.float()  # its rounding would hide which columns move
    found: dict[str, Answer] = {}
    is_busy = False

    def look(path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        nonlocal is_busy
        if is_busy or path in found:
            return
        is_busy = True
        try:
            found[path] = _Trace(module, wanted[path], args, kwargs).answer()
        except _NotTracedError as error:
            found[path] = (f"where its heads' outputs go cannot be traced: {error}", None)
        except Exception as error:
            first = (str(error).splitlines() or ["no reason given"])[0][:200]
            found[path] = (f"where its heads' outputs go cannot be traced: {type(error).__name__}: {first}", None)
        finally:
            is_busy = False

    handles = [
        twin.get_submodule(path).register_forward_pre_hook(
            lambda module, args, kwargs, path=path: look(path, module, args, kwargs), with_kwargs=True
        )
        for path in wanted
    ]
    try:
        with torch.no_grad():
            twin(*(tensor.float() if _is_short(tensor) else tensor.clone() for tensor in inputs))
    finally:
        for handle in handles:
            handle.remove()
    return found


class _NotTracedError(Exception):
    """Why heads cannot be traced, in words."""


class _Trace:
    """One attention module, called again and again with what it was called with."""

    def __init__(self, module: nn.Module, declared: DeclaredHeads, args: Any, kwargs: Any) -> None:
        self._module, self._declared, self._given = module, declared, (args, kwargs)
        self._output = module.get_submodule(declared.output)
        self._layers = {
            name: layer for name, layer in module.named_modules() if layer is not self._output and is_linear(layer)
        }
        self._columns = [
            list(range(head * declared.head_dim, (head + 1) * declared.head_dim)) for head in range(declared.n_heads)
        ]

    def answer(self) -> Answer:
        """Reasons against the heads, and against the key/value groups; `None` where there are none."""
        before = self._joined()
        strided = alike = is_told = False
        for candidate in self._candidates():
            pushed = [self._joined(candidate, push) - before for push in (1, 2)]
            if _are_heads(pushed, self._columns):
                makers = self._makers(before, *candidate, push=True)
                if not self._are_apart(before, makers):
                    is_told = True
                    break
                return None, self._against_groups(makers)
            strided = strided or _are_heads(pushed, _strided(self._columns))
            is_alike = _are_heads(pushed, [[column for own in self._columns for column in own]])
            alike = alike or is_alike
            twice = self._joined(candidate, 1, scale=2.0) - before
            answers_all = bool(_moved(pushed[0]).all())
            is_told = is_told or (answers_all and not is_alike and _is_twice(twice, pushed[0]))
        if not is_told and any(self._makers(before, *asked) == [*range(len(asked[1]))] for asked in self._queries()):
            return None, self._against_groups(None)
        return self._reason(strided, alike), None

    def _are_apart(self, before: Tensor, makers: list[int | None]) -> bool:
        """Whether what values, or of a single key/value head what queries, of one head make goes to no other."""
        if self._declared.n_kv == 1:
            queries = list(self._queries())
            return not queries or any(self._makers(before, *one) == [*range(len(one[1]))] for one in queries)
        shares = [makers.count(kv) for kv in range(self._declared.n_kv)]
        return set(shares) == {self._declared.n_heads // self._declared.n_kv}

    def _against_groups(self, makers: list[int | None] | None) -> str | None:
        n, n_kv = self._declared.n_heads, self._declared.n_kv
        per_kv = n // n_kv
        if n == n_kv or makers == [head // per_kv for head in range(n)]:
            return None
        return (
            f"its {n} query heads do not share the {n_kv} key/value heads {per_kv} by {per_kv}, side by side; cut "
            "single heads, or repeat the keys and values with repeat_interleave"
        )

    def _reason(self, strided: bool, alike: bool) -> str:
        n, size, output = self._declared.n_heads, self._declared.head_dim, self._declared.output
        if strided:
            return (
                f"its heads are joined as (size, heads): head 0 is columns 0, {n}, {2 * n}… of {output}, not the first "
                f"{size}; join them as (heads, size), e.g. transpose(1, 2).flatten(2)"
            )
        if alike:
            return (
                f"its {n} heads all attend alike on these examples (a single position?), so where each one's outputs "
                "go cannot be traced; give longer examples"
            )
        return (
            f"its {n} heads could not be traced to {size} columns each of {output}, side by side: what moves one of "
            f"them moves columns of others, or a norm or projection lies between; let {output} read the heads as "
            "(heads, size), or leave them out"
        )

    def _joined(
        self, pushed: Candidate | None = None, push: int = 0, changed: Candidate | None = None, scale: float = 1.0
    ) -> Tensor:
        """What the output projection reads, float64 (positions, columns), with noise for all projections.

        Args:
            pushed: where a push that differs by position is added.
            push: which of the pushes.
            changed: outputs that give another noise.
            scale: of the push.
        """
        seen: list[Tensor] = []
        with self._noise(pushed, push, changed, scale, seen):
            args, kwargs = _copied(self._given)
            self._module(*args, **kwargs)
        if len(seen) != 1:
            raise _NotTracedError(f"{self._declared.output} is called {len(seen)} times in one pass, not once")
        joined = seen[0].flatten(0, -2)
        few = torch.linspace(0, len(joined) - 1, min(len(joined), POSITIONS)).long()
        return joined[few.to(joined.device)].double().cpu()

    @contextmanager
    def _noise(
        self, pushed: Candidate | None, push: int, changed: Candidate | None, scale: float, seen: list[Tensor]
    ) -> Iterator[None]:
        """Inside the block projections give noise, and what the output projection reads is noted.

        So too where the module hands their weights to `F.linear`, as torchvision's Swin does.
        """

        def give(name: str, number: int, out: Tensor) -> Tensor:
            made = 1.5 * _random(out.shape, 100 + number)
            if changed is not None and changed[0] == name:
                rows = [row for rows in changed[1] for row in rows]
                made[..., rows] = 1.5 * _random(out.shape, 50)[..., rows]
            if pushed is not None and pushed[0] == name:
                rows = [row for rows in pushed[1] for row in rows]
                made[..., rows] += scale * _random((*out.shape[:-1], 1), push)
            return made.to(out)

        numbers = {name: number for number, name in enumerate(self._layers)}
        functional = FunctionalCalls(
            {id(layer.weight): partial(give, name, numbers[name]) for name, layer in self._layers.items()},
            {id(self._output.weight): lambda x: seen.append(x.detach())},
        )
        handles = [
            layer.register_forward_hook(lambda _m, _a, out, name=name: give(name, numbers[name], out))
            for name, layer in self._layers.items()
        ]
        handles.append(self._output.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach())))
        for layer in (*self._layers.values(), self._output):
            handles.append(layer.register_forward_pre_hook(functional.enter))
            handles.append(layer.register_forward_hook(functional.leave, always_call=True))
        try:
            with functional:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _candidates(self) -> Iterator[Candidate]:
        """Outputs of which layers may make the values: what it declares first, then whatever it holds."""
        n, n_kv, size = self._declared.n_heads, self._declared.n_kv, self._declared.head_dim
        first = [self._declared.separate[2]] if self._declared.separate else [*self._declared.projections]
        for name in [*first, *(name for name in self._layers if name not in first)]:
            wide = n_outputs(self._layers[name])
            yield name, _even(range(wide), n_kv)
            if name == self._declared.packed and n_kv < n:
                yield name, _even(range(wide - n_kv * size, wide), n_kv)
                yield name, [part[-size:] for part in _even(range(wide), n_kv)]
            for parts in (3, 2):  # queries, keys and values in one, or keys and values
                if wide == parts * n_kv * size:
                    yield name, _even(range(wide - wide // parts, wide), n_kv)
                    yield name, [part[-size:] for part in _even(range(wide), n_kv)]

    def _queries(self) -> Iterator[tuple[str, Rows]]:
        n, size = self._declared.n_heads, self._declared.head_dim
        if self._declared.separate:
            yield self._declared.separate[0], self._columns
        elif self._declared.packed:
            yield self._declared.packed, self._columns
            each = n // self._declared.n_kv
            firsts = [h // each * (each + 2) + h % each for h in range(n)]
            yield self._declared.packed, [[first * size + i for i in range(size)] for first in firsts]

    def _makers(self, before: Tensor, name: str, rows: Rows, push: bool = False) -> list[int | None]:
        """Of each head the one group of a layer's outputs that moves its columns; `None` if that is not one alone.

        Each group has a binary number: for every digit those with a 1 are changed, and then those with a 0.

        Args:
            before: what the output projection reads if nothing is changed.
            name: of the layer.
            rows: of its outputs, by group.
            push: add to them, instead of changing them.
        """
        n = self._declared.n_heads
        if len(rows) == 1:
            return [0] * n
        if max(row for own in rows for row in own) >= n_outputs(self._layers[name]):
            return [None] * n
        makers: list[int | None] = [0] * n
        for digit in range((len(rows) - 1).bit_length()):
            moves = []
            for value in (0, 1):
                some = (name, [own for group, own in enumerate(rows) if group >> digit & 1 == value])
                after = self._joined(some, 1) if push else self._joined(changed=some)
                moves.append(_moved(after - before))
            for head, columns in enumerate(self._columns):
                zero, one = (moved[columns] for moved in moves)
                is_one, is_zero = bool(one.all() and not zero.any()), bool(zero.all() and not one.any())
                maker = makers[head]
                makers[head] = None if maker is None or is_one == is_zero else maker + (is_one << digit)
        return makers


def _are_heads(pushed: Sequence[Tensor], columns: Rows) -> bool:
    """Whether the answers of each head's columns are proportional, and those of two heads are not."""
    one, two = pushed
    if not (bool(_moved(one).all()) and bool(_moved(two).all())):
        return False
    own = [max(columns_of, key=lambda c: float(one[:, c].norm())) for columns_of in columns]
    for ref, columns_of in zip(own, columns, strict=True):
        if (_apart(one, two, columns_of, [ref]) > SAME).any():
            return False
    apart = _apart(one, two, own, own)
    return not bool((apart + torch.eye(len(own)) < OTHER).any())


def _is_twice(twice: Tensor, once: Tensor) -> bool:
    """Whether a push is answered in proportion: then it is the values that were pushed, and what moves how is told."""
    return bool((twice - 2 * once).norm() <= SAME * once.norm())


def _apart(one: Tensor, two: Tensor, columns: list[int], others: list[int]) -> Tensor:
    """How little two columns' answers are proportional: 0 where they are, up to 1; (columns, others)."""
    a, b = one[:, columns].unsqueeze(2), two[:, columns].unsqueeze(2)
    c, d = one[:, others].unsqueeze(1), two[:, others].unsqueeze(1)
    left, right = a * d, b * c
    return (left - right).norm(dim=0) / (left.norm(dim=0) + right.norm(dim=0)).clamp(min=1e-300)


def _moved(difference: Tensor) -> Tensor:
    largest = difference.abs().amax(0)
    return largest > max(STILL * float(largest.max()), 1e-30)


def _even(rows: range, n: int) -> Rows:
    size = len(rows) // n
    return [list(rows[i * size : (i + 1) * size]) for i in range(n)] if size * n == len(rows) else [list(rows)]


def _strided(columns: Rows) -> Rows:
    n, size = len(columns), len(columns[0])
    return [[head + n * i for i in range(size)] for head in range(n)]


def _random(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def _copied(given: Any) -> Any:
    """Arguments for one more call: a cache that was filled before would be longer."""
    try:
        return copy.deepcopy(given)
    except Exception:  # a tensor with a history
        return pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, given)


def _is_short(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and torch.finfo(tensor.dtype).bits < 32
