"""Packed int8 weights: small in an unstructured plan too, for what was cut takes no bytes. Multiplied out to be run."""

import copy
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from core.delivery.formats.subject import CannotHoldError, Subject
from core.delivery.packed.comparison import compare_packed
from core.delivery.packed.layout import Packed
from core.delivery.packed.packing import write_packed
from core.delivery.packed.unpacking import dequantized, read_packed
from core.delivery.quantized.model import with_codes
from core.engines.state import unique_state
from core.errors import SecateurError
from core.quantization.weights import quantize_weights


def write(subject: Subject, path: Path) -> None:
    """Write a model's weights as int8 codes and scales, packed; what cannot be quantized as it is.

    Raises:
        CannotHoldError: a tensor is of a type that no packed file holds, or a weight is not finite.
    """
    write_packed(_packed(subject.model), path)


def check(subject: Subject, path: Path) -> float:
    """0.0 if a fresh process reads what quantizing the model in memory gives, bit for bit.

    Raises:
        CannotHoldError: a tensor is another.
    """
    try:
        compare_packed(path, dequantized(_packed(subject.model)))
    except CannotHoldError:
        raise
    except SecateurError as error:
        raise CannotHoldError(str(error)) from None
    return 0.0


def reader(subject: Subject, path: Path) -> nn.Module:
    """A model that holds what the file gives, multiplied out."""
    model = copy.deepcopy(subject.model)
    model.load_state_dict(dequantized(read_packed(path)), strict=False)  # tied tensors are stored once
    return model.eval()


def _packed(model: nn.Module) -> Mapping[str, Packed]:
    try:
        return with_codes(unique_state(model), quantize_weights(model))
    except SecateurError as error:
        raise CannotHoldError(str(error)) from None
