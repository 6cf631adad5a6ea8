"""Raw and repaired maps of one model: which is shown, or both beside each other, or what the repair gives back."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import streamlit as st

from core.jobs.known import findings
from core.jobs.known.beside import Sides, other_side, pairs, summary_text
from core.jobs.run import Run
from core.plans.plan import Cut
from core.plans.repairs import REPAIRS, repair_words
from core.sensitivity.report import CellResult, SensitivityReport
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.frame.theme import BESIDE_LEGEND

View = Literal["raw", "repaired", "beside", "back"]
VIEWS: Mapping[View, str] = MappingProxyType(
    {"raw": "raw", "repaired": "repaired", "beside": "beside each other", "back": "what the repair gives back"}
)
MANY_REASONS = 3


@dataclass(frozen=True)
class Ways:
    """The cells of one run, measured without a repair and with one.

    Attributes:
        repair: its name.
        view: what of it is shown.
        own: of the run that was chosen, `"raw"` or `"repaired"`.
        raw, repaired: the same cuts in the same order; what nobody has measured so waits, and says why.
        sides: both, by cut.
    """

    repair: str
    view: View
    own: View
    raw: SensitivityReport
    repaired: SensitivityReport
    sides: Mapping[Cut, Sides]

    @property
    def is_double(self) -> bool:
        """Whether both are on the screen at once."""
        return self.view in ("beside", "back")

    @property
    def shown(self) -> SensitivityReport:
        """What curves and numbers are of; of both the repaired one, with the raw one beside it."""
        return self.raw if self.view == "raw" else self.repaired

    @property
    def other(self) -> SensitivityReport:
        """What stands behind `shown`."""
        return self.repaired if self.view == "raw" else self.raw

    def name(self, report: SensitivityReport) -> str:
        """`raw`, or `repaired by full`."""
        return "raw" if report is self.raw else repair_words(self.repair)


def choose(run: Run, report: SensitivityReport, found: Description) -> Ways | None:
    """The choice between them; `None`, and no choice, where the model as it is now was swept in one way only."""
    own: str | None = run.request.get("repair")
    if own is not None:
        st.caption(f"Every cut is {repair_words(own)}: {REPAIRS[own]}.")
    if not workbench.is_current(run, found):
        return None
    swept = [one for one in (REPAIRS if own is None else (None,)) if _reports(found, one)]
    if not swept:
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view: View = st.segmented_control(
            "Repair", list(VIEWS), default="raw" if own is None else "repaired", required=True,
            key=f"repair-view-{run.id}", format_func=VIEWS.__getitem__, persist_state="session",
            help="A repair lets what stays make up for what goes, by calibration data and without training.",
        )  # fmt: skip
        other = swept[0]
        if len(swept) > 1:
            other = st.selectbox("Which repair", swept, key=f"repair-of-{run.id}", persist_state="session", width=180)
    return ways_of(report, own, other, _reports(found, other), view)


def ways_of(
    report: SensitivityReport, own: str | None, other: str | None, reports: findings.Reports, view: View
) -> Ways:
    """Both ways of the cells of a report.

    Args:
        report: of the run that was chosen.
        own: its repair.
        other: repair of the other sweeps; one of the two is `None`.
        reports: of those, newest first, at least one.
        view: what is shown.
    """
    reports = list(reports)
    known = other_side(reports, report.cells)
    swept = f"no sweep {repair_words(other)}" if other else "no sweep without a repair"
    cells = tuple(
        known.get(cell.cut) or CellResult(cell.cut, cell.n_removed, cell.n_weights, reason=f"{swept} has measured it")
        for cell in report.cells
    )
    behind = replace(reports[0][1], cells=cells)
    raw, repaired = (report, behind) if own is None else (behind, report)
    by_cut = known if own is None else {cell.cut: cell for cell in report.cells}
    raws = known if own is not None else {cell.cut: cell for cell in report.cells}
    sides = {cell.cut: Sides(raws.get(cell.cut), by_cut.get(cell.cut)) for cell in report.cells}
    return Ways(own or other or "", view, "raw" if own is None else "repaired", raw, repaired, sides)


def draw_summary(ways: Ways) -> None:
    """Below the maps: how often the repair helps, what the marks mean, and what is not compared."""
    rows = pairs(ways.sides.values())
    if rows:
        st.caption(f"{summary_text(rows)} Surely: the two 95 % intervals lie apart.")
    reasons = Counter(why for one in ways.sides.values() if (why := one.why_not) is not None)
    if reasons:
        told = [f"{n:,} cell{'s' if n > 1 else ''}, {why}" for why, n in reasons.most_common(MANY_REASONS)]
        more = f"; and {len(reasons) - MANY_REASONS:,} other reasons" if len(reasons) > MANY_REASONS else ""
        other_n = any(one.differs_in_n for one in ways.sides.values())
        mend = " A new sweep on as many examples makes those marked ≠ comparable." if other_n else ""
        st.caption(f"Not compared: {'; '.join(told)}{more}.{mend}")
    if ways.is_double or ways.view == "repaired":
        st.caption(BESIDE_LEGEND)


def _reports(found: Description, repair: str | None) -> findings.Reports:
    return findings.sweep_reports(workbench.runs(), found, workbench.report_of, repair)
