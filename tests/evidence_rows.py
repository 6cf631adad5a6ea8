"""Rows of evidence changed behind Secateur's back: what a disk, a copy or somebody with a purpose may do to them."""

from core.workspace.rows import define_functions, seal

KEY = "(SELECT id FROM keys WHERE key = ?)"


def rewrite(db, cell, batch, table="evidence", /, **columns):
    """Write columns of one row as they are given; scores and weights as float32 bytes, the digest stays as it was."""
    if columns.get("weights") is not None:
        db.execute(
            "INSERT OR IGNORE INTO shared (content, digest) VALUES (?, ?)",
            (columns["weights"], seal(columns["weights"])),
        )
        columns["weights"] = db.execute(
            "SELECT id FROM shared WHERE digest = ?", (seal(columns["weights"]),)
        ).fetchone()[0]
    for column, value in columns.items():
        rows = "evidence_rows" if table == "evidence" else "loss_rows"
        db.execute(f"UPDATE {rows} SET {column} = ? WHERE cell = {KEY} AND batch = {KEY}", (value, cell, batch))


def reseal(db):
    """Give all rows of evidence the digest of what they say now, as somebody would who changed them on purpose."""
    define_functions(db)
    rows = db.execute(
        "SELECT cell, batch, short_seal(cell, batch, n, changed, scores, weights) FROM evidence"
    ).fetchall()
    for cell, batch, digest in rows:
        rewrite(db, cell, batch, digest=digest)
