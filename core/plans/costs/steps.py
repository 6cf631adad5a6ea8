"""Widths that engines like: cuts of channels rounded to where steps end, and what leaves the fast path. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.plans.costs.layers import units_removed
from core.plans.plan import Cut, SparsityPlan
from core.plans.units import CannotCutError, n_units_removed
from core.workload.target import Target

BLOCK = 4  # of which a convolution's channels must be a multiple to stay in a blocked layout
# ONNX Runtime 1.32 and ncnn 20261020 on x86-64 with AVX-512, one thread: a CNN of widths 32/64/128 cut to 31/62/126
SLOWER = "a CNN of 32/64/128 cut to 31/62/126 was 1.5 × slower than dense in ONNX Runtime 1.32 and in ncnn 20261020"
SHOWN = 3
Ends = Mapping[str, tuple[int, ...]]  # by coupled group the widths to leave, ascending; the dense one is the last


def on_steps(plan: SparsityPlan, targets: Iterable[Target], ends: Ends) -> tuple[SparsityPlan, tuple[str, ...]]:
    """The plan with every group's remaining width rounded up to where a step ends: more channels for the same time.

    Of ends only those count that a cut's own alignment can leave.

    Args:
        plan: not modified.
        targets: of the model.
        ends: as measured; groups that are not among them stay as they are.

    Returns:
        The plan, and a line for each group that stays whole for it, or of which nothing was measured.
    """
    named = {target.name: target for target in targets if target.granularity == "channel"}
    cuts: list[Cut] = []
    notes = []
    for cut in plan.cuts:
        target = named.get(cut.target) if cut.granularity == "channel" else None
        if target is None or not target.n_units:
            cuts.append(cut)
            continue
        if cut.target not in ends:
            notes.append(f"{cut.target}: no step of it was measured; it is cut as it was asked")
            cuts.append(cut)
            continue
        n, left = target.n_units, target.n_units - units_removed(cut, target)[0]
        widths = (round(n * (1 - level)) for level in reversed(levels_on(target, ends[cut.target], cut.align)))
        end = next(width for width in widths if width >= left)
        if end >= n:
            notes.append(f"{cut.target} stays whole: {left} of its {n} channels take as long as all")
        else:
            cuts.append(replace(cut, sparsity=(n - end) / n))
    return replace(plan, cuts=tuple(cuts)), tuple(notes)


def multiples_of(align: int, targets: Iterable[Target]) -> dict[str, tuple[int, ...]]:
    """Of each coupled group the widths that are a multiple, and its own."""
    groups = [target for target in targets if target.granularity == "channel" and target.n_units]
    return {one.name: (*range(align, one.n_units or 0, align), one.n_units or 0) for one in groups}


def levels_on(target: Target, ends: tuple[int, ...], align: int) -> tuple[float, ...]:
    """Sparsities, ascending from 0, that leave these widths of a group when cut with an alignment."""
    n, levels = target.n_units or 0, {0.0}
    for width in ends:
        if 0 < width < n:
            try:
                if n_units_removed(target, (n - width) / n, align) == n - width:
                    levels.add((n - width) / n)
            except CannotCutError:
                continue
    return tuple(sorted(levels))


def off_blocks(plan: SparsityPlan, targets: Iterable[Target]) -> dict[str, tuple[int, int]]:
    """Coupled groups of convolutions whose width is no multiple of `BLOCK` any more: what is left, of how many."""
    named = {target.name: target for target in targets if target.granularity == "channel"}
    found = {}
    for cut in plan.cuts:
        target = named.get(cut.target) if cut.granularity == "channel" else None
        if target is not None and target.n_units and target.kind.startswith("Conv"):
            n, left = target.n_units, target.n_units - units_removed(cut, target)[0]
            if n % BLOCK == 0 and left % BLOCK:
                found[cut.target] = (left, n)
    return found


def off_blocks_lines(found: Mapping[str, tuple[int, int]]) -> list[str]:
    """A warning for widths that leave the fast path; none where there are none."""
    if not found:
        return []
    names = [f"{name} {left} of {n}" for name, (left, n) in list(found.items())[:SHOWN]]
    rest = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [
        f"left with no multiple of {BLOCK} channels: {', '.join(names)}{rest}; that leaves the blocked layout of ONNX "
        f"Runtime and ncnn ({SLOWER}): use --align {BLOCK}, or --align auto after `secateur profile --widths`"
    ]
