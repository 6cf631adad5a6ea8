"""How a model is quantized, as plain values. No torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from core.errors import SecateurError

DEFAULT_BITS, MOST_BITS, FEWEST_BITS = 8, 8, 2
SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "weight": "weights alone, as whole numbers with a scale per output channel, in a packed file; any machine",
        "dynamic": "int8 weights, activations quantized as they come; an ONNX file for ONNX Runtime",
        "static": "int8 weights, activations by ranges found on calibration data; an ONNX file for ONNX Runtime",
    }
)
SUFFIXES: Mapping[str, str] = MappingProxyType({"weight": ".safetensors", "dynamic": ".onnx", "static": ".onnx"})


def checked_bits(bits: Any) -> int:
    """`bits` as given.

    Raises:
        SecateurError: it is not a whole number from 2 to 8.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not FEWEST_BITS <= bits <= MOST_BITS:
        raise SecateurError(f"bits must be a whole number from {FEWEST_BITS} to {MOST_BITS}, got {bits!r}")
    return bits


def checked_scheme(scheme: Any, bits: int = DEFAULT_BITS) -> str:
    """`scheme` as given.

    Raises:
        SecateurError: there is none of that name, or it is not for so many bits.
    """
    if scheme not in SCHEMES:
        raise SecateurError(f"no scheme {scheme!r} of quantization; choose one of {', '.join(SCHEMES)}")
    if scheme != "weight" and checked_bits(bits) != DEFAULT_BITS:
        raise SecateurError(f"scheme {scheme} is for 8 bits, got {bits}; scheme weight takes {FEWEST_BITS} to 8")
    return str(scheme)
