"""The tools beside the tuner: limits, alignment, an empty plan, plan files."""

from dataclasses import replace

import streamlit as st

from core.errors import SecateurError, shortened
from core.jobs.known import findings
from core.plans.costs.steps import on_steps
from core.plans.foreign import foreign_cuts
from core.plans.plan import SparsityPlan
from core.plans.repairs import REPAIRS
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.screens.map.sweep_form import ALIGNMENTS
from dashboard.screens.tune import plan_draft, predicted, tuner_panel
from dashboard.screens.tune.predicted import Within, knowledge
from dashboard.tuner.edits import apply_changes

REPAIR_HELP = "\n\n".join(
    [
        "What stays makes up for what goes, by calibration data and without training; the plan carries it. Predictions "
        "come from cells and plans with the same repair alone: of another they are empty until it is swept.",
        *(f"**{name}**: {words}" for name, words in REPAIRS.items()),
    ]
)


def set_limits(ref: str, found: Description, within: Within) -> None:
    """Each target with a known limit to that limit; locked rows and what is not known stay as they were."""
    tuner_panel.take(ref, found)
    plan = plan_draft.current(ref)
    rows = tuner_panel.rows_of(ref, found, plan, knowledge(ref, found, plan.repair), within)
    changes = {row.key: row.limit for row in rows if row.limit is not None and not row.hold.locked}
    plan_draft.save(ref, apply_changes(plan, rows, changes), "limits")


def set_align(ref: str, found: Description) -> None:
    """All channel cuts of the plan with the alignment that was chosen."""
    tuner_panel.take(ref, found)
    align, plan = st.session_state[f"align-{ref}"] or 1, plan_draft.current(ref)
    cuts = tuple(replace(cut, align=align) if cut.granularity == "channel" else cut for cut in plan.cuts)
    plan_draft.save(ref, replace(plan, cuts=cuts, workload=ref))


def set_repair(ref: str, found: Description, key: str) -> None:
    """The same cuts with another repair, or with none."""
    tuner_panel.take(ref, found)
    plan_draft.save(ref, replace(plan_draft.current(ref), repair=st.session_state[key], workload=ref))


def undo(ref: str, found: Description) -> None:
    """One step back."""
    tuner_panel.take(ref, found)
    plan_draft.drafts().undo(ref)


def redo(ref: str, found: Description) -> None:
    """What was undone, again."""
    tuner_panel.take(ref, found)
    plan_draft.drafts().redo(ref)


def clear(ref: str, found: Description) -> None:
    """No cuts at all; the next plan has the same repair."""
    tuner_panel.take(ref, found)
    plan_draft.save(ref, SparsityPlan((), ref, plan_draft.current(ref).repair))
    plan_draft.follow(ref, None)


def read_upload(ref: str, found: Description) -> None:
    """The plan of an uploaded file, if it is one for this model."""
    upload = st.session_state.get("plan-upload")
    if upload is None:
        return
    try:
        plan = SparsityPlan.from_json(upload.getvalue().decode("utf-8", "replace"))
    except SecateurError as error:
        st.session_state["upload-problem"] = str(error)
        return
    unknown = foreign_cuts(plan, found)
    if unknown:
        names = ", ".join(shortened(cut.target) for cut in unknown[:3])
        st.session_state["upload-problem"] = f"The plan is for another model: {ref} has no {names}."
        return
    st.session_state.pop("upload-problem", None)
    plan_draft.save(ref, plan, "file")
    plan_draft.follow(ref, None)


def to_steps(ref: str, found: Description, engine: str) -> None:
    """Every group of the plan with its width rounded up to where a step of the engine ends."""
    ends, _ = findings.ends_of(workbench.runs(), found, "auto", engine)
    plan, _ = on_steps(plan_draft.current(ref), found.targets, ends)
    plan_draft.save(ref, plan)


def greyed_text(undo: bool, redo: bool, limits: bool, cuts: bool, steps: bool | None) -> str:
    """Why tools of the line are greyed, in a line; empty where none is.

    Args:
        undo, redo: whether there is a step to take back, or to take again.
        limits: whether any row is known to stay within the tolerance.
        cuts: whether the plan has any.
        steps: whether an engine is chosen whose steps widths may follow; `None` where none could be.
    """
    why = []
    if not undo or not redo:
        why.append("nothing to redo" if undo else "nothing to undo" if redo else "nothing to undo or redo")
    if not limits:
        why.append("no row is known to stay within the tolerance")
    if not cuts:
        why.append("the plan is empty")
    if steps is False:
        why.append("steps are an engine's, and none is chosen")
    return f"Greyed: {'; '.join(why)}." if why else ""


def draw(ref: str, found: Description, plan: SparsityPlan, within: Within) -> None:
    """A line of what is done to the plan, and one of what holds for all of it."""
    drafts = plan_draft.drafts()
    steps: bool | None = None  # whether there is an engine whose steps could be taken; `None` without the button
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "Undo", icon=":material/undo:", on_click=undo, args=(ref, found), disabled=not drafts.can_undo(ref),
            shortcut="Ctrl+Z",
        )  # fmt: skip
        st.button(
            "Redo", icon=":material/redo:", on_click=redo, args=(ref, found), disabled=not drafts.can_redo(ref),
            shortcut="Ctrl+Shift+Z",
        )  # fmt: skip
        st.button(
            "Set each to its limit",
            on_click=set_limits,
            args=(ref, found, within),
            disabled=not within,
            help="Each to the largest measured sparsity at which its own drop stays within the tolerance. "
            "Together they cost more, often much more: measure.",
        )
        st.button("Clear", on_click=clear, args=(ref, found), disabled=not plan.cuts)
    with st.container(horizontal=True, vertical_alignment="bottom"):  # what holds for the plan as a whole
        with st.popover("File"):
            st.download_button("Download plan.json", plan.to_json(), "plan.json", "application/json", on_click="ignore")
            st.file_uploader("Load a plan", type="json", key="plan-upload", on_change=read_upload, args=(ref, found))
        if found.channel_targets:
            align = plan_draft.align_of(ref, plan)
            st.segmented_control(
                "Channels that stay, a multiple of", sorted({*ALIGNMENTS, align}), default=align, required=True,
                key=f"align-{ref}", format_func=lambda n: "any number" if n == 1 else f"×{n}",
                on_change=set_align, args=(ref, found), persist_state="session",
            )  # fmt: skip
        engines = predicted.engines(ref, found)
        if engines:
            st.selectbox(
                "Milliseconds on", [None, *engines], key=predicted.engine_key(ref), width=280, persist_state="session",
                format_func=lambda name: predicted.engine_label(ref, found, name),
                help="Whose milliseconds the tuner counts: of an engine whose staircases `secateur profile --widths` "
                "measured, or of torch, of which a profile timed single cuts. In an engine goals take its steps.",
            )  # fmt: skip
            engine = predicted.chosen_engine(ref, found)
            steps = engine is not None
            st.button(
                "Up to the steps", on_click=to_steps, args=(ref, found, engine),
                disabled=engine is None or not plan.cuts,
                help="Leaves as many channels of each group as take no longer: up to where the engine's step ends.",
            )  # fmt: skip
        if found.n_calibration or plan.repair:
            key = f"plan-repair-{ref}-{plan.repair}"  # the plan on disk decides, not what the browser keeps
            names = [None, *REPAIRS]
            st.selectbox(
                "Repair", names, names.index(plan.repair), key=key, format_func=lambda name: name or "none", width=136,
                help=REPAIR_HELP, on_change=set_repair, args=(ref, found, key),
            )  # fmt: skip
    if greyed := greyed_text(drafts.can_undo(ref), drafts.can_redo(ref), bool(within), bool(plan.cuts), steps):
        st.caption(greyed)
    if "upload-problem" in st.session_state:
        help.refusal(st.session_state.pop("upload-problem"))
