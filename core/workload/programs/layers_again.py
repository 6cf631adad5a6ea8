"""Which operations are a layer's, and the layer: the same operation with the same numbers, so the same bits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

Args = Mapping[str, Any]  # of an operation by the names in its schema; tensors of the program as tensors, else values


@dataclass(frozen=True)
class LayerOperation:
    """How one operation becomes a layer.

    Attributes:
        reads: name of the argument that the layer is called with.
        kind: for a layer whose parameter has no path of its own.
        make: the layer, on no device, from the operation's arguments; `None` where no layer does quite that.
        buffers: arguments beside weight and bias that the layer holds.
        weight, bias: names of the arguments that are these.
    """

    reads: str
    kind: str
    make: Callable[[Args], nn.Module | None]
    buffers: tuple[str, ...] = ()
    weight: str = "weight"
    bias: str = "bias"


def _linear(args: Args) -> nn.Module | None:
    weight = args["weight"]
    if weight.dim() != 2:
        return None
    return nn.Linear(weight.shape[1], weight.shape[0], args["bias"] is not None, device="meta")


class Conv1D(nn.Module):
    """A linear layer whose weight is (inputs, outputs), as that of transformers, under whose name it is known."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        """On no device."""
        super().__init__()
        self.nf = n_outputs
        self.weight = nn.Parameter(torch.empty(n_inputs, n_outputs, device="meta"))
        self.bias = nn.Parameter(torch.empty(n_outputs, device="meta"))

    def forward(self, x: Tensor) -> Tensor:
        """Of (n, inputs) to (n, outputs)."""
        return torch.addmm(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        """Its sizes."""
        return f"{self.weight.shape[0]}, {self.nf}"


def _transposed_linear(args: Args) -> nn.Module | None:
    if args["beta"] != 1 or args["alpha"] != 1 or args["bias"].shape != args["weight"].shape[1:]:
        return None
    return Conv1D(*args["weight"].shape)


def _convolution(cls: type[nn.Module]) -> Callable[[Args], nn.Module]:
    def make(args: Args) -> nn.Module:
        weight, groups = args["weight"], args["groups"]
        return cls(
            weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]), stride=_sizes(args["stride"], weight),
            padding=_sizes(args["padding"], weight), dilation=_sizes(args["dilation"], weight), groups=groups,
            bias=args["bias"] is not None, device="meta",
        )  # fmt: skip

    return make


def _transposed(cls: type[nn.Module]) -> Callable[[Args], nn.Module]:
    def make(args: Args) -> nn.Module:
        weight, groups = args["weight"], args["groups"]
        return cls(
            weight.shape[0], weight.shape[1] * groups, tuple(weight.shape[2:]), stride=_sizes(args["stride"], weight),
            padding=_sizes(args["padding"], weight), output_padding=_sizes(args["output_padding"], weight),
            groups=groups, bias=args["bias"] is not None, dilation=_sizes(args["dilation"], weight), device="meta",
        )  # fmt: skip

    return make


def _sizes(given: Any, weight: Tensor) -> Any:
    """A number for each direction; operations take one for all."""
    if isinstance(given, list):
        return tuple(given) * (weight.dim() - 2) if len(given) == 1 else tuple(given)
    return given


def _embedding(args: Args) -> nn.Module | None:
    if args["scale_grad_by_freq"] or args["sparse"]:
        return None
    n, width = args["weight"].shape
    padding = args["padding_idx"]
    return nn.Embedding(n, width, padding_idx=padding if padding >= 0 else None, device="meta")


def _layer_norm(args: Args) -> nn.Module:
    affine = args["weight"] is not None
    return nn.LayerNorm(args["normalized_shape"], args["eps"], affine, args["bias"] is not None, device="meta")


def _rms_norm(args: Args) -> nn.Module:
    return nn.RMSNorm(args["normalized_shape"], args["eps"], args["weight"] is not None, device="meta")


def _group_norm(args: Args) -> nn.Module | None:
    if (args["weight"] is None) != (args["bias"] is None):
        return None
    return nn.GroupNorm(args["num_groups"], len(args["weight"]), args["eps"], device="meta")


def _batch_norm(args: Args) -> nn.Module | None:
    if args["training"] or args["running_mean"] is None or (args["weight"] is None) != (args["bias"] is None):
        return None
    cls = (
        {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}.get(args["input"].dim())
        if args["input"] is not None
        else None
    )
    if cls is None:
        return None
    n = len(args["running_mean"])
    return cls(n, args["eps"], args["momentum"], args["weight"] is not None, device="meta")


_STATISTICS = ("running_mean", "running_var")
LAYERS: Mapping[str, LayerOperation] = MappingProxyType(
    {
        "aten.linear.default": LayerOperation("input", "linear", _linear),
        "aten.addmm.default": LayerOperation("mat1", "linear", _transposed_linear, weight="mat2", bias="self"),
        "aten.embedding.default": LayerOperation("indices", "embedding", _embedding),
        "aten.layer_norm.default": LayerOperation("input", "norm", _layer_norm),
        "aten.rms_norm.default": LayerOperation("input", "norm", _rms_norm),
        "aten.group_norm.default": LayerOperation("input", "norm", _group_norm),
        "aten.batch_norm.default": LayerOperation("input", "norm", _batch_norm, _STATISTICS),
        **{
            f"aten.conv{n}d.{overload}": LayerOperation("input", "conv", _convolution(cls))
            for n, cls in ((1, nn.Conv1d), (2, nn.Conv2d), (3, nn.Conv3d))
            for overload in ("default", "padding")
        },
        "aten.conv_transpose1d.default": LayerOperation("input", "conv", _transposed(nn.ConvTranspose1d)),
        "aten.conv_transpose2d.input": LayerOperation("input", "conv", _transposed(nn.ConvTranspose2d)),
        "aten.conv_transpose3d.input": LayerOperation("input", "conv", _transposed(nn.ConvTranspose3d)),
    }
)
