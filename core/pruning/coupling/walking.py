"""Torch-Pruning's walk from one layer to all that its channels reach, bounded in steps and in positions.

It walks a loop of layers again as long as the positions differ, for minutes around a rotary embedding; and
where a reshape is taken for a flattening inside a loop the lists of positions multiply without end. It has no limit of
its own. Steps and positions are counted and not seconds or bytes: what can be cut must not depend on how busy or how
large the machine is.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest.mock import patch

FEWEST_STEPS, STEPS_PER_NODE = 500, 8  # of collecting one group; a residual stream meets each node a few times
LONGEST = 4  # of one list of positions, in widths of the model's widest layer: a position is met from few sides
FEWEST_POSITIONS, MOST_POSITIONS = 100_000, 4_000_000  # of one group, in lists that differ; some hundred bytes each


class TooTangledError(Exception):
    """A group that Torch-Pruning does not come to an end with; the layer is listed with the reason."""


class Walker:
    """Groups of one dependency graph, collected within bounds.

    Args:
        graph: of Torch-Pruning, built.
    """

    def __init__(self, graph: Any) -> None:
        from torch_pruning.dependency import index_mapping

        self._graph, self._n_lost = graph, 0
        with forgiving():
            index_mapping.update_index_mapping(graph)  # what it works out the first time it looks at the second
        widths = [graph.get_out_channels(module) or 0 for module in graph.module2node]
        widths += [graph.get_in_channels(module) or 0 for module in graph.module2node]
        self._widest = max(widths, default=1)

    def group_of(self, module: Any, n: int) -> Any:
        """All that the `n` outputs of a layer reach, as `DependencyGraph.get_pruning_group`.

        Raises:
            TooTangledError: within the bounds it does not come to an end. Where one is tangled its likes are too, so
                each one after it is given half as much.
        """
        start = self._graph.get_pruner_of_module(module).prune_out_channels
        share = 2**self._n_lost
        n_nodes = len(self._graph.module2node)
        steps = FEWEST_STEPS + STEPS_PER_NODE * n_nodes // share
        positions = FEWEST_POSITIONS + min(STEPS_PER_NODE * n_nodes * n, MOST_POSITIONS) // share
        try:
            with _limited(steps, positions, LONGEST * self._widest):
                return self._graph.get_pruning_group(module, start, list(range(n)))
        except TooTangledError:
            self._n_lost += 1
            raise
        except IndexError as error:  # a part of a split of which it does not know where it begins
            raise TooTangledError from error


@contextmanager
def forgiving() -> Iterator[None]:
    """Inside the block an operation that Torch-Pruning cannot place is taken for one that treats each channel alike.

    It raises where it cannot tell how wide the parts of a concatenation or a split are, and then nothing of the model
    could be followed. What it gets wrong so is seen when it is tried.
    """
    from torch_pruning.dependency import index_mapping

    def guarded(update: Any) -> Any:
        def tried(graph: Any, node: Any) -> None:
            with suppress(TypeError, IndexError):
                update(graph, node)

        return tried

    names = [name for name in vars(index_mapping) if name.startswith("update_") and name != "update_index_mapping"]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(index_mapping, name, guarded(getattr(index_mapping, name))))
        yield


@contextmanager
def _limited(steps: int, positions: int, longest: int) -> Iterator[None]:
    """Inside the block a group that takes too many steps or positions to collect is given up.

    Every step adds to the group, so that is where steps and positions are counted; and what multiplies positions is
    asked before it does. Lists that are met again are looked up, where Torch-Pruning compares each with all others.
    """
    from torch_pruning.dependency import graph as module
    from torch_pruning.dependency import index_mapping

    flatten = index_mapping._FlattenIndexMapping
    multiplied = flatten.__call__

    def asked_first(self: Any, idxs: Sequence[Any]) -> Any:
        if not self.reverse and len(idxs) * self._stride > longest:
            raise TooTangledError
        return multiplied(self, idxs)

    class Limited(module.Group):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._steps_left, self._positions_left = steps, positions
            self._known: dict[tuple[int, Any], set[tuple[Any, ...]]] = {}
            self._places: dict[tuple[int, Any], int] = {}
            self._texts: dict[int, tuple[Any, tuple[Any, ...]]] = {}  # lists by identity, which stay as long as this

        def _text_of(self, idxs: Any) -> tuple[Any, ...]:
            found = self._texts.get(id(idxs))
            return tuple(idxs) if found is None else found[1]

        def add_dep(self, dep: Any, idxs: Any) -> None:
            self._steps_left -= 1
            if id(idxs) not in self._texts:
                self._positions_left -= len(idxs)
            if self._steps_left < 0 or self._positions_left < 0 or len(idxs) > longest:
                raise TooTangledError
            text = self._text_of(idxs)
            self._texts[id(idxs)] = (idxs, text)
            key = (id(dep.target), dep.handler)
            self._known.setdefault(key, set()).add(text)
            self._places.setdefault(key, len(self._group))
            super().add_dep(dep, idxs)

        def has_pruning_op(self, dep: Any, idxs: Any) -> bool:
            return self._text_of(idxs) in self._known.get((id(dep.target), dep.handler), ())

        def add_and_merge(self, dep: Any, idxs: Any) -> None:
            place = self._places.get((id(dep.target), dep.handler))
            if place is None:
                self.add_dep(dep, idxs)
                return
            item = self._group[place]
            merged: dict[int, Any] = {}
            for index in (*item.idxs, *idxs):
                merged.setdefault(index.idx, index)
            self._group[place] = type(item)(dep=item.dep, idxs=list(merged.values()))

    with (
        patch.object(module, "Group", Limited),
        patch.object(flatten, "__call__", asked_first),
        patch.object(index_mapping, "update_index_mapping", lambda graph: None),
    ):
        yield
