"""Evidence: per-example scores of one cut on one batch, on disk. Append-only and keyed by content."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from core.plans.plan import SparsityPlan
from core.workload.scale import ROUNDING, Scale
from core.workspace import Workspace, seal
from core.workspace.rows import drop_rows, packed, put_evidence, put_losses, short_seal, unpacked

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
        gathered: whether it stems from other batches, and is not on disk as of this one.
    """

    scores: NDArray[np.float32]
    changed: bool
    weights: NDArray[np.float32] | None = None
    seconds: float | None = None
    losses: NDArray[np.float32] | None = None
    gathered: bool = False


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

    Every row has a digest of what it is of and what it says. One that does not fit it was damaged since (a bit flipped
    on a disk or in a copy): it is never served, and what is measured again takes its place.

    Args:
        workspace: where it is kept.
        loss: fingerprint of the code of the losses that are kept and read; `None` for none.
        on_damage: told how many measurements have just taken the place of damaged ones.
        origin: machine and versions that what is added was measured with, as JSON.

    Attributes:
        damaged: cells and batches whose rows were found damaged, and not been measured again.
    """

    def __init__(
        self,
        workspace: Workspace,
        loss: str | None = None,
        on_damage: Callable[[int], None] = lambda n: None,
        origin: str | None = None,
    ) -> None:
        self._workspace, self._loss, self._on_damage, self._origin = workspace, loss, on_damage, origin
        self.damaged: set[tuple[str, str]] = set()

    def beside(self, loss: str) -> "EvidenceStore":
        """The same evidence with other numbers of each example in the place of the losses, kept as `loss`."""
        return EvidenceStore(self._workspace, loss, self._on_damage, self._origin)

    def read(
        self,
        cell: str,
        batches: Sequence[str],
        scale: Scale | None = None,
        dense: bool = False,
        others: bool = False,
    ) -> dict[str, BatchEvidence]:
        """What is known of a cell on these batches; one that was not measured, or is damaged, is absent.

        Args: as of `read_all`, of one cell.
        """
        return self.read_all([cell], batches, scale, dense, others)[cell]

    def read_all(
        self,
        cells: Iterable[str],
        batches: Sequence[str],
        scale: Scale | None = None,
        dense: bool = False,
        others: bool = False,
    ) -> dict[str, dict[str, BatchEvidence]]:
        """What is known of cells on these batches, by cell.

        Args:
            cells: keys of the cells.
            batches: keys of the batches.
            scale: of the metric: scores outside of its range are damaged too. Older builds kept no digests, so that
                theirs was made of what stood there, damaged or not.
            dense: these are of the dense model, which has no score that is not finite.
            others: what is known of other batches comes with it.
        """
        wanted, found = set(batches), {}
        with self._workspace.connect() as db:
            db.text_factory = _text
            for cell in cells:
                rows = db.execute("SELECT * FROM evidence WHERE cell = ?", (cell,)).fetchall()
                kept = db.execute("SELECT * FROM losses WHERE cell = ? AND loss = ?", (cell, self._loss)).fetchall()
                losses = {row["batch"]: row for row in kept}
                of_cell: dict[str, BatchEvidence] = {}
                for row in rows:
                    batch = row["batch"]
                    if batch not in wanted and not others:
                        continue
                    evidence = _evidence(row, losses.get(batch), scale, dense)
                    if evidence is None and batch in wanted:
                        self.damaged.add((cell, batch))
                    elif evidence is not None:
                        of_cell[batch] = evidence
                found[cell] = of_cell
        return found

    def add(self, cell: str, found: Mapping[str, BatchEvidence]) -> None:
        """Put evidence of one cell on disk, all of it or nothing. What is there already stays as it is."""
        self.add_all((cell, batch, evidence) for batch, evidence in found.items())

    def on_batch(self, cells: Sequence[str], batch: str, scale: Scale | None = None) -> dict[str, BatchEvidence]:
        """What is known of cells on one batch, by cell; what was not measured, or is damaged, is absent."""
        found = {}
        with self._workspace.connect() as db:
            db.text_factory = _text
            for cell in cells:
                key = (cell, batch)
                row = db.execute("SELECT * FROM evidence WHERE cell = ? AND batch = ?", key).fetchone()
                losses = db.execute(
                    "SELECT * FROM losses WHERE cell = ? AND batch = ? AND loss = ?", (*key, self._loss)
                ).fetchone()
                evidence = None if row is None else _evidence(row, losses, scale, dense=False)
                if evidence is not None:
                    found[cell] = evidence
                elif row is not None:
                    self.damaged.add(key)
        return found

    def add_all(
        self,
        found: Iterable[tuple[str, str, BatchEvidence]],
        beside: Callable[[sqlite3.Connection], None] = lambda db: None,
    ) -> None:
        """Put evidence of cells on batches on disk, all of it or nothing, with what `beside` writes."""
        found = list(found)
        rows = [
            (
                cell,
                batch,
                len(evidence.scores),
                int(evidence.changed),
                packed(evidence.scores.astype("<f4").tobytes()),
                None if evidence.weights is None else evidence.weights.astype("<f4").tobytes(),
            )
            for cell, batch, evidence in found
        ]
        again = {(cell, batch) for cell, batch, _ in found} & self.damaged
        losses = [
            (cell, batch, self._loss, evidence.losses.astype("<f4").tobytes())
            for cell, batch, evidence in found
            if evidence.losses is not None and self._loss is not None
        ]
        with self._workspace.write() as db:
            drop_rows(db, sorted(again))
            put_evidence(db, rows, self._origin)
            put_losses(db, losses)
            beside(db)
        if again:
            self.damaged -= again
            self._on_damage(len(again))

    def add_batch(self, key: str, positions: Sequence[int], columns: Mapping[str, Sequence[str | int]]) -> None:
        """As `add_batches`, of one."""
        self.add_batches({key: (positions, columns)})

    def add_batches(self, said: Mapping[str, tuple[Sequence[int], Mapping[str, Sequence[str | int]]]]) -> None:
        """Keep which examples batches are made of.

        Unlike evidence this may be said anew: a column that a workload was given since, or whose names were mended,
        counts for all that was measured before.

        Args:
            said: by key of the batch, as in `add`: positions of its n examples in the evaluation data; and by name of
                a column n values.
        """
        rows = {}
        for key, (positions, columns) in said.items():
            placed = np.asarray(positions, dtype="<i8")
            assert all(len(values) == len(placed) for values in columns.values()), "one value per example"
            text = json.dumps({name: list(values) for name, values in columns.items()})
            rows[key] = _sealed((key, len(placed), placed.tobytes(), text))
        with self._workspace.connect() as db:
            db.text_factory = _text
            known = {key: db.execute("SELECT * FROM batches WHERE batch = ?", (key,)).fetchone() for key in rows}
        # a sweep says it again for every batch: mostly there is nothing to do
        new = [row for key, row in rows.items() if known[key] is None or tuple(known[key]) != row]
        if new:
            with self._workspace.write() as db:
                db.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?)", new)

    def read_batches(self, keys: Sequence[str]) -> dict[str, BatchExamples]:
        """Which examples these batches are made of; one that nobody has described, or is damaged, is absent."""
        with self._workspace.connect() as db:
            db.text_factory = _text
            rows = [
                row
                for key in keys
                for row in db.execute("SELECT * FROM batches WHERE batch = ?", (key,))
                if seal(*tuple(row)[:-1]) == row["digest"]
            ]
        return {
            row["batch"]: BatchExamples(
                np.frombuffer(row["positions"], "<i8"),
                {name: tuple(values) for name, values in json.loads(row["columns"]).items()},
            )
            for row in rows
        }


Row = tuple[str | int | bytes | None, ...]


def _sealed(row: Row) -> Row:
    return (*row, seal(*row))


def _evidence(row: sqlite3.Row, losses: sqlite3.Row | None, scale: Scale | None, dense: bool) -> BatchEvidence | None:
    """What a row says, beside it the losses of the same examples; `None` if either is damaged."""
    if any(one is not None and short_seal(*tuple(one)[:-1]) != one["digest"] for one in (row, losses)):
        return None
    scores = unpacked(row["scores"], row["n"])
    if scores is None:
        return None
    weights = None if row["weights"] is None else np.frombuffer(row["weights"], "<f4")
    low, high = (None, None) if scale is None else scale.score_range
    outside = [scores < low - ROUNDING] if low is not None else []
    outside += [scores > high + ROUNDING] if high is not None else []
    if any(one.any() for one in outside) or (dense and not np.isfinite(scores).all()):
        return None
    found = None if losses is None else np.frombuffer(losses["values_"], "<f4")
    return BatchEvidence(scores, bool(row["changed"]), weights, losses=found)


def _text(raw: bytes) -> str:
    """A damaged letter is no reason to give up all of a workspace: its row fails, or is not found."""
    return raw.decode("utf-8", "surrogateescape")
