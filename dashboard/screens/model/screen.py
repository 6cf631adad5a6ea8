"""Model: what it is made of, what of it can be cut, and what cannot."""

from pathlib import Path

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.workload import target_words
from core.workload.description import Description
from core.workload.inputs.pairs import pairing_text
from core.workload.sources.reference import is_reference, parsed
from core.workload.sources.registry import look
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.tables.table import table
from dashboard.screens.model import costs_panel, groups_table, sweep_panel
from dashboard.start import choice


def targets_frame(found: Description) -> pd.DataFrame:
    """A row per layer that can be cut, in network order."""
    heads = found.head_targets
    return pd.DataFrame(
        {
            "target": [t.name for t in found.weight_targets],
            "kind": [t.kind for t in found.weight_targets],
            "shape": [numbers.shape_text(t.shape) for t in found.weight_targets],
            "weights": [t.n_weights for t in found.weight_targets],
            "share": [100 * t.n_weights / found.n_parameters for t in found.weight_targets],
            "heads": [sum(h.parameter == t.parameter for h in heads) or None for t in found.weight_targets],
            "tied with": [", ".join(t.shared_with) for t in found.weight_targets],
        }
    )  # fmt: skip


def draw_targets(found: Description) -> None:
    frame = targets_frame(found)
    if not any(frame["tied with"]):
        frame = frame.drop(columns="tied with")
    if frame["heads"].isna().all():
        frame = frame.drop(columns="heads")
    table(
        frame,
        "What can be cut",
        secondary=("shape", "kind", "heads", "tied with"),
        tallest=430 if found.channel_targets else 620,
        placeholder="",
        columns={
            "weights": st.column_config.NumberColumn(format="localized"),
            "share": st.column_config.ProgressColumn(
                "share of parameters", format="%.2g %%", min_value=0, max_value=100
            ),
            "heads": st.column_config.NumberColumn("heads joined here"),
        },
    )


def draw_groups(found: Description) -> None:
    """Channels and neurons that only go together."""
    frame = groups_table.groups_frame(found.channel_targets)
    if (frame["parts"] == 1).all():
        frame = frame.drop(columns="parts")
    event = table(
        frame,
        "Channels and neurons that go together",
        secondary=("members", "parts", "layers"),
        tallest=430,
        key=f"groups-{found.ref}",
        on_select="rerun",
        selection_mode="single-row",
        columns={
            "group": st.column_config.TextColumn(help="Named after the first layer that makes its channels."),
            "units": st.column_config.TextColumn("units", help="What goes at once: a channel, a neuron."),
            "parts": st.column_config.NumberColumn(help="Of a grouped convolution: each part loses equally many."),
            "layers": st.column_config.NumberColumn("in layers"),
            "parameters": st.column_config.NumberColumn(
                format="localized", help="Of all its members, if all of it went."
            ),
            "members": st.column_config.TextColumn("who makes, scales and reads them"),
        },
    )
    if event.selection.rows:
        group = found.channel_targets[event.selection.rows[0]]
        table(groups_table.members_frame(group), "Members of the group", width="content")
    else:
        st.caption("Tick a row to unfold its members.")


def draw_later(found: Description) -> None:
    """Coupled groups that nobody has looked for yet: a worker does after its run, if memory is not short."""
    if workbench.is_being_read(found.ref):
        st.caption("Which channels and neurons go together is being looked for.")
        return
    st.caption(
        "Which channels and neurons go together was not looked for yet; a run that is started here does after its end."
    )
    if st.button("Look for them now", icon=":material/search:", key=f"groups-later-{found.ref}"):
        workbench.read_again(found.ref)
        redraw()


def draw_uncuttable(found: Description) -> None:
    reasons: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for item in found.uncuttable:
        reasons.setdefault(item.reason, []).append(item.name)
        sizes[item.reason] = sizes.get(item.reason, 0) + item.n_weights
    frame = pd.DataFrame(
        {
            "why": list(reasons),
            "how many": [len(names) for names in reasons.values()],
            "weights": list(sizes.values()),
            "which": [", ".join(names) for names in reasons.values()],
        }
    )
    table(
        frame, "What cannot be cut", secondary=("which",),
        columns={"weights": st.column_config.NumberColumn(format="localized")},
    )  # fmt: skip


def draw(found: Description) -> None:
    if found.targets:
        sweep_panel.draw(found)
        choice.draw(found.ref, found, goes_on=True)
    cuttable = sum(target.n_weights for target in found.weight_targets)
    direction = "higher is better" if found.scale.higher_is_better else "lower is better"
    row = st.container(horizontal=True, gap="medium")  # what has no room beside the others goes below them, whole
    for label, value, text in (
        ("Parameters", f"{found.n_parameters:,}", None),
        (
            "Can be cut",
            numbers.share_text(cuttable / max(1, found.n_parameters)),
            "share of the parameters in layers below",
        ),
        ("Layers", str(len(found.weight_targets)), None),
        ("Attention heads", str(len(found.head_targets)), None),
        ("Coupled groups", str(len(found.channel_targets)), "of channels or neurons that can only go together"),
        (
            "Evaluation examples",
            f"{found.n_evaluation:,}",
            f"a sweep uses the first {found.sweep_examples:,} by default",
        ),
    ):
        row.metric(label, value, help=text, width="content")
    st.caption(
        f"**{workbench.short_name(found.ref)}** is judged by **{found.scale.name}** ({found.scale.unit}, {direction}). "
        f"Examples to calibrate with: {_count(found.n_calibration)}; to train on: {_count(found.n_training)}. "
        "No evaluation example is among them."
        f"{_set_aside(found)}"
    )
    if inferred := inferred_lines(found.ref):
        st.caption("Inferred from its files: " + " · ".join(inferred) + ". Not so? *Yours* takes task and columns.")
    if found.inputs:
        st.caption(f"It is called with {pairing_text(found.inputs)}.")
    if found.weight_targets and cuttable < target_words.LITTLE * found.n_parameters:
        said = target_words.reach_text(found.targets, found.uncuttable, found.n_parameters)
        st.warning(f"{said[0].upper()}{said[1:]}.")
    if found.weight_targets:
        st.subheader("What can be cut")
        draw_targets(found)
        st.page_link(
            st.Page(Path(__file__).parents[1] / "map" / "screen.py", url_path="map"),
            label="Measure what each cut costs",
            icon=":material/arrow_forward:",
        )
    else:
        st.warning("Nothing in this model can be cut. The reasons are below.")
    if found.channel_targets:
        st.subheader("Channels and neurons that go together")
        draw_groups(found)
    elif not found.is_whole:
        draw_later(found)
    costs_panel.draw(found)
    n = len(found.uncuttable)
    if n:
        with st.expander(f"What cannot be cut: {n} parameters and places, and why", expanded=not found.weight_targets):
            draw_uncuttable(found)


def inferred_lines(ref: str) -> tuple[str, ...]:
    """What was taken for task, data, labels and metric of a model that is named in one line; nothing of others."""
    if not is_reference(ref) or workbench.is_stranger(ref):
        return ()
    try:
        return _looked_at(ref, _changed(ref))
    except SecateurError:
        return ()  # its files have changed since it was read; reading it again says how


@st.cache_data(max_entries=32, show_spinner=False)
def _looked_at(ref: str, changed: tuple[float, ...]) -> tuple[str, ...]:
    return look(ref)


def _changed(ref: str) -> tuple[float, ...]:
    """When what a reference names was changed last, as far as it is files: what was inferred of others is not shown."""
    named = parsed(ref)
    places = [Path(text) for text in (named.place, *named.options.values())]
    return tuple(place.stat().st_mtime for place in places if place.exists())


def _set_aside(found: Description) -> str:
    """What certificates are made on, if anything."""
    if found.n_holdout is not None:
        return f" Certificates are made on {found.n_holdout:,} others, by which nothing is chosen."
    if found.n_held:
        return (
            f" {found.n_held:,} of the evaluation examples are set aside for certificates: nothing is chosen by them."
        )
    return ""


def _count(n: int | None) -> str:
    return "none" if n is None else f"{n:,}"


draw(workbench.described(workbench.chosen_model()))
with st.expander("A model of your own"):
    st.markdown(
        "*Yours*, beside the list above, offers what lies nearby and takes any other path: a workload file, or a "
        "folder of transformers with data. To begin a file, in a terminal in the folder of your project:\n"
        "```\nsecateur init my_workload.py        # a commented file that runs as it is\n```\n"
        "A file is only ever run because you clicked or named it. "
        f"[What the file may say]({help.address(help.PAGE_OF['model'])})"
    )
