"""Whether what an engine gives is what torch gives."""

from collections.abc import Sequence

from torch import Tensor

from core.engines.adapters.adapter import Precision
from core.engines.engine import TOLERANCE, EngineUnavailable
from core.pruning.equality import Terms, distance


def compared(expected: Sequence[Tensor], found: Sequence[Tensor], terms: Terms, precision: Precision) -> float:
    """Largest difference of any output, in parts of the largest one of the same tensor.

    Raises:
        EngineUnavailable: other shapes, no numbers; or float32 further from torch than `TOLERANCE`.
    """
    if [x.shape for x in expected] != [y.shape for y in found]:
        theirs, ours = [tuple(y.shape) for y in found], [tuple(x.shape) for x in expected]
        raise EngineUnavailable(f"its outputs have the shapes {theirs} in place of {ours}")
    if any(bool((y.isnan() & ~x.isnan()).any()) for x, y in zip(expected, found, strict=True)):
        raise EngineUnavailable("its outputs hold NaN where those of torch hold numbers")
    if precision == "float32":
        found = [y.to(x.dtype) for x, y in zip(expected, found, strict=True)]  # some know no int64
        apart = distance(list(expected), list(found), terms)
        if apart is None or not apart <= TOLERANCE:
            raise EngineUnavailable(f"its outputs differ from those of torch by {apart or 0:.2g} (relative)")
    largest = 0.0
    for x, y in zip(expected, found, strict=True):
        told = x.double().isfinite() & y.double().isfinite()
        if bool(told.any()):
            far = (x.double() - y.double())[told].abs().max().item()
            largest = max(largest, far / max(x.double()[told].abs().max().item(), 1e-30))
    return largest
