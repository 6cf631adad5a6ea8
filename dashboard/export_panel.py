"""What an export is asked for: form, formats, opset; and how far one is, step by step."""

import time
from collections.abc import Sequence

import streamlit as st

from core import wording
from core.delivery.export_steps import export_steps
from core.delivery.formats.facts import ALWAYS, FORMATS, WANTED, FormatFacts
from core.errors import SecateurError
from core.jobs.launch import start_export
from core.jobs.runs import Run
from core.plans.plan import Form
from core.workload.description import Description
from dashboard import workbench
from dashboard.deliverables import Deliverable

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


def choose_form(found: Description, chosen: Deliverable) -> Form:
    """Masked or shrunk; only what the plan allows; the smaller one unless somebody chooses."""
    if chosen.is_recovered:
        st.caption(
            "The recovered model as it is, with the zeros that it has. On its card it stands beside the dense model "
            f"and the same cut without training, measured on all {found.n_evaluation:,} examples."
        )
        return "masked"
    forms = chosen.plan.forms
    form: Form = st.segmented_control(
        "Form", forms, default=forms[-1], required=True, key=f"form-{'-'.join(forms)}", label_visibility="collapsed"
    )
    st.caption(
        f"{HOW[form]} It is measured on all {found.n_evaluation:,} examples, then reloaded in a fresh process and "
        f"compared.{WHY_ONE[form] if len(forms) == 1 else ''}"
    )
    return form


def draw(ref: str, what: Deliverable, form: Form) -> None:
    """Formats with what each holds, the rarer choices, and the button."""
    st.markdown("**Formats**")
    chosen = [name for name in FORMATS if _ticked(name, form)]
    asked = [name for name in chosen if name != ALWAYS]
    usual = set(asked) == set(WANTED[form])
    if usual and asked:
        st.caption(f"Where {asked[0]} cannot hold the model, the bundle is written without it and says why.")
    elif asked:
        st.caption("A format that cannot hold the model stops the export, with the reason; nothing is left behind.")
    with st.expander("More"):
        takes = [name for name in asked if FORMATS[name].opset]
        opset = st.number_input(
            "ONNX opset", min_value=1, value=None, step=1, placeholder="the exporter's own choice", disabled=not takes,
            key=f"opset-{form}", help="The version of ONNX operators that the engine you deliver to can run.",
        )  # fmt: skip
        if not takes:
            able = " or ".join(name for name, facts in FORMATS.items() if facts.opset)
            st.caption(f"For the format {able}.")
    if not st.button("Export", type="primary", icon=":material/package_2:"):
        return
    try:
        start_export(
            workbench.runs(), what.reference(ref), what.plan, form=form, formats=None if usual else asked,
            opset=int(opset) if opset is not None and takes else None,
        )  # fmt: skip
    except SecateurError as error:
        st.error(str(error), icon=":material/error:")
    else:
        st.rerun()


def _ticked(name: str, form: Form) -> bool:
    facts = FORMATS[name]
    with st.container(gap=None):
        ticked = st.checkbox(
            f"**{name}**: {facts.holds}", value=name == ALWAYS or name in WANTED[form], disabled=name == ALWAYS,
            key=f"format-{form}-{name}",
        )  # fmt: skip
        st.caption(f"`{facts.path}` · {check_text(facts)}")
    return ticked


def check_text(facts: FormatFacts) -> str:
    """How a format is checked, how far apart its outputs may be, and what is enough to read it."""
    return f"checked: {facts.checked}; {wording.apart_text(facts.tolerance)} · read with {' and '.join(facts.reads)}"


def draw_state(run: Run | None) -> None:
    """Of the newest export the steps while it is at work, or why there is no bundle."""
    if run is None:
        return
    if run.active:
        st.fragment(_at_work, run_every=workbench.ACTIVE_SECONDS)(run.id)
    elif run.state != "finished":
        st.error(f"The newest export was {run.state}: {run.error or 'nothing was written'}", icon=":material/error:")


def _at_work(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        st.rerun()  # the bundle, or what went wrong, stands elsewhere
    took = f", for {wording.seconds_text(time.time() - run.started)} so far" if run.started else ""
    st.markdown(f"**Exporting**{': stopping' if run.stopping else took}")
    st.markdown("  \n".join(step_lines(steps_of(run), run.phase)))


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
