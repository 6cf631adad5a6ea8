"""What one merge brought, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Merged:
    """What one merge brought.

    Attributes:
        source: folder of the other workspace.
        added: measurements (one cut on one batch) that were new here.
        known: measurements that were here already, the differing ones among them.
        differing: of the known, those whose numbers are not the same bit for bit. Those here stay.
        largest_difference: of one example's score (or weight) among them; `None` where that is no number: a NaN on one
            side only, say. 0 when just the note whether any output changed differs.
        runs: ids of the runs that were added, or brought further than they were here.
        unfinished: of these, the ones that were waiting or at work there: they stand as interrupted here.
        renamed: of these, new ids by their old ones, which name other runs here.
        models, drafts: descriptions of models, and plans being made, that were new here.
        bundles: exported bundles that were copied into this workspace.
        plans: kept plans that were new here.
        skipped: rows of runs, cells of maps, models, kept plans, predictions, drafts and their rules that are damaged
            there, and were left there.
        rounds: checkpoints of recoveries that were copied into this workspace.
        tickets: trainings of ticket experiments that were copied.
        left: of both what was not, each with the reason: damaged there, or of another course than here.
        damaged: measurements that do not fit their digest there, and were left there.
    """

    source: str
    added: int
    known: int
    differing: int
    largest_difference: float | None
    runs: tuple[str, ...]
    unfinished: tuple[str, ...]
    renamed: Mapping[str, str]
    models: int
    drafts: int
    bundles: int
    plans: int
    skipped: int
    rounds: int
    tickets: int
    left: tuple[str, ...]
    damaged: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
