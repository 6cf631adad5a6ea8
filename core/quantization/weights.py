"""Weight-only quantization: symmetric, one scale for each output channel; a zero stays an exact zero.

Symmetric per output channel with the scale of the largest weight: Krishnamoorthi 2018, arXiv:1806.08342, 2.2 and 3.1.
Of weights alone: they are multiplied out, and calculated with in floating point as before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import SecateurError, unknown_name_hint
from core.quantization.bits import DEFAULT_BITS, checked_bits
from core.workload.discovery import find_targets
from core.workload.target import Target

SCALE_BYTES = 4


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A weight as whole numbers and scales.

    Attributes:
        codes: int8, shape of the weight, each in [-largest_code(bits), largest_code(bits)].
        scales: float32 (of a float64 weight float64), (n,): of each slice along `axis`, at least 0.
        axis: of the output channels, or of the rows that are looked up.
        dtype: of the weight.
        bits: that the codes are made for; they are stored as int8 all the same, for compression to shorten.
    """

    codes: Tensor
    scales: Tensor
    axis: int
    dtype: torch.dtype
    bits: int

    def __post_init__(self) -> None:
        scales = self.scales
        fits = 0 <= self.axis < self.codes.dim() and scales.shape == self.codes.shape[self.axis : self.axis + 1]
        floats = scales.dtype in (torch.float32, torch.float64) and self.dtype.is_floating_point
        if self.codes.dtype != torch.int8 or not fits or not floats:
            raise ValueError(
                f"codes {tuple(self.codes.shape)} of {self.codes.dtype} need int8 and a floating-point scale for each "
                f"slice along axis {self.axis}, got {tuple(scales.shape)} of {scales.dtype} for {self.dtype}"
            )

    def dequantized(self) -> Tensor:
        """The weight that the codes stand for, `codes * scales` in the dtype of the scales, then in `dtype`."""
        shape = [1] * self.codes.dim()
        shape[self.axis] = -1
        found = self.codes.to(self.scales.dtype) * self.scales.view(shape)
        bound = torch.finfo(self.dtype)  # the largest weight of a type may be rounded to just above it
        return found.clamp(bound.min, bound.max).to(self.dtype)


@dataclass(frozen=True)
class LeftAlone:
    """A tensor that is not quantized.

    Attributes:
        name: in the state dict.
        n_entries: that it has.
        reason: one sentence, without a full stop.
    """

    name: str
    n_entries: int
    reason: str


@dataclass(frozen=True)
class QuantizedWeights:
    """The weights of a model that were quantized, and what was not.

    Attributes:
        tensors: by state-dict name; of tied weights under the name of the target that they are.
        names: every state-dict name of these, with the one that it has in `tensors`.
        left: tensors that stay as they are, and why.
        n_vanished: entries that were not zero and are by now: they lie within half a step of it.
    """

    tensors: Mapping[str, QuantizedTensor] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    left: tuple[LeftAlone, ...]
    n_vanished: int

    def dequantized(self) -> dict[str, Tensor]:
        """By state-dict name, what `core.pruning.wearing.put` puts into a copy of the model."""
        return {name: one.dequantized() for name, one in self.tensors.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the tensors."""
        return {
            "bits": {name: one.bits for name, one in self.tensors.items()},
            "left": [{"name": one.name, "entries": one.n_entries, "reason": one.reason} for one in self.left],
            "vanished": self.n_vanished,
        }


def largest_code(bits: int) -> int:
    """Of so many bits, the codes reach from minus this to this: 127 for 8, 7 for 4, 3 for 3, 1 for 2."""
    return 2 ** (bits - 1) - 1


def quantize_tensor(weight: Tensor, axis: int, bits: int = DEFAULT_BITS) -> QuantizedTensor:
    """Codes and scales of a weight.

    Args:
        weight: floating-point, at least one dimension, finite. Not modified.
        axis: the dimension of the output channels; each of its slices has a scale.
        bits: 2 to 8.

    Returns:
        A tensor that lies nowhere further than half a scale from the weight, with exact +0 where the weight is zero.

    Raises:
        SecateurError: the weight holds NaN or infinite values, or `bits` is none of these.
    """
    most = largest_code(checked_bits(bits))
    wide = weight.detach().to(torch.float64 if weight.dtype == torch.float64 else torch.float32)
    if not bool(wide.isfinite().all()):
        raise SecateurError("a weight with NaN or infinite values cannot be quantized; load a sound checkpoint")
    others = [dim for dim in range(wide.dim()) if dim != axis]
    scales = wide.abs().amax(dim=others) if others else wide.abs()
    scales = scales / most
    shape = [1] * wide.dim()
    shape[axis] = -1
    codes = torch.where(scales.view(shape) > 0, wide / scales.view(shape), 0.0)
    return QuantizedTensor(codes.round().clamp(-most, most).to(torch.int8), scales, axis, weight.dtype, bits)


def quantize_weights(model: nn.Module, bits: int | Mapping[str, int] = DEFAULT_BITS) -> QuantizedWeights:
    """Quantize the weights of every linear, convolution and embedding layer of a model, tied ones once.

    Args:
        model: not modified; dense, masked or shrunk.
        bits: of all of them, or of each target by name; what is not named stays as it is.

    Raises:
        SecateurError: a name that no weight target has, bits out of range, or NaN in a weight.
    """
    targets, refused = find_targets(model)
    weights = [target for target in targets if target.granularity == "weight"]
    wanted = _bits_of(weights, bits)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    tensors: dict[str, QuantizedTensor] = {}
    names: dict[str, str] = {}
    left = [LeftAlone(one.name, one.n_weights, one.reason) for one in refused if one.name in parameters]
    n_vanished = 0
    for target in weights:
        reason = "was not asked for" if target.name not in wanted else _why_left(target)
        if reason is not None:
            left.append(LeftAlone(target.parameter, target.n_weights, reason))
            continue
        weight = parameters[target.parameter]
        found = quantize_tensor(weight, output_axis(target), wanted[target.name])
        tensors[target.parameter] = found
        names |= dict.fromkeys((target.parameter, *target.shared_with), target.parameter)
        n_vanished += int(((found.codes == 0) & (weight.detach() != 0)).sum())
    return QuantizedWeights(tensors, names, (*left, *_buffers(model)), n_vanished)


def output_axis(target: Target) -> int:
    """The dimension of a weight target along which every slice has a scale of its own."""
    return 1 if target.layout in ("inputs_first", "transposed") else 0


def _bits_of(weights: list[Target], bits: int | Mapping[str, int]) -> dict[str, int]:
    known = [target.name for target in weights]
    if not isinstance(bits, Mapping):
        return dict.fromkeys(known, checked_bits(bits))
    for name in bits:
        if name not in known:
            raise SecateurError(f"no weight target {name!r} to quantize; {unknown_name_hint(name, known)}")
    return {name: checked_bits(given) for name, given in bits.items()}


def _why_left(target: Target) -> str | None:
    n_scales = target.shape[output_axis(target)]
    if target.n_weights + SCALE_BYTES * n_scales >= SCALE_BYTES * target.n_weights:
        return "its scales would take as much as it saves"
    return None


def _buffers(model: nn.Module) -> Iterator[LeftAlone]:
    kept = model.state_dict()
    for name, buffer in model.named_buffers():
        if name in kept:
            yield LeftAlone(name, buffer.numel(), "a buffer, such as the statistics of a normalisation: no weight")
