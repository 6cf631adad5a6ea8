"""What becomes of a layer's channels on their way through a model, in words: for reasons, not for cuts."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from core.pruning.coupling.blocks import alone, parts_alone
from core.pruning.coupling.channel_graph import PRODUCERS
from core.pruning.coupling.recurrent import RECURRENT
from core.workload.kept_state import sharing_copy
from core.workload.layers.linear import is_linear
from core.workload.outputs import tensors_of

# calls that put channels elsewhere, by name; what only looks at them or treats each alike is not here
MOVES = {
    "pixel_shuffle": "a pixel shuffle",
    "pixel_unshuffle": "a pixel unshuffle",
    "channel_shuffle": "a channel shuffle",
    "native_channel_shuffle": "a channel shuffle",
    "pad": "a padding",
    "chunk": "a chunk",
    "split": "a split",
    "tensor_split": "a split",
    "split_with_sizes": "a split",
    "unbind": "an unbind",
    "roll": "a roll",
    "flip": "a flip",
    "cumsum": "a cumulative sum",
    "einsum": "an einsum",
    "softmax": "a softmax",
    "index_select": "an index_select",
    "gather": "a gather",
    "repeat_interleave": "a repeat_interleave",
    "repeat": "a repeat",
    "matmul": "a product of matrices",
    "__matmul__": "a product of matrices",
    "bmm": "a product of matrices",
    "linear": "a functional linear layer",
    "conv1d": "a functional convolution",
    "conv2d": "a functional convolution",
    "conv3d": "a functional convolution",
    "unfold": "an unfold",
    "fold": "a fold",
}
READING = ("a functional linear layer", "a functional convolution", "a product of matrices", "an einsum")
MANY = 8  # questions for which it pays to look at parts of a model first
RESHAPES = ("view", "reshape", "unflatten")  # named only if nothing else explains it


@dataclass
class Way:
    """Where channels went.

    Attributes:
        calls: what moved them, in words, each once, in order.
        reshapes: whether they were reshaped.
        modules: modules with parameters of their own that were given them, path and class, in order.
        is_output: the model gives them, or what was made of them.
    """

    calls: list[str] = field(default_factory=list)
    reshapes: bool = False
    modules: list[tuple[str, str]] = field(default_factory=list)
    is_output: bool = False


class _Watch(TorchFunctionMode):
    def __init__(self, way: Way, inside: list[str]) -> None:
        super().__init__()
        self._way, self._inside = way, inside

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if not self._inside and any(isinstance(x, Tensor) and x.requires_grad for x in pytree.tree_leaves(args)):
            words = MOVES.get(name)
            if words and words not in self._way.calls:
                self._way.calls.append(words)
            self._way.reshapes = self._way.reshapes or name in RESHAPES
        return out


def way_of(model: nn.Module, inputs: Sequence[Tensor], makers: Sequence[str]) -> Way | None:
    """What becomes of the channels that some layers make, up to the layers that read them.

    Args:
        model: only read; a copy runs.
        inputs: of a small batch.
        makers: paths of the layers.

    Returns:
        `None` if the model cannot be watched.
    """
    way = Way()
    inside: list[str] = []  # modules with parameters that run now: what they do within is theirs
    try:
        twin = sharing_copy(model).eval().requires_grad_(False)
        for path, module in twin.named_modules():
            if any(True for _ in module.parameters(recurse=False)):
                module.register_forward_pre_hook(_enter(way, inside, path, module, path in makers), with_kwargs=True)
                reads = isinstance(module, (*PRODUCERS, *RECURRENT)) or is_linear(module)
                module.register_forward_hook(_leave(inside, path, path in makers, reads))
        with torch.enable_grad(), torch.inference_mode(False), _Watch(way, inside):
            outputs = twin(*(tensor.clone() for tensor in inputs))
    except Exception:  # reasons are a courtesy
        return None
    way.is_output = any(tensor.requires_grad for tensor in tensors_of(outputs))
    return way


def ways_of(model: nn.Module, inputs: Sequence[Tensor], asked: Mapping[str, Sequence[str]]) -> dict[str, Way | None]:
    """`way_of`, of many.

    Channels that do not leave the module around their layers are followed in it alone: a pass of the whole model for
    each layer of a deep one would take as often as long as it has layers, and each pass as much longer.

    Args:
        model: only read; copies run.
        inputs: of a small batch.
        asked: by name, paths of the layers that make the channels.
    """
    found: dict[str, Way | None] = {}
    around = {name: {path.rpartition(".")[0] for path in makers} for name, makers in asked.items()}
    while len(inside := {name: paths for name, paths in around.items() if name not in found and all(paths)}) >= MANY:
        twin = sharing_copy(model).eval()
        try:
            lying = alone(twin, inputs, inside)
            parts = parts_alone(twin, inputs, lying)
        except Exception:  # it does not like to be watched: then without
            break
        around |= {name: {""} for name in inside}  # of what lies in no part, the whole model is asked
        for path, names in lying.items():
            for name in names:
                around[name] = {path.rpartition(".")[0]}  # next time in what is around that
                if path in parts and (way := way_of(parts[path], parts[path].inputs, asked[name])) is not None:
                    found |= {} if way.is_output else {name: way}
    return {name: found[name] if name in found else way_of(model, inputs, makers) for name, makers in asked.items()}


def _enter(way: Way, inside: list[str], path: str, module: nn.Module, makes: bool) -> Callable[..., None]:
    def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
        given = pytree.tree_leaves((args, kwargs))
        if not makes and not inside and any(isinstance(x, Tensor) and x.requires_grad for x in given):
            way.modules.append((path, type(module).__name__))
        if list(module.children()):
            return  # what it does with its own parameters is seen
        inside.append(path)

    return enter


def _leave(inside: list[str], path: str, makes: bool, reads: bool) -> Callable[..., Any]:
    def leave(module: nn.Module, _: Any, out: Any) -> Any:
        if not list(module.children()):
            inside.remove(path)
        if not makes and not reads:
            return out

        def cut_off(x: Any) -> Any:
            return x.detach().requires_grad_(makes) if isinstance(x, Tensor) and x.is_floating_point() else x

        return pytree.tree_map(cut_off, out)

    return leave


def why_not_followed(way: Way | None, reason: str) -> str:
    """A reason that a person can act on, for one in which an exception or a number speaks."""
    if way is None:
        way = Way()
    norm = next(((path, kind) for path, kind in way.modules if re.search("(RMS|Layer|Group)Norm", kind)), None)
    if norm and "apart" in reason:
        return f"{norm[1]} {norm[0]} takes the mean of its channels, so without some the others would change"
    where = ", ".join(way.calls) if way.calls else "a reshape" if way.reshapes else ""
    if "IndexError" in reason:
        where = where or "an operation that Secateur does not know"
        return f"its channels go through {where} on their way, and are not followed through it position by position"
    if where and where not in reason:
        return f"{reason} (on their way the channels go through {where})"
    return reason
