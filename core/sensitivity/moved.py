"""Which cells of a map have moved between two models, from evidence of two sweeps on the same examples. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from core.errors import SecateurError
from core.plans.plan import Cut
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale

Direction = Literal["more", "less", "unclear"]


@dataclass(frozen=True)
class MovedCell:
    """How much more a cut costs one model than the other.

    Attributes:
        cut: the same of both.
        before, after: drops of each model from itself, on the examples that both sweeps measured of the cut.
        difference: after minus before, of the same examples, with an interval that is corrected for all cells.
        direction: `"more"` or `"less"` sensitive where the interval lies on one side of 0.
    """

    cut: Cut
    before: float
    after: float
    difference: Estimate
    direction: Direction


@dataclass(frozen=True)
class MovedMap:
    """Two maps beside each other.

    Attributes:
        scale: of the differences: drops of a perplexity are compared as their logarithms.
        confidence: that no cell is called moved by chance.
        cells: that both sweeps have measured, the largest difference first.
    """

    scale: Scale
    confidence: float
    cells: tuple[MovedCell, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def moved_map(
    store: EvidenceStore,
    before: SensitivityReport,
    after: SensitivityReport,
    results: tuple[Mapping[str, Any], Mapping[str, Any]],
    confidence: float = 0.95,
) -> MovedMap:
    """Compare two sweeps cut by cut.

    Args:
        store: of the workspace.
        before, after: the two maps.
        results: of their runs: batches and dense cells.
        confidence: of all cells together (Bonferroni), from 0.5 to below 1.

    Raises:
        SecateurError: other metrics, no example or no cut in common, or a metric whose drops are no means.
    """
    if before.scale != after.scale:
        raise SecateurError(
            f"run {before.run} was judged by {before.scale.name}, run {after.run} by {after.scale.name}; sweep both "
            "models by the same metric"
        )
    if before.scale.of_set:
        raise SecateurError(
            f"drops of {before.scale.name} are of the whole set, so that two maps cannot be compared example by "
            "example; sweep both models by a mean of examples, such as accuracy"
        )
    if any(not result.get("batches") or not result.get("dense_cell") for result in results):
        raise SecateurError("a run does not say which examples it measured: older builds did not; sweep again")
    shared = [key for key in results[0]["batches"] if key in set(results[1]["batches"])]
    if not shared:
        raise SecateurError(
            f"runs {before.run} and {after.run} share no batch of examples; sweep both models on the same evaluation "
            "data with the same --seed and --samples"
        )
    # of a census only what it read at random stands for all
    random = set.intersection(*(set(one["batches"][: one.get("n_random") or len(one["batches"])]) for one in results))
    theirs = {cell.cut: cell for cell in after.cells if cell.evidence is not None}
    pairs = [(one, theirs[one.cut]) for one in before.cells if one.evidence is not None and one.cut in theirs]
    if not pairs:
        raise SecateurError(f"runs {before.run} and {after.run} have no measured cut in common; sweep the same layers")
    dense = [store.read(result["dense_cell"], shared) for result in results]
    found = []
    for one, other in pairs:
        cells = [store.read(cell.evidence or "", shared) for cell in (one, other)]
        keys = [key for key in shared if all(key in known for known in (*dense, *cells))]
        if len(keys) < max(len(result["batches"]) for result in results):
            keys = [key for key in keys if key in random]
        moved = _moved(before.scale, (one, other), dense, cells, keys, (1 - confidence) / len(pairs))
        found += [moved] if moved is not None else []
    found.sort(key=lambda one: -abs(one.difference.value))
    return MovedMap(_difference_scale(before.scale), confidence, tuple(found))


def _moved(
    scale: Scale,
    cells: tuple[CellResult, CellResult],
    dense: Sequence[Mapping[str, BatchEvidence]],
    cut: Sequence[Mapping[str, BatchEvidence]],
    keys: Sequence[str],
    alpha: float,
) -> MovedCell | None:
    from core.sensitivity.statistics.anytime import asymptotic_level  # SciPy takes a while
    from core.sensitivity.statistics.intervals import linear_drop

    if sum(len(dense[0][key].scores) for key in keys) < 2:
        return None
    sign = 1.0 if scale.higher_is_better else -1.0

    def joined(of: Mapping[str, BatchEvidence]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.concatenate([of[key].scores for key in keys]).astype(np.float64)

    first, second = (sign * (joined(dense[i]) - joined(cut[i])) for i in (0, 1))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    beside = [one for key in keys if (one := dense[0][key].weights) is not None]
    weights = np.concatenate(beside).astype(np.float64) if beside else None
    early = any(cell.stage != "full" for cell in cells)  # stopped for what it showed: only such an interval holds
    level = asymptotic_level(len(first), alpha=alpha) if early else 1 - alpha / 2
    difference = linear_drop(_difference_scale(scale), first, second, weights, level)
    direction: Direction = "more" if difference.low > 0 else "less" if difference.high < 0 else "unclear"
    was, now = (float(np.average(values, weights=weights)) for values in (first, second))
    return MovedCell(cells[0].cut, was, now, difference, direction)


def _difference_scale(scale: Scale) -> Scale:
    """Of drops as scores, the larger the worse."""
    if scale.aggregate == "exp_mean":
        return Scale(f"log {scale.name}", "nats", False, None, None)
    known = scale.low is not None and scale.high is not None
    reach = scale.high - scale.low if known else None  # type: ignore[operator]
    return replace(scale, higher_is_better=False, low=None if reach is None else -reach, high=reach)
