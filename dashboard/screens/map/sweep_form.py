"""The form that starts a sweep: what is measured, on how much data, and how far."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.launch import start_sweep
from core.plans import cut_words
from core.plans.criteria import DEFAULT_CRITERION, FACTS
from core.plans.patterns import is_pattern
from core.plans.repairs import REPAIRS
from core.sensitivity.request import DEFAULT_SPARSITIES, MODES, RULES, Mode, Rule, SweepRequest
from core.sensitivity.search.enough import default_n
from core.sensitivity.search.ray_address import AUTO, LOCAL, is_there
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment, redraw
from dashboard.screens.map import before_sweep
from dashboard.screens.map.sweep_settings import Settings, first_settings

SOURCE = "sweep-settings-from"  # of what the fields were last filled with
ALIGNMENTS = (1, 4, 8, 16, 32)
NO_CALIBRATION = (
    "A repair looks at calibration data, and this model has none: give its Workload calibration=Examples(…) that are "
    "no evaluation examples."
)
PATTERNS = ("2:4", "1:4", "4x4")

# those by which a cell of a sweep can be cut; heads go whole
SWEPT = [name for name, facts in FACTS.items() if {"weights", "channels"}.intersection(facts.scores)]

MODE_WORDS: Mapping[Mode, tuple[str, str]] = MappingProxyType(
    {
        "exact": (
            "Whole map, all examples",
            "Every cell with the narrowest interval. Slowest; a first map is there at once and sharpens.",
        ),
        "race": (
            "Whole map, stop each cell when it is decided",
            "Every cell until it is known to lie within or beyond the tolerance. Faster; wider intervals.",
        ),
        "tolerance": (
            "Only the limit of each layer",
            "The most that each layer can lose within the tolerance. Fastest; the rest of the map is interpolated.",
        ),
    }
)
HERE, CLUSTER = "here", "cluster"  # without Ray; on Ray, its address typed
PLACE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        HERE: "this machine, in one process",
        LOCAL: "this machine, in a process per core (Ray)",
        CLUSTER: "a cluster of Ray",
    }
)
NO_RAY = "On a cluster of several machines: `pip install 'secateur[ray]'`, and this form asks for its address."
RULE_WORDS: Mapping[Rule, str] = MappingProxyType(
    {
        "census": "all that the dense model is least sure of, some of the rest",
        "calibrated": "fewer, and a forecast of the rest: no guarantee",
        "sampling": "all at random",
    }
)


def draw(ref: str, found: Description, folded: bool = False) -> None:
    """Draw it; a click on Measure starts the sweep, and nothing else does: Enter in a field is no such click.

    Args:
        ref, found: the model.
        folded: what is measured in a line and the button first, the fields folded below.
    """
    fragment(_form)(ref, found, folded)


def _form(ref: str, found: Description, folded: bool) -> None:
    first = first_settings(ref, found)
    _fill(ref, found, first)
    top = st.container()
    with st.expander("Settings", icon=":material/tune:") if folded else st.container():
        request, tolerance, problem = _fields(ref, found, first)
    with top if folded else st.container():
        if request is None:
            help.refusal(problem)
        else:
            told = before_sweep.lines(ref, found, request, tolerance)
            st.caption("  \n".join([*([before_sweep.what_text(request)] if folded else []), *told]))
        pressed = st.button(
            "Measure", type="primary", icon=":material/play_arrow:", key="measure-sweep", disabled=request is None
        )
        if pressed and request is not None:
            _start(ref, found, request)


def _start(ref: str, found: Description, request: SweepRequest) -> None:
    try:
        start_sweep(workbench.runs(), request)
    except SecateurError as error:
        help.refusal(str(error))
        return
    if request.tolerance:  # the map is coloured by what was asked
        st.session_state[f"tolerance-{ref}"] = request.tolerance * found.scale.factor
    st.query_params.pop("run", None)
    redraw()


def _fields(ref: str, found: Description, first: Settings) -> tuple[SweepRequest | None, float, str]:
    """The fields; what they ask for, or `None` with the reason, and the tolerance that is meant."""
    mode: Mode = st.radio(
        "What to measure", list(MODES), key="mode", format_func=lambda mode: MODE_WORDS[mode][0],
        captions=[words for _, words in MODE_WORDS.values()],
    )  # fmt: skip
    if mode != "exact" and found.scale.of_set:
        st.caption(f"{found.scale.name} is a number of all examples together: no cell can be decided before the last.")
    chosen = _what_to_remove(found, first)
    align = 1
    if "channel" in chosen:
        _begin("align", first.align)
        align = st.segmented_control(
            "Channels that stay, a multiple of", sorted({*ALIGNMENTS, first.align}), required=True, key="align",
            format_func=lambda n: "any number" if n == 1 else str(n),
            help="Hardware likes multiples of 8 or more. A sparsity is rounded down to the next number that fits.",
        ) or 1  # fmt: skip
    sparsities = st.multiselect(
        "Sparsities", sorted({*DEFAULT_SPARSITIES, *first.sparsities}), format_func=numbers.sparsity_text,
        key="sparsities",
    )  # fmt: skip
    left, right = st.columns(2)
    layers = left.text_input("Layers", key="layers", placeholder="all; or a regular expression, e.g. stage2|fc")
    _begin(f"samples-{ref}-{mode}", _samples(ref, found, mode, first))
    samples = right.number_input(
        "Evaluation examples" if mode == "exact" else "Evaluation examples, at most",
        2, found.n_open, key=f"samples-{ref}-{mode}",
        help="More examples, narrower intervals, longer sweep. What is measured already is not measured again.",
    )  # fmt: skip
    criteria = st.multiselect(
        "Criteria",
        SWEPT,
        format_func=_criterion_text,
        key="criteria",
        help="How weights and channels are chosen; several to compare them, each with a map of its own. "
        "Calibration data are those of the workload, never what it is judged on.",
    )
    repair = _repair_field(found)
    tolerance = _tolerance_field(ref, found, first) if mode != "exact" else None
    rule = _rule_field(found) if mode != "exact" else "census"
    ray = _place_field(first)
    asked = workbench.tolerance_of(ref, found) if tolerance is None else tolerance
    try:
        request = SweepRequest(
            ref, tuple(sparsities), layers.strip(), "head" in chosen, int(samples),
            mode=mode, tolerance=tolerance, blocks="block" in chosen, channels="channel" in chosen,
            align=align, weights="weight" in chosen, patterns=tuple(name for name in chosen if is_pattern(name)),
            criteria=tuple(criteria), repair=repair, rule=rule, ray=ray,
        )  # fmt: skip
    except SecateurError as error:
        return None, asked, str(error)
    return request, asked, ""


def _fill(ref: str, found: Description, first: Settings) -> None:
    """What the fields begin with: anew with another model, another last sweep, another wish; else as they were left."""
    source = (ref, first.source)
    if st.session_state.get(SOURCE) != source:
        for key in [key for key in st.session_state if _is_field(str(key), found)]:
            del st.session_state[key]
        st.session_state[SOURCE] = source
    _begin("mode", first.mode)
    _begin("sparsities", list(first.sparsities))
    _begin("layers", first.layers)
    _begin("criteria", [name for name in first.criteria if name in SWEPT] or [DEFAULT_CRITERION])
    _begin(f"repair-{found.ref}", first.repair)
    _begin("rule", first.rule)
    _begin("place", {None: HERE, LOCAL: LOCAL}.get(first.ray, CLUSTER))


def _is_field(key: str, found: Description) -> bool:
    """Whether a key is of a field of this form."""
    named = ("mode", "align", "sparsities", "layers", "criteria", "rule", "place", "ray-address")
    of_model = tuple(f"{name}-{found.ref}" for name in ("what", "samples", "repair", "sweep-tolerance"))
    return key in named or key.startswith(of_model)


def _begin(key: str, value: Any) -> None:
    """The value of a field that nobody has touched since it was filled."""
    if key not in st.session_state:
        st.session_state[key] = value


def _samples(ref: str, found: Description, mode: Mode, first: Settings) -> int:
    """How many examples the form offers: as many as the last sweep of the mode, else what is usual."""
    if first.samples is not None and mode == first.mode:
        return max(2, min(first.samples, found.n_open))
    return _usual_n(ref, found, mode)


def _rule_field(found: Description) -> Rule:
    """Which examples a search reads; of no use where scores are no hits."""
    if found.scale.unit != "fraction" or found.scale.of_set:
        return "census"
    rule: Rule = st.selectbox(
        "Which examples are read", RULES, format_func=RULE_WORDS.__getitem__, key="rule",
        help="Where the metric tells how sure the dense model is of each example (accuracy and other hits). A "
        "forecast reads about half as many: what becomes of the others is foreseen from how sure it is, and some drawn "
        "at random are held against that. Cells decided so are marked ≈.",
    )  # fmt: skip
    return rule


def _repair_field(found: Description) -> str | None:
    """What makes up for each cut before it is measured; greyed, with why, where there are no calibration data."""
    repair: str | None = st.selectbox(
        "Repair", [None, *REPAIRS], format_func=repair_text, key=f"repair-{found.ref}",
        disabled=not found.n_calibration, placeholder=repair_text(None),
        help="Without training, by calibration data: what stays makes up for what goes. Raw and repaired cells are "
        "kept apart, and shown beside each other once both are there.",
    )  # fmt: skip
    if not found.n_calibration:
        st.caption(NO_CALIBRATION)
    return repair


def _place_field(first: Settings) -> str | None:
    """The address of Ray; `None` without it. Where Ray is not installed, a line on how to get it."""
    if not is_there():
        st.caption(NO_RAY)
        return None
    left, right = st.columns(2)
    place: str = left.selectbox(
        "Where it is measured", list(PLACE_WORDS), format_func=PLACE_WORDS.__getitem__, key="place",
        help="The results are the same, bit for bit. Ray begins with loading the model once per process: it pays from "
        "some minutes of measuring on. The files of the model must be at the same path on every node.",
    )  # fmt: skip
    if place != CLUSTER:
        return None if place == HERE else place
    _begin("ray-address", AUTO if first.ray in (None, LOCAL) else first.ray)
    address: str = right.text_input(
        "Address of the cluster", key="ray-address", placeholder="HOST:PORT, or auto",
        help="auto: the cluster that this machine is a node of. Else the address of its head, such as 10.0.0.7:6379.",
    )  # fmt: skip
    return address.strip()


def repair_text(repair: str | None) -> str:
    """`none: cuts as they are`, `bias: what a layer loses …`."""
    return f"{repair}: {REPAIRS[repair]}" if repair else "none: cuts stay as they are"


def _usual_n(ref: str, found: Description, mode: Mode) -> int:
    """How many examples the form offers: no fewer than are of use for the tolerance, where one is looked for."""
    request = SweepRequest(ref, mode=mode, tolerance=None if mode == "exact" else workbench.tolerance_of(ref, found))
    return default_n(request, found.scale, found.sweep_examples, found.n_open) or found.n_open


def _criterion_text(name: str) -> str:
    """`wanda: weights; needs calibration data`."""
    facts = FACTS[name]
    needs = "" if facts.needs == "weights" else f"; needs {cut_words.needs_text(facts)}"
    return f"{name}: {' and '.join(kind for kind in facts.scores if kind != 'heads')}{needs}"


def _what_to_remove(found: Description, first: Settings) -> list[str]:
    """Granularities that the model has and the person wants, patterns among them."""
    there = {target.granularity for target in found.targets}
    known: list[str] = [name for name in ("weight", "channel", "head", "block") if name in there]
    if "weight" in there:
        known += [*PATTERNS, *(name for name in first.removes if is_pattern(name) and name not in PATTERNS)]
    _begin(f"what-{found.ref}", [name for name in first.removes if name in known])
    chosen: list[str] = st.pills(
        "What to remove", known, selection_mode="multi", key=f"what-{found.ref}",
        format_func=cut_words.granularity_text,
        help="Weights: single ones become zero. Channels, neurons, heads and blocks can be taken out, which makes "
        "the model smaller. Patterns: zeros in a regular shape, for engines that make use of it.",
    )  # fmt: skip
    return chosen


def _tolerance_field(ref: str, found: Description, first: Settings) -> float | None:
    """The drop that is accepted, in the metric's unit; `None` while nobody knows what would be usual."""
    usual = workbench.tolerance_of(ref, found)
    is_known = found.scale.unit == "fraction" or workbench.dense_value(ref, found) is not None
    begins = first.tolerance if first.tolerance is not None else usual if is_known else None
    _begin(f"sweep-tolerance-{ref}", None if begins is None else begins * found.scale.factor)
    shown = st.number_input(
        f"Tolerance, {numbers.drop_unit(found.scale)}",
        min_value=0.0, value=None, format="%.3g", key=f"sweep-tolerance-{ref}",
        placeholder="a twentieth of the dense metric",
        help="The largest drop you accept, interval and all.",
    )  # fmt: skip
    return None if shown is None else float(shown) / found.scale.factor
