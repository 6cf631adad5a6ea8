"""The table of kept plans: predicted and measured beside each other, never in one column. One or two can be ticked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

import pandas as pd
import streamlit as st

from core import numbers
from core.jobs.known import plan_words
from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.plans.costs.totals import plan_totals
from core.plans.plan import Form, SparsityPlan
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.frame.tables.table import HEAD, ROW, table

Measured = Mapping[str, Sequence[MeasuredPlan]]  # by fingerprint of the plan, masked first
Tried = Mapping[tuple[str, Form], str]  # by fingerprint and form: measuring that is under way, or came to nothing
ROWS_SHOWN = 10
AT_WORK = "being measured …"
# left out where no plan has one
OPTIONAL = ("name", "repair", "parent", "predicted", "shrunk", "gap", "inside", "note")
GIVE_WAY = ("note", "parent", "when", "maker", "cuts", "repair", "inside", "gap", "name")  # in a narrow window


def key_of(ref: str, kept: Sequence[KeptPlan]) -> str:
    """Key of the table: another for other rows, for what is ticked is known by its position."""
    return f"plans-{ref}-{sha256(' '.join(one.fingerprint for one in kept).encode()).hexdigest()[:8]}"


def by_plan(measured: Sequence[MeasuredPlan]) -> Measured:
    """What was measured of each plan."""
    found: dict[str, list[MeasuredPlan]] = {}
    for one in measured:
        found.setdefault(one.kept.fingerprint, []).append(one)
    return found


def tried(ref: str) -> Tried:
    """Of each plan the newest measuring that is not finished, in words."""
    found: dict[tuple[str, Form], str] = {}
    for run in workbench.runs().list("measure", ref):
        if run.state == "finished":
            continue
        form: Form = "shrunk" if run.request.get("form") == "shrunk" else "masked"
        text = AT_WORK if run.active else f"{run.state}: {run.error}" if run.error else run.state
        found.setdefault((SparsityPlan.from_document(run.request["plan"]).fingerprint(), form), text)
    return found


def plan_frame(
    kept: Sequence[KeptPlan], measured: Measured, found: Description, unfinished: Tried | None = None
) -> pd.DataFrame:
    """A row per plan, in the order given. Drops are text, with interval and n; empty where nobody knows."""
    rows = [_row(one, measured.get(one.fingerprint, ()), found, unfinished or {}) for one in kept]
    frame = pd.DataFrame(rows)
    return frame.drop(columns=[name for name in OPTIONAL if rows and not any(row[name] for row in rows)])


def _row(one: KeptPlan, results: Sequence[MeasuredPlan], found: Description, unfinished: Tried) -> dict[str, object]:
    forms = {result.result.form: result for result in results}

    def drop(form: Form) -> str:
        if form in forms:
            return plan_words.measured_text(forms[form])
        return unfinished.get((one.fingerprint, form), "not measured" if form == "masked" and not forms else "")

    if results:
        removed = results[0].result.n_removed / max(1, results[0].result.n_weights)
    else:
        totals = plan_totals(one.plan, found)
        removed = totals.n_removed / max(1, totals.n_weights)
    first = results[0] if results else None
    return {
        "plan": one.id,
        "name": one.name or "",
        "repair": one.plan.repair or "",
        "maker": plan_words.MADE_BY[one.made_by],
        "parent": one.parent or "",
        "cuts": len(one.plan.cuts),
        "removed": 100 * removed,
        "predicted": plan_words.predicted_text(found.scale, one.prediction.value) if one.prediction else "",
        "masked": drop("masked"),
        "shrunk": drop("shrunk"),
        "gap": plan_words.gap_text(first) if first else "",
        "inside": plan_words.inside_text(first) if first else "",
        "note": one.note or "",
        "when": datetime.fromtimestamp(one.created),
    }


def draw(
    ref: str, found: Description, kept: Sequence[KeptPlan], measured: Measured, unfinished: Tried
) -> tuple[KeptPlan, ...]:
    """The table; returns the plans that are ticked, the uppermost first."""
    frame, unit = plan_frame(kept, measured, found, unfinished), numbers.drop_unit(found.scale)
    remembered = st.session_state.get(f"plans-ticked-{ref}", ())
    event = table(
        frame,
        "Kept plans, with what was predicted and what was measured of each",
        secondary=GIVE_WAY,
        key=key_of(ref, kept),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [i for i, one in enumerate(kept) if one.fingerprint in remembered]}
        },
        tallest=HEAD + ROW * ROWS_SHOWN,
        columns={
            "repair": st.column_config.TextColumn(help=REPAIR_HELP),
            "maker": st.column_config.TextColumn("made by"),
            "parent": st.column_config.TextColumn("made from", help="The plan that it was made from."),
            "removed": st.column_config.NumberColumn(format="%.0f %%", help=REMOVED_HELP),
            "predicted": st.column_config.TextColumn(f"predicted, {unit}", help=PREDICTED_HELP),
            "masked": st.column_config.TextColumn(f"measured, {unit}", help=MEASURED_HELP),
            "shrunk": st.column_config.TextColumn(f"shrunk, {unit}", help=SHRUNK_HELP),
            "gap": st.column_config.TextColumn(help=GAP_HELP),
            "inside": st.column_config.TextColumn("interval", help=INSIDE_HELP),
            "when": st.column_config.DatetimeColumn("since", format="YYYY-MM-DD HH:mm"),
        },
    )  # fmt: skip
    ticked = tuple(kept[i] for i in sorted(event.selection.rows) if i < len(kept))
    st.session_state[f"plans-ticked-{ref}"] = tuple(one.fingerprint for one in ticked)
    return ticked


REMOVED_HELP = "Of the weights that can be cut; of a plan that was not measured, as far as its lines tell."
REPAIR_HELP = "What makes up for the cuts, by calibration data and without training; empty: nothing does."
PREDICTED_HELP = (
    "Of the drop: said before anybody had measured the plan, with the interval in which 95 % of measured plans should "
    "lie. ? a guess, beyond what was measured."
)
MEASURED_HELP = (
    "Drop with zeros in place, on the same examples as the dense model (paired), with its 95 % interval and n."
)
SHRUNK_HELP = "Drop measured of the smaller model itself, on the same examples as the dense model."
GAP_HELP = "Measured − predicted drop; positive: it was worse than predicted."
INSIDE_HELP = "Whether the measured drop lies in the predicted interval, or how it lies outside."
