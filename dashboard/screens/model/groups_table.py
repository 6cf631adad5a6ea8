"""Coupled groups as tables: what of a model goes together."""

from collections.abc import Sequence

import pandas as pd

from core.workload import target_words
from core.workload.target import Target


def members_frame(group: Target) -> pd.DataFrame:
    """A row per layer of a group, and what of it goes with each channel."""
    return pd.DataFrame(
        {
            "layer": [member.layer for member in group.members],
            "with each": [target_words.ROLES[member.role] for member in group.members],
        }
    ).rename(columns={"with each": f"with each {target_words.unit_word(group)}"})


def groups_frame(groups: Sequence[Target]) -> pd.DataFrame:
    """A row per group; its members are folded into one cell."""
    return pd.DataFrame(
        {
            "group": [group.name for group in groups],
            "units": [f"{group.n_units:,} {target_words.unit_word(group)}s" for group in groups],
            "parts": [group.n_parts for group in groups],
            "layers": [len(group.members) for group in groups],
            "parameters": [group.n_weights for group in groups],
            "members": [target_words.members_text(group) for group in groups],
        }
    )
