"""What can be cut, in words: kinds, units, members. Shared by command line and dashboard; no torch."""

from collections.abc import Sequence

from core.numbers import share_text
from core.workload.target import Target, Uncuttable


def n_units_text(target: Target, n: int) -> str:
    """`8 of 16 channels`."""
    return f"{n:,} of {target.n_units:,} {unit_word(target)}s"


def kind_text(target: Target) -> str:
    """`Conv2d`, `16 channels of Conv2d`, `head of SelfAttention`, `block, BasicBlock`."""
    if target.granularity == "channel":
        return f"{target.n_units:,} {unit_word(target)}s of {target.kind}"
    before = {"weight": "", "head": "head of ", "kv_group": "key/value group of ", "block": "block, "}
    return before[target.granularity] + target.kind


def unit_word(target: Target) -> str:
    """What one unit of a coupled group is called: a linear layer has neurons, and so has Conv1D of transformers."""
    return "neuron" if target.kind in ("Linear", "Conv1D") else "channel"


LITTLE = 0.5  # of a model's weights: if fewer can be cut, the largest reason is said on top


def reach_text(targets: Sequence[Target], uncuttable: Sequence[Uncuttable], n_parameters: int) -> str:
    """How much of a model can be cut; where that is little, what most of the rest is held back by. One line.

    `97 % of 28,416 parameters can be cut; 8 heads, 2 coupled groups`.
    """
    cuttable = sum(target.n_weights for target in targets if target.granularity == "weight")
    share = cuttable / max(1, n_parameters)
    n_heads = sum(target.granularity == "head" for target in targets)
    n_groups = sum(target.granularity == "channel" for target in targets)
    little = share < LITTLE
    said = f"{'only ' if little else ''}{share_text(share)} of {n_parameters:,} parameters can be cut; "
    said += f"{n_heads} head{'s' * (n_heads != 1)}, {n_groups} coupled group{'s' * (n_groups != 1)}"
    by_reason: dict[str, int] = {}
    for item in uncuttable:
        by_reason[item.reason] = by_reason.get(item.reason, 0) + item.n_weights
    if little and by_reason and max(by_reason.values()):
        reason = max(by_reason, key=lambda text: by_reason[text])
        said += f"; most of the rest ({by_reason[reason]:,}): {reason}"
    return said


ROLES = {"outputs": "makes", "norm": "scales", "inputs": "reads", "parameter": "takes part"}


def members_text(target: Target) -> str:
    """`stem makes · bn scales · stage1.0.conv1 reads`."""
    return " · ".join(f"{member.layer} {ROLES[member.role]}" for member in target.members)
