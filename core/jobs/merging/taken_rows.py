"""Models, plans and drafts of the workspace attached as `other` that this one does not have."""

import sqlite3

from core.jobs.checking.sound_rows import SOUND

PLAN = "workload, plan, document, made_by, parent, created, name, note, goal"
PREDICTION = "workload, plan, model, made, n_plans, prediction"


def insert(db: sqlite3.Connection, table: str, columns: str, where: str = "1") -> int:
    """Rows of the other workspace that this one does not have; how many they were."""
    return db.execute(
        f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM other.{table} WHERE {where}"
    ).rowcount


def take_plans(db: sqlite3.Connection) -> int:
    """Kept plans with names, notes and predictions; how many were new. Of one that both have, what is said here stays.

    Two plans of one name keep it both: which of them was meant only a person can say.
    """
    said = ("made_by", "parent", "name", "note", "goal")
    columns = ", ".join(f"{column} = coalesce(main.plans.{column}, o.{column})" for column in said)
    db.execute(
        f"UPDATE main.plans SET {columns}, created = min(main.plans.created, o.created) "
        f"FROM (SELECT {PLAN} FROM other.plans WHERE {SOUND['plans']}) o "
        "WHERE main.plans.workload = o.workload AND main.plans.plan = o.plan"
    )
    insert(db, "predictions", PREDICTION, SOUND["predictions"])
    return insert(db, "plans", PLAN, SOUND["plans"])


def take_histories(db: sqlite3.Connection) -> None:
    """What drafts were before, and the rules they are made by, where there is no draft here.

    A history with a damaged step stays there as a whole: undoing would lead into a gap.
    """
    new = "workload NOT IN (SELECT workload FROM main.drafts)"
    damaged = " UNION ".join(
        f"SELECT workload FROM other.{table} WHERE NOT {SOUND[table]}" for table in ("drafts", "draft_steps")
    )
    for table, columns in (("draft_steps", "workload, position, plan"), ("draft_cursors", "workload, position")):
        insert(db, table, columns, f"{new} AND workload NOT IN ({damaged})")
    insert(db, "rules", "workload, document", f"{new} AND {SOUND['rules']}")
