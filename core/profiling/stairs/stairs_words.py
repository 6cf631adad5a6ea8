"""Staircases in words. No torch."""

from collections.abc import Mapping

from core import numbers
from core.plans.costs.stairs import Stair
from core.profiling.stairs.report import EngineStairs


def engine_text(engine: EngineStairs) -> str:
    """`onnx 1.27.0: dense 0.152 ms; 160 widths of 12 targets`."""
    name = " ".join(filter(None, (engine.engine, engine.version)))
    if engine.reason is not None:
        return f"{name}: {engine.reason}"
    if engine.seconds is None:
        return f"{name}: nothing was timed yet"
    n = len({(one.granularity, one.target) for one in engine.widths})
    text = f"{name}: dense {numbers.milliseconds_text(engine.seconds)} ms; {len(engine.widths)} widths of {n} targets"
    return text if engine.finished else f"{text}; not all yet, `secateur resume` goes on"


def rows(engine: EngineStairs) -> list[tuple[str, str, str, str]]:
    """Of each target its name, dense width, ends of its steps, and widths off the fast path, with their ratios."""
    found = []
    for stairs in engine.stairs():
        for name, stair in stairs.items():
            ratio = {step.width: step.ratio for step in stair.steps} | {stair.n: 1.0}
            ends = " ".join(f"{width}: {ratio[width]:.2f}" for width in stair.ends())
            off = [width for width, held in zip(stair.widths, stair.held, strict=True) if not held]
            found.append((name, str(stair.n), ends, " ".join(f"{width}: {ratio[width]:.2f}" for width in off)))
    return found


def missing_lines(engine: EngineStairs) -> list[str]:
    """Why some widths have no time, each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in engine.widths:
        if one.reason is not None:
            reasons.setdefault(one.reason, []).append(f"{one.target} at {one.width}")
    return [
        f"not timed: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}: {why}" for why, names in reasons.items()
    ]


def ends_of(stairs: Mapping[str, Stair]) -> dict[str, tuple[int, ...]]:
    """By target the widths that are worth leaving, ascending; the dense one is one of them."""
    return {name: stair.ends() for name, stair in stairs.items()}


NOTE = (
    "Ratios: time of the whole model with this one target narrowed by surgery / the dense model's, the median of "
    "paired turns. The end of a step is the largest width that costs so little, noise averaged; off the fast path are "
    "those that surely cost more than a larger one. It holds for this machine, this batch, these threads and versions."
)
