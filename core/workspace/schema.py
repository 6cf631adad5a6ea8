"""The tables of a workspace, version by version, and what brings an older one up to date."""

import sqlite3
from contextlib import closing
from functools import lru_cache

from core.workspace.rows import define_functions

# A row of a table without row numbers that is longer than a quarter of a page takes whole pages for what is too long:
# with SQLite's 4,096 the scores of 250 examples took 4.7 times their size.
PAGE_BYTES = 16_384
# Step i brings a workspace from version i to i + 1; a new one goes through all of them.
STEPS = (
    """
CREATE TABLE workloads (ref TEXT PRIMARY KEY, description TEXT NOT NULL, described REAL NOT NULL) STRICT;
CREATE TABLE evidence (
    cell TEXT, batch TEXT, n INTEGER NOT NULL, changed INTEGER NOT NULL, scores BLOB NOT NULL, weights BLOB,
    PRIMARY KEY (cell, batch)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, workload TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, pid INTEGER, pid_started REAL,
    done INTEGER NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0, total INTEGER, phase TEXT,
    error TEXT, result TEXT, cancel INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE cells (run TEXT, position INTEGER, cell TEXT NOT NULL, PRIMARY KEY (run, position)) STRICT, WITHOUT ROWID;
CREATE TABLE drafts (workload TEXT PRIMARY KEY, plan TEXT NOT NULL) STRICT;
""",
    # positions: int64, of the examples in the evaluation data; columns: JSON, {"class": ["shirt", ...], ...}
    """
CREATE TABLE batches (
    batch TEXT PRIMARY KEY, n INTEGER NOT NULL, positions BLOB NOT NULL, columns TEXT NOT NULL
) STRICT, WITHOUT ROWID;
""",
    # plan: fingerprint of its cuts; document: the plan file; draft_steps: what a draft was, step by step, and where in
    # them it stands; rules: JSON, as the Tune screen keeps them
    """
CREATE TABLE plans (
    workload TEXT, plan TEXT, document TEXT NOT NULL, made_by TEXT, parent TEXT, created REAL NOT NULL,
    name TEXT, note TEXT, goal TEXT, PRIMARY KEY (workload, plan)
) STRICT, WITHOUT ROWID;
CREATE TABLE predictions (
    workload TEXT, plan TEXT, model TEXT, made REAL NOT NULL, n_plans INTEGER NOT NULL, prediction TEXT NOT NULL,
    PRIMARY KEY (workload, plan, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_steps (
    workload TEXT, position INTEGER, plan TEXT NOT NULL, PRIMARY KEY (workload, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_cursors (workload TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
CREATE TABLE rules (workload TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
""",
    # beside the scores of the evidence: the loss of each example, float32, by the fingerprint of the loss's code
    """
CREATE TABLE losses (
    cell TEXT, batch TEXT, loss TEXT, values_ BLOB NOT NULL, PRIMARY KEY (cell, batch, loss)
) STRICT, WITHOUT ROWID;
""",
    # what came from another workspace: runs, and workloads that nobody has named here yet; kind: 'run' or 'workload'
    """
CREATE TABLE merged (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
""",
    # digest: of the rest of the row, see `seal`. Of rows that were written without one nothing else is known, so they
    # get that of what they say now, unless they contradict themselves. damaged: measurements of a run that had to be
    # made again because their row was; data: fingerprint of the evaluation data that a run began with
    """
ALTER TABLE evidence ADD COLUMN digest BLOB;
UPDATE evidence SET digest = seal(cell, batch, n, changed, scores, weights)
    WHERE length(scores) = 4 * n AND changed IN (0, 1) AND (weights IS NULL OR length(weights) = 4 * n);
ALTER TABLE losses ADD COLUMN digest BLOB;
UPDATE losses SET digest = seal(cell, batch, loss, values_);
ALTER TABLE batches ADD COLUMN digest BLOB;
UPDATE batches SET digest = seal(batch, n, positions, columns) WHERE length(positions) = 8 * n;
ALTER TABLE runs ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN data TEXT;
""",
    # made_with: JSON, the machine and the versions that a run was measured with; name, note, star: a person's
    """
ALTER TABLE runs ADD COLUMN made_with TEXT;
ALTER TABLE runs ADD COLUMN name TEXT;
ALTER TABLE runs ADD COLUMN note TEXT;
ALTER TABLE runs ADD COLUMN star INTEGER NOT NULL DEFAULT 0;
""",
    # Evidence takes little more than its scores: keys of 64 letters stand once, scores that are 0 or 1 take a bit each,
    # weights that all cells of a batch share stand once, see `rows.py`. made_with: JSON, the machine and versions that
    # rows were measured with. helpers: workers beside the runs' own; boards: runs that share what they measure, with
    # their worker's process; bundles: what is to be measured, by whom (-1: the run itself), and whether it is done
    """
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE shared (id INTEGER PRIMARY KEY, content BLOB NOT NULL, digest BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE origins (id INTEGER PRIMARY KEY, made_with TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE evidence_rows (
    cell INTEGER, batch INTEGER, n INTEGER NOT NULL, changed INTEGER NOT NULL, scores BLOB NOT NULL, weights INTEGER,
    origin INTEGER, digest BLOB, PRIMARY KEY (cell, batch)
) STRICT, WITHOUT ROWID;
CREATE TABLE loss_rows (
    cell INTEGER, batch INTEGER, loss INTEGER, values_ BLOB NOT NULL, digest BLOB, PRIMARY KEY (cell, batch, loss)
) STRICT, WITHOUT ROWID;
INSERT INTO keys (key) SELECT DISTINCT cell FROM evidence;
INSERT OR IGNORE INTO keys (key) SELECT DISTINCT batch FROM evidence;
INSERT OR IGNORE INTO keys (key) SELECT DISTINCT cell FROM losses;
INSERT OR IGNORE INTO keys (key) SELECT DISTINCT batch FROM losses;
INSERT OR IGNORE INTO keys (key) SELECT DISTINCT loss FROM losses;
INSERT OR IGNORE INTO shared (content, digest)
    SELECT DISTINCT weights, seal(weights) FROM evidence WHERE weights NOTNULL;
INSERT INTO evidence_rows
    SELECT c.id, b.id, e.n, e.changed, packed(e.scores), s.id, NULL,
        CASE WHEN e.digest IS seal(e.cell, e.batch, e.n, e.changed, e.scores, e.weights)
        THEN short_seal(e.cell, e.batch, e.n, e.changed, packed(e.scores), e.weights) END
    FROM evidence e JOIN keys c ON c.key = e.cell JOIN keys b ON b.key = e.batch
    LEFT JOIN shared s ON s.digest = seal(e.weights);
INSERT INTO loss_rows
    SELECT c.id, b.id, f.id, l.values_,
        CASE WHEN l.digest IS seal(l.cell, l.batch, l.loss, l.values_)
        THEN short_seal(l.cell, l.batch, l.loss, l.values_) END
    FROM losses l JOIN keys c ON c.key = l.cell JOIN keys b ON b.key = l.batch JOIN keys f ON f.key = l.loss;
DROP TABLE evidence;
DROP TABLE losses;
CREATE VIEW evidence AS
    SELECT c.key AS cell, b.key AS batch, e.n, e.changed, e.scores, s.content AS weights, e.digest
    FROM evidence_rows e JOIN keys c ON c.id = e.cell JOIN keys b ON b.id = e.batch
    LEFT JOIN shared s ON s.id = e.weights;
CREATE VIEW losses AS
    SELECT c.key AS cell, b.key AS batch, f.key AS loss, l.values_, l.digest
    FROM loss_rows l JOIN keys c ON c.id = l.cell JOIN keys b ON b.id = l.batch JOIN keys f ON f.id = l.loss;
CREATE TABLE helpers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, pid_started REAL NOT NULL, threads INTEGER NOT NULL,
    since REAL NOT NULL, beat REAL NOT NULL, run TEXT, refused TEXT, done INTEGER NOT NULL DEFAULT 0,
    stop INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE boards (
    run TEXT PRIMARY KEY, pid INTEGER NOT NULL, pid_started REAL NOT NULL, asked TEXT NOT NULL,
    positions BLOB NOT NULL, origin TEXT
) STRICT;
CREATE TABLE bundles (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, work TEXT NOT NULL, helper INTEGER, answer TEXT
) STRICT;
""",
)
VERSION = len(STEPS)
SEALED = 6  # version from which on rows of evidence have a digest
LABELLED = 7  # from which on runs say what they were measured with, and have names
PACKED = 8  # from which on evidence is packed: its digests are short ones, and of packed scores
# by table: the columns that the digest of a row is of
SEALS = {
    "evidence": "cell, batch, n, changed, scores, weights",
    "losses": "cell, batch, loss, values_",
    "batches": "batch, n, positions, columns",
}
COLUMNS = (
    "SELECT t.name, c.name FROM {schema}.sqlite_master t, pragma_table_info(t.name, '{schema}') c "
    "WHERE t.type = 'table'"
)


@lru_cache
def columns_of(version: int) -> frozenset[tuple[str, str]]:
    """Tables and their columns that a workspace of that version has."""
    with closing(sqlite3.connect(":memory:")) as db:
        define_functions(db)
        for step in STEPS[:version]:
            db.executescript(step)
        return frozenset(db.execute(COLUMNS.format(schema="main")).fetchall())
