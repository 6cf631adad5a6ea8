"""Recognising attention modules: where each kind keeps its heads."""

from collections.abc import Iterable, Mapping

from torch import nn

from core.pruning.attention import HeadLayout
from core.workload.target import Uncuttable


def head_layouts(model: nn.Module) -> tuple[dict[str, HeadLayout], list[Uncuttable]]:
    """Layouts of the attention modules of which heads can be taken out, by path; and the rest, with the reason."""
    return {}, []


def projections(model: nn.Module, layouts: Mapping[str, HeadLayout]) -> Iterable[nn.Module]:
    """Layers that make queries, keys and values: their channels go with their heads, not one by one."""
    return []
