"""Quantized models: what is quantized and how, the button, and every file that came of it with its figures."""

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import start_quantize
from core.jobs.run import Run
from core.plans.plan import Form, SparsityPlan
from core.quantization.bits import DEFAULT_BITS, FEWEST_BITS, MOST_BITS, SCHEMES, SUFFIXES
from core.quantization.quantization_words import quantized_lines
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.strip import time_text
from dashboard.screens.deliver.bundles_panel import is_outdated, of_text, when_text
from dashboard.screens.deliver.deliverables import Deliverable, runs_of
from dashboard.screens.deliver.export_panel import ended_text
from dashboard.serving.downloads import quantized_url

DENSE = "the dense model"
PACKED = "weight"  # the scheme that leaves the number of bits open
READ_BACK = {  # whether it is a packed file, which is read by a fresh process too
    True: "A fresh process reads the file and compares every tensor; it is read back",
    False: "ONNX Runtime reads the file back",
}


def draw(ref: str, found: Description, chosen: Deliverable | None, form: Form) -> None:
    """The form that starts one, and the files of the model as it is now.

    Args:
        ref: of the model.
        found: the model as it is now.
        chosen: above; `None` leaves the dense model to quantize.
        form: chosen above, of the plan's model.
    """
    st.subheader("Quantize")
    models = [*([model_text(chosen, form)] if chosen is not None else []), DENSE]
    columns = st.columns([2, 2, 1, 1], vertical_alignment="bottom")
    model = columns[0].selectbox("Model to quantize", models, key=f"quantize-model-{models[0]}")
    scheme = columns[1].selectbox("Scheme", list(SCHEMES), key="quantize-scheme")
    bits = columns[2].number_input(
        "Bits", FEWEST_BITS, MOST_BITS, DEFAULT_BITS, 1, key="quantize-bits", disabled=scheme != PACKED,
        help=f"Of the weights. Only the scheme {PACKED} takes other than {DEFAULT_BITS}.",
    )  # fmt: skip
    if scheme != PACKED:
        columns[2].caption(f"Only {PACKED} takes others.")
    pressed = columns[3].button("Quantize", key="quantize", icon=":material/compress:", width="stretch")
    st.caption(
        f"{scheme}: {SCHEMES[scheme]} (`{SUFFIXES[scheme]}`). {READ_BACK[scheme == PACKED]}, and what came back is "
        f"measured on all {found.n_open:,} examples."
    )
    if pressed:
        taken = None if model == DENSE else chosen
        try:
            start_quantize(
                workbench.runs(), taken.reference(ref) if taken else ref, taken.plan if taken else SparsityPlan(),
                scheme=scheme, bits=int(bits) if scheme == PACKED else DEFAULT_BITS, form=form if taken else "masked",
            )  # fmt: skip
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    runs = runs_of("quantize", ref)
    _state(runs[0] if runs else None)
    for run in runs:
        if run.state == "finished":
            _draw_one(run, found)


def model_text(chosen: Deliverable, form: Form) -> str:
    """`the plan's model, shrunk`, `recovered round 2 of run 3f2a`."""
    return chosen.short if chosen.recovery is not None else f"{chosen.short}, {form}"


def _state(run: Run | None) -> None:
    if run is None or run.state == "finished":
        return
    if run.active:
        st.fragment(_at_work, run_every=workbench.ACTIVE_SECONDS)(run.id)
    else:
        help.refusal(f"The newest quantization {ended_text(run)}")


def _at_work(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        redraw()
    phase = "stopping" if run.stopping else run.phase or "starting"
    st.caption(f":material/pending: Quantizing: {phase}{time_text(run)}")


def _draw_one(run: Run, found: Description) -> None:
    path = workbench.runs().quantized_file(run)
    assert path is not None
    with st.container(border=True):
        left, right = st.columns([5, 2], vertical_alignment="center")
        left.markdown("  \n".join([f"**{path.name}** · {when_text(run)}", *file_lines(run, found.ref)]))
        if is_outdated(run, (run.result or {})["model"], found):
            left.caption(":material/history: Made of an earlier version of the model.")
        if path.is_file():
            size = numbers.bytes_text(path.stat().st_size)
            right.link_button(f"Download ({size})", quantized_url(run.id), icon=":material/download:", width="stretch")
        else:
            right.caption("Its file was removed.")


def file_lines(run: Run, ref: str) -> list[str]:
    """Of which model a file is, its bytes and what it measures; not where on the server it lies."""
    of = of_text(run, ref)
    _, *lines = quantized_lines(dict(run.result or {}), "recovered" if of else "dense")
    return [*of, *(" ".join(line.split()) for line in lines)]
