"""From the head map to a smaller model: choose heads, measure them together, take them out."""

from dataclasses import replace

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import start_export, start_measure
from core.plans.plan import HEADS, Cut, SparsityPlan
from core.plans.repairs import repair_words
from core.sensitivity.report import CellResult, Estimate, SensitivityReport, is_within
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw

CHOOSING = "choose-heads"


def is_choosing() -> bool:
    """Whether a click on the head map chooses the head instead of showing it."""
    return bool(st.session_state.get(CHOOSING))


def toggle(ref: str, cut: Cut, repair: str | None = None) -> None:
    """Put a head into the plan, or take it out again; `repair` is that of the map."""
    plan = workbench.begun_with(workbench.runs().draft(ref), repair)
    others = tuple(line for line in plan.cuts if line != cut)
    cuts = (*others, *([cut] if len(others) == len(plan.cuts) else []))
    workbench.runs().save_draft(ref, replace(plan, cuts=cuts, workload=ref))


def draw(report: SensitivityReport, found: Description, tolerance: float, repair: str | None = None) -> None:
    """The heads that are in the plan, and the buttons that measure and shrink; `repair` is that of the map."""
    ref = report.workload
    cells = {cell.cut: cell for cell in report.cells if cell.cut.granularity in HEADS}
    if not cells:
        return
    plan = workbench.runs().draft(ref)
    chosen = [cut for cut in cells if cut in plan.cuts]
    with st.container(border=True):
        left, right = st.columns([3, 2], vertical_alignment="center")
        left.toggle("A click on the head map puts the head into the plan", key=CHOOSING, persist_state="session")
        safe = [cut for cut, cell in cells.items() if is_within(cell, tolerance) and cell.state == "measured"]
        label = safe_text(len(safe), are_chosen=not set(safe) - set(chosen))
        right.button(
            label,
            key="choose-safe",
            disabled=not set(safe) - set(chosen),
            on_click=_set_heads,
            args=(ref, tuple(cells), tuple(dict.fromkeys((*chosen, *safe))), repair),
            width="stretch",
            help="Each alone, interval and all. Together they cost more, often much more: measure.",
        )
        key = f"heads-in-plan-{ref}-{hash(tuple(chosen))}"  # the plan on disk decides, not what the browser keeps
        st.multiselect(
            "Heads to remove", list(cells), chosen, key=key, format_func=lambda cut: cut.target,
            placeholder="none yet", on_change=_take, args=(ref, tuple(cells), key, repair),
        )  # fmt: skip
        if chosen:
            _draw_actions(ref, found, plan, [cells[cut] for cut in chosen], plan.repair == repair)


def _draw_actions(ref: str, found: Description, plan: SparsityPlan, cells: list[CellResult], is_alike: bool) -> None:
    """Buttons for the heads of the plan; `is_alike`: whether its repair is the map's, else no drops are added."""
    others = len(plan.cuts) - len(cells)
    also = f", with {others} other cut{'s' * (others > 1)} of the plan" if others else ""
    also += f", {repair_words(plan.repair)}" if plan.repair else ""
    n = f"{len(cells)} head{'s' * (len(cells) > 1)}"
    drops = [cell.drop.value for cell in cells if cell.drop]
    if len(drops) == len(cells) > 1 and not others and is_alike:
        sum_ = f"{numbers.drop_text(found.scale, sum(drops))} {numbers.drop_unit(found.scale)}"
        st.caption(f"Guess, not measured: ≈ {sum_} if the drops of these {len(cells)} added up.")
    result = _measured(ref, found, plan)
    if result is not None:
        st.markdown(f"**Measured together**{also}: drop {numbers.drop_with_interval(found.scale, result)}, paired")
    a, b = st.columns(2)
    if a.button(
        "Measure together" if result is None else "Measured",
        key="measure-heads", icon=":material/straighten:", width="stretch", disabled=result is not None,
        help=f"The {n}{also}, on all {found.n_open:,} evaluation examples, with masks.",
    ):  # fmt: skip
        start_measure(workbench.runs(), ref, plan)
        redraw()
    if b.button(
        "Shrink", key="shrink-heads", icon=":material/compress:", width="stretch", type="primary",
        help=f"Takes the {n} out{also}, measures the smaller model, and puts its bundle on the Deliver screen.",
    ):  # fmt: skip
        try:
            start_export(workbench.runs(), ref, plan, form="shrunk")
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    _draw_export(ref, plan)


def _draw_export(ref: str, plan: SparsityPlan) -> None:
    """What became of taking them out."""
    runs = [run for run in workbench.runs().list("export", ref) if run.request.get("form") == "shrunk"]
    run = next((run for run in runs if SparsityPlan.from_document(run.request["plan"]) == plan), None)
    if run is None or run.active:
        return
    if run.state == "finished":
        st.success(
            "Shrunk and compared with the masked model: it is on the Deliver screen.", icon=":material/verified:"
        )
    else:
        help.refusal(f"Not shrunk: {run.error or run.state}")


def _measured(ref: str, found: Description, plan: SparsityPlan) -> Estimate | None:
    """The drop of exactly this plan, as last measured on the model as it is."""
    for run in workbench.runs().list("measure", ref):
        if workbench.is_current(run, found) and SparsityPlan.from_document(run.request["plan"]) == plan:
            drop = (run.result or {}).get("drop")
            if drop:
                return Estimate(**drop)
    return None


def _take(ref: str, shown: tuple[Cut, ...], key: str, repair: str | None) -> None:
    _set_heads(ref, shown, tuple(st.session_state[key]), repair)


def _set_heads(ref: str, shown: tuple[Cut, ...], heads: tuple[Cut, ...], repair: str | None) -> None:
    """Of the heads on this map, these and no others; heads of the plan that are not on it stay."""
    plan = workbench.begun_with(workbench.runs().draft(ref), repair)
    others = tuple(cut for cut in plan.cuts if cut not in shown)
    workbench.runs().save_draft(ref, replace(plan, cuts=(*others, *heads), workload=ref))


def safe_text(n: int, are_chosen: bool) -> str:
    """What the button of `n` heads within the tolerance says; where it is greyed, why."""
    if not n:
        return "None surely stays within it"
    which = "one that stays" if n == 1 else f"{n} that stay"
    if are_chosen:
        return f"The {which} within it {'is' if n == 1 else 'are'} chosen"
    return f"Choose the {which} within the tolerance"
