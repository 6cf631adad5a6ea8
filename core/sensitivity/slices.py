"""Slices: what a cut does to each group of the evaluation data, and to which examples. From evidence; no torch.

The intervals are those of a sample whose size was fixed beforehand, each for its own slice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import SecateurError
from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.report import Estimate
from core.workload.scale import Scale, unpacked

Value = str | int
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class SliceDrop:
    """What a cut costs on the examples of one value of a column.

    Attributes:
        value: of the column, a class say.
        n: examples of it that were measured dense and cut.
        metric, drop: of the cut model on these, and paired with the dense one; `None` where n < 2, where the cut gives
            a score that is no number, or fewer than two examples have any weight.
    """

    value: Value
    n: int
    metric: Estimate | None
    drop: Estimate | None


@dataclass(frozen=True)
class BrokenExample:
    """An example that is worse after a cut.

    Attributes:
        position: in the evaluation data, counted from 0.
        columns: what is known of it.
        dense_score, score: before and after, as the metric scores one example; after, `None` stands for no number.
    """

    position: int
    columns: Mapping[str, Value]
    dense_score: float
    score: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Broken:
    """The examples that a cut breaks.

    Attributes:
        examples: the largest losses first; of equal ones, the first in the data.
        n_broken, n_better: how many came out worse, and better, in all.
        n: examples that were measured dense and cut.
    """

    examples: tuple[BrokenExample, ...]
    n_broken: int
    n_better: int
    n: int


@dataclass(frozen=True)
class _Batch:
    positions: NDArray[np.int64]
    columns: Mapping[str, tuple[Value, ...]]
    dense: BatchEvidence
    cut: BatchEvidence


def is_sliceable(run_result: Mapping[str, Any] | None) -> bool:
    """Whether a run's result says on which examples it measured; those of older versions do not."""
    return bool(run_result and run_result.get("batches") and run_result.get("dense_cell"))


def column_names(store: EvidenceStore, run_result: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns by which a run can be sliced, in the order in which the workload names them."""
    if not is_sliceable(run_result):
        return ()
    batches = store.read_batches(run_result["batches"]).values()
    return tuple(dict.fromkeys(name for batch in batches for name in batch.columns))


def slice_drops(
    store: EvidenceStore, run_result: Mapping[str, Any], cell: str, column: str, n: int | None = None
) -> tuple[SliceDrop, ...]:
    """What a cut costs on each value of a column: paired, on the batches measured both dense and cut so far.

    Several intervals looked at together do not all hold in 95 of 100 cases, and the worst of many slices is partly the
    unluckiest one: see `sweep_words.slices_note`.

    Args:
        store: of the workspace.
        run_result: of the sweep: its scale, its batches and its dense cell.
        cell: key of the cut's evidence, `CellResult.evidence`.
        column: e.g. `"class"`.
        n: examples that the run measured of the cell; another run may have measured more. `None`: all.

    Returns:
        The largest drop first; values without one last.

    Raises:
        SecateurError: the run was measured by an older version, or there is no such column.
    """
    scale = Scale.from_json(dict(run_result["scale"]))
    batches = [batch for batch in _batches(store, run_result, cell, n) if column in batch.columns]
    names = column_names(store, run_result)
    if column not in names:
        raise SecateurError(
            f"no column {column!r} in this run; "
            + (f"choose one of {sorted(names)}" if names else "give the workload `columns`, or `class_names`")
        )
    if not batches:
        return ()
    return drops_by_value(
        scale, column, [value for batch in batches for value in batch.columns[column]], *_scores(batches)
    )


def drops_by_value(
    scale: Scale, column: str, values: Sequence[Value], dense: Scores, cut: Scores, weights: Scores | None
) -> tuple[SliceDrop, ...]:
    """As `slice_drops`, of scores at hand.

    Args:
        scale: of the scores.
        column: what the values are of.
        values: of each example: (n,).
        dense, cut: scores of each example: (n,).
        weights: of each example, of a metric that has them: (n,).
    """
    rows: dict[Value, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    found = [
        # macro F1 averages over classes: within one class there is nothing to average
        SliceDrop(value, len(at), None, None)
        if scale.of_set and column == "class"
        else _slice_drop(scale, value, dense[at], cut[at], None if weights is None else weights[at])
        for value, at in sorted(rows.items(), key=lambda item: in_order(item[0]))
    ]
    return tuple(sorted(found, key=lambda one: -one.drop.value if one.drop else np.inf))


def in_order(value: Value) -> tuple[bool, Value]:
    """Sort key of a column's values: integers, then strings."""
    return isinstance(value, str), value


def broken_examples(
    store: EvidenceStore, run_result: Mapping[str, Any], cell: str, limit: int, n: int | None = None
) -> Broken:
    """Examples that are worse after a cut than dense, at most `limit` of them; other arguments as for `slice_drops`."""
    scale = Scale.from_json(dict(run_result["scale"]))
    batches = _batches(store, run_result, cell, n)
    if not batches:
        return Broken((), 0, 0, 0)
    dense, cut, beside = _scores(batches)
    if scale.of_numbers:
        raise SecateurError(f"{scale.name} belongs to all examples together; no single one can be called broken")
    hits = _worth(scale, dense, cut, beside)
    loss = hits[0] - hits[1] if scale.higher_is_better else hits[1] - hits[0]
    loss[~np.isfinite(cut)] = np.inf  # no number at all is the worst that can come of an example
    positions = np.concatenate([batch.positions for batch in batches])
    worst = np.lexsort((positions, -loss))[: min(limit, int((loss > 0).sum()))]
    places = [(batch, i) for batch in batches for i in range(len(batch.positions))]
    examples = (
        BrokenExample(
            int(positions[row]),
            {name: values[places[row][1]] for name, values in places[row][0].columns.items()},
            float(dense[row]),
            float(cut[row]) if np.isfinite(cut[row]) else None,
        )
        for row in worst
    )
    return Broken(tuple(examples), int((loss > 0).sum()), int((loss < 0).sum()), len(loss))


def _worth(scale: Scale, dense: Scores, cut: Scores, beside: Scores | None) -> list[Scores]:
    """What each example is worth before and after the cut, so that one that is worse can be told."""
    if scale.aggregate == "span_f1":  # of each text its own F1; one without any span is right
        assert beside is not None
        counts = [unpacked(scores) for scores in (dense, cut)]
        return [np.where((said + beside) > 0, 2 * both / np.maximum(said + beside, 1), 1.0) for said, both in counts]
    return [(scores == beside).astype(float) for scores in (dense, cut)] if scale.of_set else [dense, cut]


def _batches(store: EvidenceStore, run_result: Mapping[str, Any], cell: str, n: int | None) -> list[_Batch]:
    """The batches of a run that were measured both dense and cut: those of its first `n` examples."""
    if not is_sliceable(run_result):
        raise SecateurError(
            "this run does not say which examples it measured: it was made by an older Secateur; "
            "sweep again, and what is known is read back"
        )
    keys = run_result["batches"]
    dense, cut = store.read(run_result["dense_cell"], keys), store.read(cell, keys)
    damaged = sum((key, batch) in store.damaged for key in (run_result["dense_cell"], cell) for batch in keys)
    if damaged:
        raise SecateurError(
            f"{damaged} measurement(s) of this cut or of the dense model are damaged on disk (they do not fit their "
            "digests); sweep again: they are measured anew, and the rest is read back"
        )
    examples = store.read_batches(keys)
    ends = np.cumsum([len(examples[key].positions) if key in examples else 0 for key in keys])
    if any(key not in cut for key in keys) or (n is not None and n < ends[-1]):
        # what a census read after those at random it chose: alone they stand for all
        keys = keys[: run_result.get("n_random") or len(keys)]
        ends = ends[: len(keys)]
    return [
        _Batch(examples[key].positions, examples[key].columns, dense[key], cut[key])
        for key, end in zip(keys, ends, strict=True)
        if key in dense and key in cut and key in examples and (n is None or end <= n)
    ]


def _scores(batches: Sequence[_Batch]) -> tuple[Scores, Scores, Scores | None]:
    """Scores dense and cut, and weights, of all examples, in float64."""
    dense = np.concatenate([batch.dense.scores for batch in batches]).astype(np.float64)
    cut = np.concatenate([batch.cut.scores for batch in batches]).astype(np.float64)
    weights = [batch.dense.weights for batch in batches if batch.dense.weights is not None]
    return dense, cut, np.concatenate(weights).astype(np.float64) if weights else None


def _slice_drop(scale: Scale, value: Value, dense: Scores, cut: Scores, weights: Scores | None) -> SliceDrop:
    # here: it needs scipy, whose import is a quarter of a second of the dashboard's first page
    from core.sensitivity.statistics.bootstrap import UndefinedMetricError
    from core.sensitivity.statistics.intervals import TOO_LARGE, drop_estimate, metric_estimate

    n = len(dense)
    n_counting = n if weights is None or scale.of_set else int((weights > 0).sum())
    if n_counting < 2 or not (np.isfinite(dense).all() and np.isfinite(cut).all()):
        return SliceDrop(value, n, None, None)
    try:
        metric, drop = metric_estimate(scale, cut, weights), drop_estimate(scale, dense, cut, weights)
    except UndefinedMetricError:  # of one class alone there is no rank correlation
        return SliceDrop(value, n, None, None)
    return SliceDrop(value, n, None, None) if metric.high > TOO_LARGE else SliceDrop(value, n, metric, drop)
