"""The page that is sent, saved from a screen; see `core.reports`."""

import time
from collections.abc import Sequence

import streamlit as st

from core.jobs.known.plan_book import PlanBook
from core.jobs.run import Kind, Run
from core.plans.plan import SparsityPlan
from dashboard.frame import workbench
from dashboard.frame.sharing import take_away

KINDS: tuple[Kind, ...] = ("sweep", "recover")


def draw(*runs: Run, plan: str | None = None, key: str = "report") -> None:
    """A button that saves the report of some runs; the page is made when somebody clicks.

    Args:
        runs: of one model that have measured something, at least one.
        plan: id of a kept plan that is shown line by line.
        key: of the button on the page.
    """
    ids = [run.id for run in runs]
    name = take_away.file_name(runs[0].workload, *ids, "report")
    st.download_button(
        "Report", lambda: _page(ids, plan), f"{name}.html", "text/html",
        icon=":material/description:", on_click="ignore", key=f"{key}-{'-'.join(ids)}",
        help="One HTML file with the map, plans beside what was measured of them, and how: opens without a network.",
    )  # fmt: skip


def _page(ids: Sequence[str], plan: str | None) -> str:
    # templates and drawings, which no screen needs before somebody clicks
    from core.reports.gathered import gather
    from core.reports.page import page

    return page(gather(workbench.runs(), ids, plan), time.time())


def draw_newest(ref: str, plan: SparsityPlan | None, key: str) -> None:
    """The same of the newest map and recovery of a model, with a plan, and a heading; nothing while there is neither.

    Args:
        ref: of the model.
        plan: is shown if the plan book has it.
        key: of the button on the page.
    """
    newest = [
        next((run for run in workbench.runs().list(kind, ref) if (run.result or {}).get("dense")), None)
        for kind in KINDS
    ]
    runs = [run for run in newest if run is not None and not run.request.get("dry_run")]
    if not runs:
        return
    st.subheader("Send")
    st.caption("What was found, as one page for somebody who has no Secateur.")
    kept = {one.fingerprint: one.id for one in PlanBook(workbench.runs().workspace).all(ref)}
    draw(*runs, plan=kept.get(plan.fingerprint()) if plan is not None else None, key=key)
