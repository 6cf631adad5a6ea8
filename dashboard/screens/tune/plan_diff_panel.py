"""Two kept plans beside each other: where they cut otherwise, and what each removes, predicts and measures."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.jobs.known import plan_words
from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.plans.diff import PlanComparison, compared
from core.workload.description import Description
from dashboard.frame.markup import without_markup
from dashboard.frame.tables.table import HEAD, ROW, table, wrapped
from dashboard.screens.tune.plan_table import Measured

ROWS_SHOWN = 14


def diff_frame(comparison: PlanComparison, names: tuple[str, str]) -> pd.DataFrame:
    """A row per target that the two treat otherwise, in network order."""
    rows = [
        (
            plan_words.difference_title(one),
            plan_words.side_text(one.before, one.after),
            plan_words.side_text(one.after, one.before),
        )
        for one in comparison.differences
    ]
    return pd.DataFrame(rows, columns=["target", *names])


def draw(found: Description, a: KeptPlan, b: KeptPlan, measured: Measured) -> None:
    """The older one on the left."""
    older, newer = sorted((a, b), key=lambda one: one.created)
    comparison = compared(older.plan, newer.plan, found)
    names = plan_words.plan_title(older), plan_words.plan_title(newer)
    left, right = st.columns([3, 2], gap="large")
    with left:
        n = len(comparison.differences)
        st.markdown(f"**They differ in {n:,} line{'' if n == 1 else 's'}**")
        table(
            diff_frame(comparison, names), "Targets that two plans cut otherwise",
            share=0.55, tallest=HEAD + ROW * ROWS_SHOWN,
        )  # fmt: skip
    with right:
        st.markdown("**On the whole**")
        has_repair = bool(a.plan.repair or b.plan.repair)
        sides = [_side(one, measured.get(one.fingerprint, ()), found, has_repair) for one in (older, newer)]
        wrapped(pd.DataFrame(dict(zip(names, sides, strict=True))), "Two plans on the whole")
        lines = plan_words.totals_lines(names, (comparison.before, comparison.after))
        st.caption("  \n".join(map(without_markup, lines)))


def _side(one: KeptPlan, results: Sequence[MeasuredPlan], found: Description, has_repair: bool) -> dict[str, str]:
    """Rows of what is known of one plan; the same rows for every plan."""
    forms = {result.result.form: plan_words.measured_text(result) for result in results}
    return {
        "made by": plan_words.MADE_BY[one.made_by],
        "since": plan_words.when_text(one.created),
        **({"repair": one.plan.repair or "none"} if has_repair else {}),
        "cuts": f"{len(one.plan.cuts):,}",
        "predicted drop": plan_words.predicted_text(found.scale, one.prediction.value) if one.prediction else "–",
        "measured drop": forms.get("masked", "not measured"),
        "measured, shrunk": forms.get("shrunk", "not measured"),
    }
