"""Evidence: per-example scores of one cut on one batch, on disk. Append-only and keyed by content."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from core.plans.plan import SparsityPlan
from core.workspace import Workspace

VERSION = 1  # of how scores are made; raise it when old evidence must not be served any more


@dataclass(frozen=True)
class Conditions:
    """Everything but cut and data that a score depends on."""

    model: str
    metric: str
    dtype: str
    device: str
    seed: int

    def cell_key(self, plan: SparsityPlan, groups: Sequence[str] = (), looked_at: Sequence[str] = ()) -> str:
        """Key of what these conditions and this plan give. The empty plan is the dense model.

        Args:
            plan: what is cut.
            groups: fingerprints of the coupled groups that it names, in its order.
            looked_at: fingerprints of what its criteria look at besides the weights.
        """
        coupled = {"groups": list(groups)} if groups else {}
        calibrated = {"calibration": list(looked_at)} if looked_at else {}
        cuts = {"cuts": plan.fingerprint(), **coupled, **calibrated}
        document = json.dumps({"version": VERSION, **asdict(self), **cuts}, sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()


@dataclass(frozen=True)
class BatchEvidence:
    """What one cut did on one batch.

    Attributes:
        scores: float32 (n,), one per example; NaN is kept as NaN. Predictions for a metric of the set.
        changed: whether any output differs from the dense model's in any bit.
        weights: float32 (n,) weights of the examples in the mean, or `None`. For a metric of the set (macro F1,
            Spearman), which has no weights, the truth that its predictions are held against.
        seconds: that it took, if it was measured just now; not kept.
        losses: float32 (n,) of the same examples, lower is better; `None` where the metric has no loss of its own, or
            this was measured before losses were kept.
    """

    scores: NDArray[np.float32]
    changed: bool
    weights: NDArray[np.float32] | None = None
    seconds: float | None = None
    losses: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class BatchExamples:
    """Which examples a batch is made of.

    Attributes:
        positions: int64 (n,), in the evaluation data.
        columns: by name, what is known of each example; (n,).
    """

    positions: NDArray[np.int64]
    columns: Mapping[str, tuple[str | int, ...]]


class EvidenceStore:
    """The evidence of a workspace.

    Args:
        workspace: where it is kept.
        loss: fingerprint of the code of the losses that are kept and read; `None` for none.
    """

    def __init__(self, workspace: Workspace, loss: str | None = None) -> None:
        self._workspace, self._loss = workspace, loss

    def read(self, cell: str, batches: Sequence[str]) -> dict[str, BatchEvidence]:
        """What is known of a cell on these batches; a batch that was not measured is absent."""
        wanted = set(batches)
        with self._workspace.connect() as db:
            rows = db.execute("SELECT batch, changed, scores, weights FROM evidence WHERE cell = ?", (cell,)).fetchall()
            kept = db.execute("SELECT batch, values_ FROM losses WHERE cell = ? AND loss = ?", (cell, self._loss))
            losses = {row["batch"]: np.frombuffer(row["values_"], "<f4") for row in kept.fetchall()}
        return {
            row["batch"]: BatchEvidence(
                np.frombuffer(row["scores"], "<f4"),
                bool(row["changed"]),
                None if row["weights"] is None else np.frombuffer(row["weights"], "<f4"),
                losses=losses.get(row["batch"]),
            )
            for row in rows
            if row["batch"] in wanted
        }

    def add(self, cell: str, found: Mapping[str, BatchEvidence]) -> None:
        """Put evidence of one cell on disk, all of it or nothing. What is there already stays as it is."""
        self.add_all((cell, batch, evidence) for batch, evidence in found.items())

    def add_all(self, found: Iterable[tuple[str, str, BatchEvidence]]) -> None:
        """Put evidence of cells on batches on disk, all of it or nothing."""
        found = list(found)
        rows = [
            (
                cell,
                batch,
                len(evidence.scores),
                int(evidence.changed),
                evidence.scores.astype("<f4").tobytes(),
                None if evidence.weights is None else evidence.weights.astype("<f4").tobytes(),
            )
            for cell, batch, evidence in found
        ]
        losses = [
            (cell, batch, self._loss, evidence.losses.astype("<f4").tobytes())
            for cell, batch, evidence in found
            if evidence.losses is not None and self._loss is not None
        ]
        with self._workspace.write() as db:
            db.executemany("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.executemany("INSERT OR IGNORE INTO losses VALUES (?, ?, ?, ?)", losses)

    def add_batch(self, key: str, positions: Sequence[int], columns: Mapping[str, Sequence[str | int]]) -> None:
        """Keep which examples a batch is made of.

        Unlike evidence this may be said anew: a column that a workload was given since, or whose names were mended,
        counts for all that was measured before.

        Args:
            key: of the batch, as in `add`.
            positions: of its n examples in the evaluation data.
            columns: by name, n values.
        """
        placed = np.asarray(positions, dtype="<i8")
        assert all(len(values) == len(placed) for values in columns.values()), "one value per example"
        row = (key, len(placed), placed.tobytes(), json.dumps({name: list(values) for name, values in columns.items()}))
        with self._workspace.connect() as db:
            known = db.execute("SELECT * FROM batches WHERE batch = ?", (key,)).fetchone()
        if known is None or tuple(known) != row:  # a sweep says it again for every batch: mostly there is nothing to do
            with self._workspace.write() as db:
                db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", row)

    def read_batches(self, keys: Sequence[str]) -> dict[str, BatchExamples]:
        """Which examples these batches are made of; a batch that nobody has described is absent."""
        with self._workspace.connect() as db:
            rows = [
                row
                for key in keys
                for row in db.execute("SELECT batch, positions, columns FROM batches WHERE batch = ?", (key,))
            ]
        return {
            row["batch"]: BatchExamples(
                np.frombuffer(row["positions"], "<i8"),
                {name: tuple(values) for name, values in json.loads(row["columns"]).items()},
            )
            for row in rows
        }
