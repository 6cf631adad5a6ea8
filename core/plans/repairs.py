"""Repairs: what a plan may do, without training, to the tensors that stay. Names and words; no torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from core.errors import SecateurError, unknown_name_hint

REPAIRS: Mapping[str, str] = MappingProxyType(
    {
        "bias": "what a layer loses on average goes into its bias",
        "least-squares": "the weights that stay make up for those that go, as well as calibration inputs allow",
        "batchnorm": "batch normalisations behind a cut take their statistics anew, on calibration data",
        "full": "least-squares, then batchnorm where there are batch normalisations",
    }
)


def checked_repair(repair: Any) -> str | None:
    """A repair's name; `None` for none.

    Raises:
        SecateurError: there is no such repair.
    """
    if repair is None or (isinstance(repair, str) and repair in REPAIRS):
        return repair
    said = repr(repair) if len(repr(repair)) <= 60 else f"{repr(repair)[:60]}…"
    raise SecateurError(f"no repair {said}; {unknown_name_hint(str(repair), list(REPAIRS))}")


def repair_words(repair: str | None) -> str:
    """How a plan's repair is named beside it: `repaired by least-squares`; nothing where there is none."""
    return f"repaired by {repair}" if repair else ""
