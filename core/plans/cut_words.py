"""Cuts in words: what goes of which target, by which criterion. Shared by command line and dashboard; no torch."""

from core.numbers import sparsity_text
from core.plans.criteria import DEFAULT_CRITERION, CriterionFacts
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import Cut


def cut_text(cut: Cut) -> str:
    """`stem at 50 %`, `channels of stem at 50 %`, `stem at 2:4`; a head goes whole, and its name says what it is.

    A criterion is told if it is not the usual one: `stem at 50 % by wanda`.
    """
    name = f"channels of {cut.target}" if cut.granularity == "channel" else cut.target
    return name if cut.sparsity is None else f"{name} at {removed_text(cut)}{criterion_text(cut)}"


def criterion_text(cut: Cut) -> str:
    """` by wanda`, to be put behind the name of a cut; nothing for the usual criterion, or where there is none."""
    return "" if cut.criterion in (None, DEFAULT_CRITERION) else f" by {cut.criterion}"


def not_repaired_text(cut: Cut, reason: str) -> str:
    """Of a line that stays raw in a plan with a repair: `stem at 50 % is not repaired: …`."""
    return f"{cut_text(cut)} is not repaired: {reason}"


NEEDS = {"weights": "nothing", "calibration": "calibration data", "loss": "calibration data, a loss"}


def needs_text(facts: CriterionFacts) -> str:
    """What a criterion asks of a workload: `nothing`, `calibration data`, `calibration data, a loss`."""
    return NEEDS[facts.needs]


def curve_text(cut: Cut) -> str:
    """What cuts of one curve have in common: `stem`, `channels of stem`, `stem in tiles of 4x4`, `stem by wanda`."""
    by = criterion_text(cut)
    if is_pattern(cut.granularity):
        return f"{cut.target} in tiles of {cut.granularity}{by}"
    return f"channels of {cut.target}{by}" if cut.granularity == "channel" else f"{cut.target}{by}"


GRANULARITIES = {
    "weight": "weights",
    "channel": "channels & neurons",
    "head": "heads",
    "kv_group": "key/value groups",
    "block": "blocks",
}


def granularity_text(granularity: str) -> str:
    """What goes as one, in the plural: `weights`, `channels & neurons`, `2:4`, `tiles of 4x4`."""
    if is_pattern(granularity):
        return f"tiles of {granularity}" if parse_pattern(granularity).is_tiles else granularity
    return GRANULARITIES[granularity]


def what_goes_text(cut: Cut, unit: str = "channel") -> str:
    """Of one target: `50 % removed`, `50 % of its channels removed`, `cut to 2:4`, `the head removed`, `skipped`.

    `unit` is what one of a coupled group is called, where that is known.
    """
    whole = {"head": "the head removed", "kv_group": "the key/value head and its queries removed", "block": "skipped"}
    if cut.sparsity is None:
        return whole[cut.granularity]
    share = sparsity_text(cut.sparsity)
    if cut.granularity == "channel":
        aligned = f", a multiple of {cut.align} stays" if cut.align > 1 else ""
        return f"{share} of its {unit}s removed{aligned}"
    if is_pattern(cut.granularity):
        is_tiles = parse_pattern(cut.granularity).is_tiles
        return f"{share} of its tiles of {cut.granularity} removed" if is_tiles else f"cut to {cut.granularity}"
    return f"{share} removed"


def removed_text(cut: Cut) -> str:
    """What goes: `50 %`, `2:4`, or `50 % in tiles of 4x4`; `head` for what goes whole."""
    if cut.sparsity is None:
        return "head"
    if not is_pattern(cut.granularity):
        return sparsity_text(cut.sparsity)
    is_tiles = parse_pattern(cut.granularity).is_tiles
    return f"{sparsity_text(cut.sparsity)} in tiles of {cut.granularity}" if is_tiles else cut.granularity
