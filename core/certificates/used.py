"""Which of the examples that are set aside were chosen by after all: read from evidence, not from what was meant."""

import sqlite3
from collections.abc import Collection

import numpy as np
import torch

from core.errors import SecateurError
from core.workload.examples import Examples
from core.workspace import Workspace, seal


def used_examples(
    workspace: Workspace,
    examples: Examples,
    held: torch.Tensor,
    certified: Collection[str],
    aside: Collection[str] = (),
    rows_aside: Collection[tuple[str, str]] = (),
) -> int:
    """How many of the examples that are set aside have evidence of a cut.

    A batch is known by its content: one that is not what lies at its positions now is of other data. A cell whose
    outputs differ from the dense model's nowhere is the dense model, or as good as.

    Args:
        workspace: whose evidence is read.
        examples: that the positions are in.
        held: positions that are set aside, int64 (n,).
        certified: keys of cells that certificates have looked at here, which they count themselves.
        aside: keys of batches that were set aside as damaged.
        rows_aside: keys of cells and batches of evidence that was set aside as damaged.

    Raises:
        SecateurError: a batch or a row of evidence is damaged, or was set aside and not measured anew: which examples
            were chosen by is not known.
    """
    is_held = np.zeros(len(examples), dtype=bool)
    is_held[held.numpy()] = True
    with workspace.connect() as db:
        rows = db.execute("SELECT * FROM batches").fetchall()
        unknown = set(aside) - {row["batch"] for row in rows}
        there: dict[str, np.ndarray] = {}
        for row in rows:
            if seal(*tuple(row)[:-1]) != row["digest"]:
                unknown.add(row["batch"])
                continue
            positions = np.frombuffer(row["positions"], "<i8")
            inside = len(positions) and positions.min() >= 0 and positions.max() < len(examples)
            if not inside or not is_held[positions].any():
                continue
            if examples.take(torch.from_numpy(positions.copy())).fingerprint() == row["batch"]:
                there[row["batch"]] = positions
        if unknown:
            what = "1 batch is" if len(unknown) == 1 else f"{len(unknown):,} batches are"
            raise _not_known(workspace, what)
        if not there:
            return 0
        cells = db.execute("SELECT cell, batch, changed FROM evidence").fetchall()
        # what says that its outputs are the dense model's, and is taken at its word, must say so whole
        damaged = [
            (row["cell"], row["batch"])
            for row in cells
            if not row["changed"] and row["batch"] in there and not _is_whole(db, row["cell"], row["batch"])
        ]
    known = {(row["cell"], row["batch"]) for row in cells}
    lost = [*damaged, *(pair for pair in set(rows_aside) - known if pair[1] in there and pair[0] not in certified)]
    if lost:
        raise _not_known(workspace, "1 row of evidence is" if len(lost) == 1 else f"{len(lost):,} rows of evidence are")
    cuts = {row["cell"] for row in cells if row["changed"]} - set(certified)
    seen = [there[row["batch"]] for row in cells if row["cell"] in cuts and row["batch"] in there]
    if not seen:
        return 0
    used = np.unique(np.concatenate(seen))
    return int(is_held[used].sum())


def _is_whole(db: sqlite3.Connection, cell: str, batch: str) -> bool:
    asked = (
        "SELECT short_seal(cell, batch, n, changed, scores, weights) = digest FROM evidence "
        "WHERE cell = ? AND batch = ?"
    )
    return bool(db.execute(asked, (cell, batch)).fetchone()[0])


def _not_known(workspace: Workspace, what: str) -> SecateurError:
    return SecateurError(
        f"refused: {what} damaged in {workspace.folder}, so which examples cuts were measured on is not known; "
        "sweep the models of this workspace again, which says it anew and measures nothing twice, or name "
        "examples that nothing has looked at: Workload(holdout=Examples(…)), in a fresh --workspace"
    )
