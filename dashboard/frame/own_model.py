"""A model of one's own: what is typed on top of any screen becomes a reference, is looked at, and is read."""

from pathlib import Path

import streamlit as st

from core.errors import SecateurError
from core.workload.loading import canonical_ref
from core.workload.sources.reference import is_reference, with_options
from core.workload.sources.registry import look
from dashboard.frame import help, nearby, workbench

PROBLEM, OPENED, PICKED = "own-model-problem", "own-models-opened", "own-model-picked"
PLACE = "own-model-place"
FIELDS = {"data": "own-data", "task": "own-task", "columns": "own-columns"}
ICONS: dict[nearby.Kind, str] = {
    "workload": ":material/code:", "folder": ":material/folder:", "program": ":material/data_object:",
}  # fmt: skip


def draw() -> None:
    """The button beside the list of models, and behind it what lies nearby, and a form for any other path."""
    n = st.session_state.get(OPENED, 0)  # another key is another popover: it closes once the model is there
    what = "A model of your own: a folder, or a workload file"
    with st.popover("Yours", icon=":material/add:", help=what, key=f"own-model-{n}"):
        problem = st.session_state.pop(PROBLEM, None)
        if problem:
            help.refusal(problem)
        _draw_nearby()
        with st.form("own-model", enter_to_submit=False, border=False):
            st.text_input(
                "Model",
                key=PLACE,
                placeholder="./folder or my_model.py",
                help="A folder that transformers or sentence-transformers saved (hf:, st:), a workload file, or any "
                "other reference: timm:, py:, lightning:.",
            )
            st.text_input("Data", key=FIELDS["data"], placeholder="test.csv or photos/", help="Not of a workload file.")
            left, right = st.columns(2)
            left.text_input(
                "Task", key=FIELDS["task"], placeholder="by the head", help="Where the head leaves a choice."
            )
            right.text_input(
                "Columns", key=FIELDS["columns"], placeholder="by their names", help="As text=body,label=stars."
            )
            st.form_submit_button("Open it", icon=":material/folder_open:", type="primary", on_click=_read)
        st.caption(
            "Paths are of the machine that runs Secateur. A workload file is run as Python, in a process of its own; a "
            "folder never is. Nothing long starts before you have seen what was found."
        )


def _draw_nearby() -> None:
    """A button for each model that lies nearby; of one without data of its own, for each file that may be its data."""
    runs = workbench.runs()
    found = nearby.models(nearby.places(runs.workspace.folder, runs.workloads()))
    if not found:
        return
    st.caption("Found nearby")
    picked = st.session_state.get(PICKED)
    for model in found:
        st.button(
            _short(model.path), icon=ICONS[model.kind], key=f"nearby-{model.path}", help=str(model.path),
            width="stretch", type="primary" if model.path == picked else "secondary", on_click=_pick, args=(model,),
        )  # fmt: skip
        if model.path != picked:
            continue
        data = nearby.data_for(model)
        st.caption("Measured on which data?" if data else "No data lie beside it: name them below.")
        for path in data:
            st.button(
                _short(path), icon=":material/table:", key=f"nearby-data-{path}", help=str(path), width="stretch",
                on_click=_open, args=(str(model.path), {"data": str(path)}),
            )  # fmt: skip


def _short(path: Path) -> str:
    """The last two parts of a path, as code: a name may hold what Markdown would take for its own."""
    return "`" + "/".join(path.parts[-2:]).replace("`", "'") + "`"


def _pick(model: nearby.Nearby) -> None:
    """What has its own data is opened; of another it is asked on which."""
    if model.needs_data:
        st.session_state[PICKED] = model.path
        st.session_state[PLACE] = str(model.path)
    else:
        _open(str(model.path), {})


def reference_of(place: str, options: dict[str, str]) -> str:
    """What is loaded for what was typed; a folder needs no `hf:` before it.

    Args:
        place: of the model.
        options: beside it; empty ones are left out.

    Raises:
        SecateurError: nothing was typed, or what it names is missing, damaged, unsafe, or does not fit.
    """
    place = place.strip()
    if not place:
        raise SecateurError("name a model: a folder such as ./my_model, or a workload file my_model.py")
    given = {name: text.strip() for name, text in options.items() if text.strip()}
    folder = Path(place).expanduser()
    if not is_reference(place) and folder.is_dir():
        place = f"{'st' if (folder / 'modules.json').is_file() else 'hf'}:{place}"
    elif not is_reference(place) and folder.suffix == ".pt2" and folder.is_file():
        place = f"pt2:{place}"
    elif not is_reference(place) and len(folder.parts) > 1 and not folder.exists():
        raise SecateurError(f"no folder or file {place} on the machine that runs Secateur; give its whole path")
    ref = canonical_ref(with_options(place, given))
    if is_reference(ref):
        look(ref)  # seconds before a worker would say the same
    return ref


def _read() -> None:
    """What was typed."""
    _open(st.session_state[PLACE], {name: st.session_state[key] for name, key in FIELDS.items()})


def _open(place: str, options: dict[str, str]) -> None:
    """Before anything is drawn again: the list of models may only be told then what is chosen."""
    try:
        ref = reference_of(place, options)
        workbench.confirm(ref)  # somebody typed it, or clicked it
        if workbench.description(ref) is None:
            workbench.read_again(ref)
    except SecateurError as error:
        st.session_state[PROBLEM] = str(error)
        return
    st.session_state["model"] = ref
    st.session_state.pop(PICKED, None)
    st.session_state[OPENED] = st.session_state.get(OPENED, 0) + 1
