"""A certificate: what was asked of a plan, on which examples, and what came out. Plain values; no torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.errors import SecateurError
from core.shown import Shown
from core.workload.scale import Scale

State = Literal["certified", "exceeded", "open"]
STATES: tuple[State, ...] = ("certified", "exceeded", "open")


def check_asked(within: float, confidence: float) -> None:
    """Refuse a drop or a confidence that nothing can be asked by.

    Raises:
        SecateurError: it is out of its range.
    """
    if not 0.5 <= confidence < 1:
        raise SecateurError(f"confidence must lie from 50 to below 100 percent, got {100 * confidence:.4g}")
    if not 0 < within < math.inf:
        raise SecateurError(f"the drop that is asked about must be above 0, got {within:g}; 1 is one point")


@dataclass(frozen=True)
class Certificate(Shown):
    """What may be said of a plan's drop, from examples that nothing was chosen by.

    Attributes:
        scale: of the metric.
        plan: fingerprint of what is cut.
        model: fingerprint of the model that the plan cuts: the dense one, or a trained one.
        examples: fingerprint of all that were set aside, in their order.
        n_held: how many these are.
        within: the drop that was asked about, in the metric's unit.
        confidence: of all certificates on these examples together.
        number: which of the plans that were looked at on them this is, counted from 1; later ones are judged more
            strictly, see `core.certificates.bound.level`.
        n: examples that were looked at.
        drop: on these.
        bound: what the drop is at most.
        floor: what it is at least.
        state: `"certified"`: `bound` is within. `"exceeded"`: `floor` is not. `"open"`: neither, on all there are.
        more: how many more examples would certify it, about; `None` if none would, or none are needed.
        teacher: of a trained model, fingerprint of the dense one that its drop is from; `None` of others.
    """

    scale: Scale
    plan: str
    model: str
    examples: str
    n_held: int
    within: float
    confidence: float
    number: int
    n: int
    drop: float
    bound: float
    floor: float
    state: State
    more: int | None
    teacher: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Certificate":
        """Inverse of `to_json` after a trip through JSON.

        Raises:
            TypeError, KeyError: it is none.
        """
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name != "teacher"}
        return cls(**{**known, "teacher": fields.get("teacher"), "scale": Scale.from_json(dict(known["scale"]))})


def is_sound(fields: object) -> bool:
    """Whether plain values have the types that a certificate's have; so has nothing at all."""
    if fields is None:
        return True
    try:
        found = Certificate.from_json(fields)  # type: ignore[arg-type]
        texts = (found.plan, found.model, found.examples, found.scale.name, found.scale.unit, found.teacher or "")
        counts = (found.n_held, found.number, found.n, *(() if found.more is None else (found.more,)))
        shares = (found.within, found.confidence, found.drop, found.bound, found.floor)
        check_asked(found.within, found.confidence)
        is_finite = all(math.isfinite(x) for x in shares)
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError, SecateurError):
        return False
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in counts)
        and is_finite
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in shares)
        and found.state in STATES
    )
