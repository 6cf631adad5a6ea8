"""What can be cut, in words: kinds, units, members. Shared by command line and dashboard; no torch."""

from core.workload.target import Target


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


ROLES = {"outputs": "makes", "norm": "scales", "inputs": "reads", "parameter": "takes part"}


def members_text(target: Target) -> str:
    """`stem makes · bn scales · stage1.0.conv1 reads`."""
    return " · ".join(f"{member.layer} {ROLES[member.role]}" for member in target.members)
