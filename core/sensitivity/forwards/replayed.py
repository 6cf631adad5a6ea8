"""Replay of cuts, batch by batch, where it is exact; of the others full passes."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.sensitivity.forwards.exported import CannotReplay
from core.sensitivity.forwards.passes import CutPass, FullForwards, Names, OpenBatch, digest
from core.sensitivity.forwards.replay import NOTHING_KNOWN, Program, Tail, Values


class ReplayForwards:
    """Dense values once per batch, and of each cut only what descends from it.

    Nothing is taken on trust: on the first batch of every size and length the graph's dense outputs are compared with
    the model's own, and on the smallest batch the first cut of every set of tensors with a full pass of the masked
    model, bit for bit. What differs, or cannot be replayed, is measured by full passes, and `reasons` says why.

    Args:
        full: the passes to compare with, and to fall back on.
        sizes: examples in each batch.
        bound: bytes of dense values that may be kept.
        keep: keep those of several batches, for searches that come back to them.
        lengths: of the examples in each batch, where batches are cut to several.

    Raises:
        CannotReplay: the model as a whole cannot be replayed.

    Attributes:
        reasons: why full passes are made of some tensors.
    """

    def __init__(
        self,
        model: nn.Module,
        full: FullForwards,
        sizes: Sequence[int],
        bound: int,
        keep: bool,
        lengths: Sequence[tuple[int, ...]] | None = None,
    ) -> None:
        self._full, self._sizes, self._bound, self._keep = full, sizes, bound, keep
        self.reasons: dict[Names, str] = {}
        self._exact: dict[Names, bool] = {}
        self._kept: OrderedDict[int, Values] = OrderedDict()
        self._tried: Values = NOTHING_KNOWN  # frontier of the cut that was last verified, from which the next goes on
        self._last: tuple[int, Values] = 0, NOTHING_KNOWN  # batch last open: who comes back to it goes on from there
        self._shapes = [(size, *of) for size, of in zip(sizes, lengths or [()] * len(sizes), strict=True)]
        first_of_shape = {shape: i for i, shape in reversed(list(enumerate(self._shapes))) if shape[0] > 1}
        if not first_of_shape:
            raise CannotReplay("there is no batch of two examples")
        self._programs: dict[tuple[int, ...], _Tailed] = {}
        for shape in sorted(first_of_shape):
            self._programs[shape] = self._traced(model, first_of_shape[shape])
        self._smallest = first_of_shape[min(first_of_shape)]

    def open(self, i: int, wanted: Sequence[Names], dense: bool) -> Iterator[OpenBatch]:
        """The batch `i`, in as many parts as the bound asks for; the first holds the dense outputs if `dense`."""
        if self._sizes[i] < 2:  # the graph was traced for several
            yield from self._full.open(i, wanted, dense)
            return
        self._tried = NOTHING_KNOWN
        at = self._programs[self._shapes[i]]
        tails = {names: at.tail(names) for names in wanted if self._exact[names]}
        extra = at.program.output_nodes if dense else ()
        names_of = {tail: names for names, tail in tails.items()}
        for part in self._parts(i, list(tails.values())):
            frontier = {node for tail in part for node in tail.frontier}
            if self._keep:  # what other cuts will want of this batch, when they come to it
                all_of_them = {node for tail in at.tails.values() for node in tail.frontier} | frontier
                frontier = all_of_them if self._bytes(i, all_of_them) <= self._bound else frontier
            values = self._values(i, frontier.union(extra), self._known(i, frontier))
            outputs = at.program.outputs(values) if extra else None
            yield OpenBatch(
                outputs,
                {names_of[tail]: CutPass(_pass(tail, [values[node] for node in tail.frontier]), True) for tail in part},
            )
            self._last = i, NOTHING_KNOWN if self._keep else {node: values[node] for node in frontier}
            del values, outputs  # before the next part makes its own
        for names in wanted:  # the rest by full passes, whose dense outputs are the graph's: that was checked
            if names not in tails:
                outputs = at.program.outputs(self._values(i, set(extra))) if extra else None
                yield OpenBatch(outputs, next(self._full.open(i, [names], False)).cuts)

    def _traced(self, model: nn.Module, i: int) -> "_Tailed":
        """A program whose dense outputs on batch `i` are the model's own: one that is there, or a new one."""
        inputs, theirs = self._full.inputs(i), digest(self._full.run(i, {}))
        for known in dict.fromkeys(self._programs.values()):
            if known.program.any_size and _digest_or_error(lambda: known.program.dense(inputs)) == theirs:  # noqa: B023
                return known
        new = _Tailed(Program(model, inputs, any_size=not self._programs))
        if _digest_or_error(lambda: new.program.dense(inputs)) != theirs:
            raise CannotReplay("its graph's outputs differ from the model's own")
        return new

    def is_new(self, names: Names) -> bool:
        """Whether a cut of these tensors has to be verified first."""
        return names not in self._exact

    def verify(self, names: Names, weights: Mapping[str, Tensor]) -> None:
        """Compare the replay of a cut with a full pass of the masked model; nothing else may run meanwhile.

        Args:
            names: of the tensors that the cut changes.
            weights: those tensors, cut.
        """
        self._exact[names] = False
        self._last = 0, NOTHING_KNOWN
        i = self._smallest
        try:
            tail = self._programs[self._shapes[i]].tail(names)
        except CannotReplay as error:
            self.reasons[names] = str(error)
            return
        with torch.inference_mode():
            values = self._values(i, set(tail.frontier), self._tried)
            self._tried = values if 2 * self._bytes(i, set(tail.frontier)) <= self._bound else NOTHING_KNOWN
            run = _pass(tail, [values[node] for node in tail.frontier])
            self._exact[names] = _digest_or_error(lambda: run(weights)) == _digest_or_error(
                lambda: self._full.run(i, weights)
            )
        if not self._exact[names]:
            self.reasons[names] = "replayed outputs differ from those of a full pass"

    def _known(self, i: int, frontier: set[Any]) -> Values:
        """What is left of the last part of the batch, where memory takes it beside what comes; it is handed over."""
        (last, known), self._last = self._last, (i, NOTHING_KNOWN)
        return known if last == i and self._bytes(i, frontier.union(known)) <= self._bound else NOTHING_KNOWN

    def _parts(self, i: int, tails: Sequence[Tail]) -> Iterator[list[Tail]]:
        """Neighbours whose frontiers fit into the bound together; one that does not fit alone is alone."""
        part: list[Tail] = []
        held: set[Any] = set()
        for tail in tails:
            more = held.union(tail.frontier)
            if part and self._bytes(i, more) > self._bound:
                yield part
                part, more = [], set(tail.frontier)
            part.append(tail)
            held = more
        yield part

    def _bytes(self, i: int, nodes: set[Any]) -> int:
        program = self._programs[self._shapes[i]].program
        return sum(program.n_bytes(node) for node in nodes) * self._sizes[i] // program.size

    def _values(self, i: int, nodes: set[Any], known: Values = NOTHING_KNOWN) -> Values:
        """Dense values of nodes on batch `i`; what is kept of it, or `known`, is not computed again."""
        kept = self._kept.get(i, known)
        if i in self._kept and all(node in kept for node in nodes):
            self._kept.move_to_end(i)
            return kept
        wanted = nodes.union(self._kept.get(i, ()))
        with torch.inference_mode():
            values = self._programs[self._shapes[i]].program.run(self._full.inputs(i), wanted, kept)
        if self._keep:
            self._kept[i] = values
            while self._kept and sum(self._bytes(j, set(v)) for j, v in self._kept.items()) > self._bound:
                self._kept.popitem(last=False)
        return values


class _Tailed:
    """A program and the tails of it that were asked for."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tails: dict[Names, Tail] = {}

    def tail(self, names: Names) -> Tail:
        if names not in self.tails:
            self.tails[names] = self.program.tail(names)
        return self.tails[names]


def _pass(tail: Tail, frontier: list[Any]) -> Callable[[Mapping[str, Tensor]], Any]:
    return lambda weights: tail.run([weights[name] for name in tail.names], frontier)


def _digest_or_error(run: Callable[[], Any]) -> bytes | str:
    """A cut may make the model fail; then the replay must fail the same way."""
    try:
        return digest(run())
    except Exception as error:
        return type(error).__name__
