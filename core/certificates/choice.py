"""What a model was chosen by among others, and what it costs on examples that were not chosen by. No torch."""

import math
from collections.abc import Mapping
from typing import Any

from core import numbers
from core.sensitivity.report import Estimate
from core.workload.scale import Scale


def choice_texts(scale: Scale, choice: Mapping[str, Any]) -> list[str]:
    """Sentences on the best round of a recovery, without their full stops.

    Args:
        scale: of the metric.
        choice: `"chosen"`: its drop where it was chosen. `"judged"`: on others; `None` if nobody could measure it.
            `"unseen"`: whether these are others at all. `"tolerance"`: that it was chosen by.
    """
    chosen = Estimate(**choice["chosen"])
    found = numbers.drop_with_interval(scale, chosen)
    if not choice["unseen"]:
        return [f"It was chosen and is judged on the same {chosen.n:,} examples, where it costs {found}"]
    lines = [f"It was chosen by what it costs on the first examples: {found}"]
    if choice["judged"] is None:
        return [*lines, "What it costs on others could not be measured: no number came of them, or its file is gone"]
    judged = Estimate(**choice["judged"])
    words = f"On others, by which no round was chosen, it costs {numbers.drop_with_interval(scale, judged)}"
    inside = judged.high <= choice["tolerance"]
    return [*lines, words if inside else f"{words}: not all of that interval lies within the tolerance"]


def is_sound_choice(fields: object) -> bool:
    """Whether plain values have the types that a choice's have; so has nothing at all."""
    if fields is None:
        return True
    try:
        chosen, judged = fields["chosen"], fields["judged"]  # type: ignore[index]
        estimates = [Estimate(**one) for one in (chosen, judged) if one is not None]
        counts = [fields[name] for name in ("round", "of", "skip")]  # type: ignore[index]
        counts += [one.n for one in estimates]
        reals = [fields["tolerance"], *(x for one in estimates for x in (one.value, one.low, one.high))]  # type: ignore[index]
        is_told = chosen is not None and isinstance(fields["unseen"], bool)  # type: ignore[index]
        # who judges on others has left out those that the round was chosen by
        is_told = is_told and (not fields["unseen"] or fields["skip"] >= estimates[0].n)  # type: ignore[index]
        is_told = is_told and all(math.isfinite(x) for x in reals)
    except (TypeError, KeyError, OverflowError):
        return False
    return (
        is_told
        and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in counts)
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in reals)
    )
