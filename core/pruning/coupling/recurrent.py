"""Recurrent layers as a graph of channels sees them: a unit is a row of every gate, and a column of the next step.

`nn.LSTM`, `nn.GRU` and `nn.RNN` hold several layers and directions, of which each has units of its own; `hidden_size`
is one number for all, so each must lose equally many. A unit whose rows are zero in every gate keeps the state that it
begins with times one factor a step, which is zero where none is given: without them it never says anything.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from core.pruning.coupling.channel_graph import ChannelGraph, Place

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
KNOWN = (nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell)


def _packed(x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    sizes = torch.tensor([int((lengths > step).sum()) for step in range(int(lengths.max()))])
    steps = torch.cat([torch.full((int(n),), step) for step, n in enumerate(sizes)])
    places = torch.cat([torch.arange(int(n)) for n in sizes])
    return (x[places, steps] if batch_first else x[steps, places]), sizes


def _padded(
    data: Tensor, sizes: Tensor, batch_first: bool, padding: float, total_length: int = -1
) -> tuple[Tensor, Tensor]:
    begin = sizes.cumsum(0) - sizes
    n, steps = int(sizes[0]), max(len(sizes), total_length)
    lengths = torch.stack([(sizes > place).sum() for place in range(n)])
    rows = torch.zeros(steps, n, dtype=torch.long)
    for step in range(len(sizes)):
        rows[step, : int(sizes[step])] = begin[step] + torch.arange(int(sizes[step]))
    return data[rows.T if batch_first else rows], lengths  # of steps that are not there the first row: widths are true


PACKING: dict[Any, Callable[..., Any]] = {
    torch._VF._pack_padded_sequence: _packed,
    torch._VF._pad_packed_sequence: _padded,
}


class Gates(nn.Linear):
    """One weight of a recurrent layer, for tracing: it makes units and not the rows of their gates.

    Attributes:
        path: of the recurrent layer.
        parameter, bias_name: state-dict names of the weight and of its bias, if it has one.
        kind: `"ih"` reads inputs, `"hh"` the last step, `"hr"` projects units.
        part: which layer and direction, counted from 0.
        n_gates: rows that each unit has.
    """

    path: str
    parameter: str
    bias_name: str | None
    kind: str
    part: int
    n_gates: int

    @property
    def key(self) -> tuple[str, bool]:
        """What must lose equally many channels in every part: units of one layer, or what it projects them to."""
        return self.path, self.kind == "hr"


def gates_of(path: str, module: nn.Module, attribute: str, part: int) -> Gates:
    """One weight of a recurrent layer; its values are those of the first gate."""
    weight: Tensor = getattr(module, attribute)
    n_units: Any = module.hidden_size
    kind = next(kind for kind in ("ih", "hh", "hr") if f"weight_{kind}" in attribute)
    n_gates = 1 if kind == "hr" else len(weight) // n_units
    rows = len(weight) // n_gates
    made = Gates(weight.shape[1], rows, bias=False, device="meta", dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach()[:rows].clone())
    prefix = f"{path}." if path else ""
    bias = attribute.replace("weight", "bias")
    made.path, made.parameter, made.kind, made.part, made.n_gates = path, f"{prefix}{attribute}", kind, part, n_gates
    made.bias_name = f"{prefix}{bias}" if isinstance(getattr(module, bias, None), Tensor) else None
    return made


def _suffixes(module: nn.Module) -> list[str]:
    if isinstance(module, nn.RNNCellBase):
        return [""]
    assert isinstance(module, nn.RNNBase)
    turns = ("", "_reverse") if module.bidirectional else ("",)
    return [f"_l{layer}{turn}" for layer in range(module.num_layers) for turn in turns]


def is_followed(module: nn.Module) -> bool:
    """Whether a module is a recurrent layer of torch that runs as torch's do and holds its weights as parameters."""
    if not isinstance(module, KNOWN) or not any(type(module).forward is kind.forward for kind in KNOWN):
        return False
    own = dict(module.named_parameters(recurse=False))
    return all(f"weight_{kind}{suffix}" in own for suffix in _suffixes(module) for kind in ("ih", "hh"))


class StandIn(nn.Module):
    """In place of a recurrent layer while channels are followed: one step of it, and only what joins units.

    What it gives has the shapes of what the layer gives, and other values. That the last step makes and reads the same
    units is told to the graph by `join_steps`.
    """

    def __init__(self, path: str, layer: nn.Module) -> None:
        super().__init__()
        names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size")
        for name in names:  # what a model may ask for
            if hasattr(layer, name):
                setattr(self, name, getattr(layer, name))
        self.is_cell = isinstance(layer, nn.RNNCellBase)
        self.has_cells = isinstance(layer, nn.LSTM | nn.LSTMCell)
        self.suffixes = _suffixes(layer)
        for part, suffix in enumerate(self.suffixes):
            for kind in ("ih", "hh", "hr"):
                attribute = f"weight_{kind}{suffix}"
                if hasattr(layer, attribute):
                    setattr(self, attribute, gates_of(path, layer, attribute, part))

    def flatten_parameters(self) -> None:
        """As torch's, which models call before they run."""

    def parts(self) -> Iterator[tuple[Gates, Gates, Gates | None]]:
        """Of each layer and direction the weights of inputs, of the last step, and of the projection."""
        for suffix in self.suffixes:
            ih, hh = getattr(self, f"weight_ih{suffix}"), getattr(self, f"weight_hh{suffix}")
            yield ih, hh, getattr(self, f"weight_hr{suffix}", None)

    def forward(self, given: Any, hx: Any = None) -> Any:
        """Outputs and last states, or a cell's next states."""
        states = (None, None) if hx is None else tuple(hx) if self.has_cells else (hx, None)
        if self.is_cell:
            ih = next(self.parts())[0]
            made = torch.tanh(ih(given))
            for state in states:
                made = made if state is None else made + state
            return (made, made) if self.has_cells else made
        packed = given if isinstance(given, PackedSequence) else None
        x = given if packed is None else packed.data
        turns = 2 if self.bidirectional else 1
        last: Callable[[Tensor], Tensor] = self._last(packed, x)
        outputs: list[Tensor] = []
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        for number, (ih, _, hr) in enumerate(self.parts()):
            unit = self._begun(torch.tanh(ih(x)), states[1], number, packed)
            out = self._begun(unit if hr is None else hr(unit), states[0], number, packed)
            hidden.append(last(out))
            cells.append(last(unit))
            outputs.append(out)
            if len(outputs) == turns:
                x = torch.cat(outputs, -1) if turns > 1 else out
                outputs = []
        result = x if packed is None else PackedSequence(x, *packed[1:])
        h, c = (torch.stack(found) if len(found) > 1 else found[0].unsqueeze(0) for found in (hidden, cells))
        return result, (h, c) if self.has_cells else h

    def _last(self, packed: PackedSequence | None, x: Tensor) -> Callable[[Tensor], Tensor]:
        if packed is not None:
            n = int(packed.batch_sizes[0])
            return lambda made: made[torch.arange(n)]  # a slice is taken for one of channels
        if x.dim() == 3 and self.batch_first:
            return lambda made: made[:, -1]
        return lambda made: made[-1]

    def _begun(self, made: Tensor, state: Tensor | None, number: int, packed: PackedSequence | None) -> Tensor:
        """With the state that it begins with, whose entries are the units' too."""
        if state is None:
            return made
        own = state[number]
        if packed is not None:
            return made + own.mean(0)
        return made + (own.unsqueeze(1) if made.dim() == 3 and self.batch_first else own)


def stand_in(twin: nn.Module) -> bool:
    """Put stand-ins in the place of recurrent layers of a copy; whether there are any."""
    made: dict[int, StandIn] = {}  # of a layer that stands in several places one
    for path, module in list(twin.named_modules(remove_duplicate=False)):
        if path and is_followed(module):
            parent, _, name = path.rpartition(".")
            made[id(module)] = made.get(id(module)) or StandIn(path, module)
            setattr(twin.get_submodule(parent), name, made[id(module)])
    return bool(made)


def steps_of(twin: nn.Module, met: Sequence[Any]) -> list[Gates]:
    """Weights of the last step, which a stand-in never calls, of the recurrent layers that were met."""
    there = {id(module) for module in met}
    parts = [part for module in twin.modules() if isinstance(module, StandIn) for part in module.parts()]
    return [hh for ih, hh, _ in parts if id(ih) in there]


def join_steps(graph: ChannelGraph, twin: nn.Module) -> None:
    """Join what the last step made with what this one makes, and what it reads with what the layer gives."""
    for module in twin.modules():
        for ih, hh, hr in module.parts() if isinstance(module, StandIn) else ():
            if id(hh) not in graph.numbers:
                continue
            made, step = graph.numbers[id(ih)], graph.numbers[id(hh)]
            given = made if hr is None else graph.numbers.get(id(hr))
            for i in range(hh.out_features):
                graph.join((made, "outputs", i), (step, "outputs", i))
            for i in range(hh.in_features if given is not None else 0):
                graph.join((given, "outputs", i), (step, "inputs", i))  # type: ignore[arg-type]


def units_together(
    graph: ChannelGraph, kinds: dict[Any, list[tuple[Place, ...]]]
) -> list[tuple[Any, list[tuple[Place, ...]], list[Any]]]:
    """Kinds of units, with those joined that hold parts of one recurrent layer, whose parts lose equally many.

    Args:
        graph: joined.
        kinds: units by the layers and roles that they have places in.

    Returns:
        Of each its layers and roles, its units, and the kinds that it was joined of.
    """
    found: list[tuple[set[tuple[str, bool]], list[Any]]] = []
    for kind in sorted(kinds):
        layers = [graph.layers[number][1] for number, role in kind if role == "outputs"]
        keys = {layer.key for layer in layers if isinstance(layer, Gates)}
        with_it = [one for one in found if one[0] & keys] if keys else []
        found = [one for one in found if not one[0] & keys] if with_it else found
        found.append((keys.union(*(one[0] for one in with_it)), [*(k for one in with_it for k in one[1]), kind]))
    result = []
    for _, own in found:
        places = tuple(sorted({place for kind in own for place in kind}))
        result.append((places, [unit for kind in own for unit in kinds[kind]], own))
    return sorted(result, key=lambda one: one[0])


def part_labels(graph: ChannelGraph, kind: Any, units: Sequence[tuple[Place, ...]]) -> list[tuple[Any, ...]]:
    """Of each unit in which layers and directions of recurrent layers it lies, and how often; empty if in none."""
    keys = sorted(
        {layer.key for n, role in kind if role == "outputs" and isinstance(layer := graph.layers[n][1], Gates)}
    )
    labels: list[tuple[Any, ...]] = []
    for unit in units:
        layers = [graph.layers[number][1] for number, role, _ in unit if role == "outputs"]
        made = [layer for layer in layers if isinstance(layer, Gates) and layer.kind != "hh"]
        labels.append(tuple(tuple(sorted(layer.part for layer in made if layer.key == key)) for key in keys))
    return labels
