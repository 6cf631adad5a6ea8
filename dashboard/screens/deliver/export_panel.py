"""What an export is asked for: form, formats, opset; and how far one is, step by step."""

import time
from collections.abc import Sequence

import streamlit as st

from core import numbers
from core.delivery.export_steps import export_steps
from core.delivery.formats.facts import ALWAYS, FORMATS, WANTED, FormatFacts, missing
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.launch import start_export
from core.jobs.run import Run
from core.plans.plan import Form, SparsityPlan
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.screens.deliver.deliverables import Deliverable
from dashboard.start import wishes

HOW: dict[Form, str] = {
    "masked": "Masked: the weights are zero, the shapes stay, so the file is no smaller yet and the model no faster.",
    "shrunk": "Shrunk: channels, heads and blocks are gone, so the model is smaller; its outputs are compared with the "
    "masked model's first.",
}
WHY_ONE: dict[Form, str] = {
    "masked": " Single weights and patterns cannot be taken out, so there is nothing to shrink.",
    "shrunk": " A skipped block has no masked form.",
}
MARKS = ("check_circle", "pending", "radio_button_unchecked")  # done, at work, to come


AS_IT_IS = "As it is: what pruning and recovery have made zero stays zero, the shapes stay."


def choose_form(found: Description, model: Deliverable) -> Form:
    """Masked or shrunk; only what the plan allows; the smaller one unless somebody chooses. A round is what it is."""
    how = f"It is measured on all {found.n_open:,} examples, then reloaded in a fresh process and compared."
    if model.recovery is not None:
        st.caption(f"{AS_IT_IS} {how}")
        return "masked"
    forms = model.plan.forms
    chosen: Form = st.segmented_control(
        "Form", forms, default=forms[-1], required=True, key=f"form-{'-'.join(forms)}", label_visibility="collapsed"
    )
    st.caption(f"{HOW[chosen]} {how}{WHY_ONE[chosen] if len(forms) == 1 else ''}")
    return chosen


def draw(ref: str, model: Deliverable, form: Form) -> None:
    """Formats with what each holds, the rarer choices, and the button."""
    st.markdown("**Formats**")
    ticked = {ALWAYS, *WANTED[form], *wishes.formats(ref, form)}
    absent = [name for name in FORMATS if missing(name) is not None]
    chosen = [name for name in FORMATS if name not in absent and _ticked(name, form, name in ticked)]
    if absent:
        with st.expander(f"Not installed here: {', '.join(absent)}"):
            chosen += [name for name in absent if _ticked(name, form, name in ticked)]
    asked = [name for name in chosen if name != ALWAYS]
    usual = set(asked) == set(WANTED[form])
    if asked:
        st.caption("A format that cannot hold the model is left out; the bundle is written without it and says why.")
    with st.expander("More"):
        takes = [name for name in asked if FORMATS[name].opset]
        opset = st.number_input(
            "ONNX opset", min_value=1, value=None, step=1, placeholder="the exporter's own choice", disabled=not takes,
            key=f"opset-{form}", help="The version of ONNX operators that the engine you deliver to can run.",
        )  # fmt: skip
        if not takes:
            able = " or ".join(name for name, facts in FORMATS.items() if facts.opset)
            st.caption(f"For the format {able}.")
    # a button for each model: should the chosen one be gone by the time of a click, no other is exported in its place
    if not st.button("Export", type="primary", icon=":material/package_2:", key=f"export-{model.words}"):
        return
    try:
        start_export(
            workbench.runs(), model.reference(ref), model.plan, form=form, formats=None if usual else asked,
            opset=int(opset) if opset is not None and takes else None, skip_refused=not usual,
        )  # fmt: skip
    except SecateurError as error:
        help.refusal(str(error))
    else:
        redraw()


def _ticked(name: str, form: Form, usual: bool) -> bool:
    facts, absent = FORMATS[name], missing(name)
    with st.container(gap=None):
        ticked = st.checkbox(
            f"**{name}**: {facts.holds}", value=usual,
            disabled=name == ALWAYS or absent is not None, key=f"format-{form}-{name}",
        )  # fmt: skip
        st.caption(f"`{facts.path}` · {check_text(facts) if absent is None else absent_text(absent)}")
    return ticked and absent is None


def absent_text(why: str) -> str:
    """`not installed: `pip install …``: how to get the engine of a format, as something to copy."""
    what, _, command = why.partition(": ")
    return f"{what}: `{command}`" if command else why


def check_text(facts: FormatFacts) -> str:
    """How a format is checked, how far apart its outputs may be, and what is enough to read it."""
    if not facts.run:
        return f"not run here: {facts.checked} · runs on {' and '.join(facts.reads)}"
    return f"checked: {facts.checked}; {numbers.apart_text(facts.tolerance)} · read with {' and '.join(facts.reads)}"


def draw_state(run: Run | None) -> None:
    """Of the newest export the steps while it is at work, or why there is no bundle."""
    if run is None:
        return
    if run.active:
        st.fragment(_at_work, run_every=workbench.ACTIVE_SECONDS)(run.id)
    elif run.state != "finished":
        help.refusal(f"The newest export {ended_text(run)}")
        _again(run)


def ended_text(run: Run) -> str:
    """`failed: why`, `was stopped, so nothing was written`, … of a run that wrote nothing."""
    why = state_words.ended_text(run)
    return f"{why}, so nothing was written." if why else f"failed: {run.error or 'nothing was written'}"


def _again(run: Run) -> None:
    """The same export, which leaves out what stopped it, if that can have been a format."""
    asked = run.request
    if run.state != "failed" or not asked.get("formats") or asked.get("skip_refused"):
        return
    if st.button("Export again, without the formats that cannot hold it", icon=":material/redo:", key="export-again"):
        try:
            start_export(
                workbench.runs(), run.workload, SparsityPlan.from_document(asked["plan"]),
                form=asked.get("form") or "masked", formats=asked["formats"], opset=asked.get("opset"),
                skip_refused=True, pythons=asked.get("pythons", ()),
            )  # fmt: skip
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()


def _at_work(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        redraw()  # the bundle, or what went wrong, stands elsewhere
    took = f", for {numbers.seconds_text(time.time() - run.started)} so far" if run.started else ""
    st.markdown(f"**Exporting**{': stopping' if run.stopping else took}")
    steps = steps_of(run)
    done = steps.index(run.phase) if run.phase in steps else 0
    st.progress(done / len(steps), f"step {done + 1} of {len(steps)}; steps take unlike times")
    st.markdown("  \n".join(step_lines(steps, run.phase)))


def steps_of(run: Run) -> tuple[str, ...]:
    """What an export goes through, as it was asked for."""
    form: Form = run.request.get("form") or "masked"
    formats = run.request.get("formats")
    return export_steps(form, WANTED[form] if formats is None else formats)


def step_lines(steps: Sequence[str], phase: str | None) -> list[str]:
    """A line per step with its mark; before the first step, as while the model is loaded, none is at work.

    Args:
        steps: in order.
        phase: what the worker says that it is doing.
    """
    at = steps.index(phase) if phase in steps else -1
    marks = [MARKS[0] if i < at else MARKS[1] if i == at else MARKS[2] for i in range(len(steps))]
    before = [f":material/{MARKS[1]}: {phase or 'starting'}"] if at < 0 else []
    return [*before, *(f":material/{mark}: {step}" for mark, step in zip(marks, steps, strict=True))]
