"""Linear layers by what they do: torch's own, and those of transformers that store their weight transposed."""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import UninitializedParameter

TRANSPOSED_NAME = "Conv1D"  # of transformers: GPT-2 and its kin; not torch's Conv1d
_ROWS = 2  # of the trial


def is_transposed(module: nn.Module) -> bool:
    """Whether a module is a linear layer whose weight is (inputs, outputs), as the `Conv1D` of transformers.

    By the name of its class and the shapes of its weight and bias, and then by a trial: it must give what a linear
    layer of the transposed weight gives. Where nothing can be computed (the meta device) name and shapes decide.
    """
    weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
    if type(module).__name__ != TRANSPOSED_NAME or isinstance(module, nn.Linear) or not isinstance(weight, Tensor):
        return False
    if isinstance(weight, UninitializedParameter):
        return False
    if weight.dim() != 2 or not weight.is_floating_point() or not _is_bias(bias, weight.shape[1]):
        return False
    if getattr(module, "nf", weight.shape[1]) != weight.shape[1]:
        return False
    return weight.device.type == "meta" or _gives_what_linear_gives(module, weight, bias)


def _is_bias(bias: Any, n: int) -> bool:
    return bias is None or (isinstance(bias, Tensor) and bias.shape == (n,))


def _gives_what_linear_gives(module: nn.Module, weight: Tensor, bias: Tensor | None) -> bool:
    x = torch.linspace(-1, 1, _ROWS * len(weight), dtype=weight.dtype, device=weight.device).view(_ROWS, -1)
    try:
        with torch.no_grad():
            own, right = module.forward(x), F.linear(x, weight.T, bias)
    except Exception:  # whatever it is, it is no linear layer
        return False
    if not isinstance(own, Tensor) or own.shape != right.shape:
        return False
    return bool(torch.allclose(own, right, rtol=1e-2, atol=1e-2 * float(right.abs().max()), equal_nan=True))


def is_linear(module: nn.Module | None) -> TypeGuard[nn.Module]:
    """Whether a module is `nn.Linear`, or one that stores its weight transposed."""
    return isinstance(module, nn.Linear) or (module is not None and is_transposed(module))


def n_inputs(module: nn.Module) -> int:
    """Of a linear layer."""
    return _sizes(module)[1]


def n_outputs(module: nn.Module) -> int:
    """Of a linear layer."""
    return _sizes(module)[0]


def _sizes(module: nn.Module) -> tuple[int, int]:
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.shape[1], weight.shape[0]


def oriented(model: nn.Module, name: str, tensor: Tensor | None = None) -> Tensor:
    """A parameter, or a tensor of its shape, with its outputs first: transposed where its layer stores it so.

    Args:
        model: whose parameter it is.
        name: state-dict name.
        tensor: of the parameter's shape; by default the parameter itself, detached.
    """
    tensor = model.get_parameter(name).detach() if tensor is None else tensor
    path, _, attribute = name.rpartition(".")
    stored_so = attribute == "weight" and is_transposed(model.get_submodule(path))
    return tensor.T if stored_so else tensor


def as_torchs(module: nn.Module) -> nn.Linear:
    """`nn.Linear` of the transposed weight, which it shares."""
    weight, bias = module.weight, getattr(module, "bias", None)
    assert isinstance(weight, Tensor)
    made = nn.Linear(weight.shape[0], weight.shape[1], bias is not None, device="meta", dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach().T, requires_grad=weight.requires_grad)
    if bias is not None:
        made.bias = bias
    return made.train(module.training)
