"""Plans that measuring finds: the smallest within a tolerance, the best for a budget; with guards for groups."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.known import search_words
from core.jobs.known.kept_plan import MadeBy
from core.jobs.known.plan_words import cost_words
from core.jobs.launch import resume, start_minimise, start_refine
from core.jobs.run import Kind as RunKind
from core.jobs.run import Run
from core.plans import cut_words
from core.plans.costs.left import KINDS, Kind
from core.plans.plan import HEADS, STRUCTURED, SparsityPlan
from core.plans.prediction import Predictor
from core.plans.repairs import repair_words
from core.tuning.goal import solved_granularities
from core.tuning.request import MinimiseRequest, RefineRequest
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment, redraw
from dashboard.frame.guards import guards_form, who_suffers
from dashboard.frame.tables.table import table
from dashboard.screens.tune import plan_draft, tuner_panel
from dashboard.screens.tune.predicted import chosen_engine, knowledge
from dashboard.start import wishes

USUAL_LEFT = 50.0  # percent


def draw(ref: str, found: Description) -> None:
    """The panels; each draws itself again while a search of its kind is at work, and not the screen above."""
    panels: dict[RunKind, Callable[[str, Description], None]] = {"minimise": _panel, "refine": _refine_panel}
    for kind, panel in panels.items():
        active = [run.id for run in workbench.runs().list(kind, ref) if run.active]
        fragment(panel, bool(active))(ref, found)


def _panel(ref: str, found: Description) -> None:
    known = knowledge(ref, found, plan_draft.current(ref).repair)
    kinds = searchable(known.predictor, [cost.kind for cost in known.kinds]) if known.predictor else []
    runs = [
        run for run in workbench.runs().list("minimise", ref) if run.result is None or workbench.is_current(run, found)
    ]
    if not kinds and not runs:
        return
    st.subheader("Smallest plan within a tolerance")
    newest = runs[0] if runs else None
    if kinds and known.predictor is not None and not (newest and newest.active):
        _form(ref, found, kinds, known.predictor, is_timed=known.saved is not None)
    if newest is not None:
        _outcome(ref, found, newest)


def searchable(predictor: Predictor, countable: list[Kind]) -> list[Kind]:
    """Kinds of cost of which something that was measured is made; milliseconds also before a profile knows them."""
    measured = {curve.granularity for curve in predictor.curves.values()}
    return [
        kind
        for kind in KINDS
        if (kind in countable or (kind == "milliseconds" and measured & set(STRUCTURED)))
        and measured & set(solved_granularities(kind, predictor))
    ]


def _form(ref: str, found: Description, kinds: list[Kind], predictor: Predictor, is_timed: bool) -> None:
    scale = found.scale
    usual = workbench.tolerance_of(ref, found) * scale.factor
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
    shown = left.number_input(
        f"Tolerance, {numbers.drop_unit(scale)}",
        min_value=usual / 1000, value=usual, step=usual / 2, format="%.3g", key=f"search-tolerance-{ref}-{usual:.6g}",
        persist_state="session",
        help="The largest drop you accept. All of the measured interval has to lie within.",
    )  # fmt: skip
    kind: Kind = middle.selectbox(
        "Make smallest", kinds, wished(ref, found, kinds), format_func=_named(ref, found), key=f"search-cost-{ref}",
        persist_state="session",
    )  # fmt: skip
    cuts = solved_granularities(kind, predictor)
    even = bool({"channel", *HEADS} & set(cuts)) and st.checkbox(
        "even layers", key=f"search-even-{ref}", persist_state="session",
        help="The same number of channels, or of heads, from every layer of a kind: what one number in a "
        "configuration can say, as a folder for Hugging Face needs.",
    )  # fmt: skip
    guards = guards_form(ref, found, "search")
    if right.button("Find it", type="primary", icon=":material/search:", width="stretch", key=f"search-{ref}"):
        start_minimise(
            workbench.runs(),
            MinimiseRequest(
                ref,
                shown / scale.factor,
                kind,
                even=even,
                guards=guards,
                repair=predictor.repair,
                engine=_engine(ref, found, kind),
            ),
        )
        redraw()
    cut = " and ".join(cut_words.granularity_text(one) for one in cuts)
    repaired = f", {repair_words(predictor.repair)}" if predictor.repair else ""
    text = (
        f"Solves for a plan that cuts {cut}{repaired}, measures it on all {found.n_open:,} examples, corrects the "
        "prediction and solves again, until a little more is beyond the tolerance. Every plan is kept."
    )
    if kind == "milliseconds" and not is_timed:
        text += " First it times what each cut alone saves: the machine should have nothing else to do."
    if guards:
        text += " Every guarded group has to show that it keeps its bound: the upper end of its own interval is within."
    st.caption(text)


def wished(ref: str, found: Description, kinds: list[Kind]) -> int:
    """Position of the kind of cost that was wanted to be little on the first page; else the first."""
    wish = wishes.chosen(ref)
    cost = None if wish is None else wishes.cost_of(wish, found)
    return kinds.index(cost) if cost in kinds else 0


def _named(ref: str, found: Description) -> Callable[[Kind], str]:
    """Names of costs; of milliseconds with the engine."""
    return lambda kind: cost_words(kind, _engine(ref, found, kind))


def _engine(ref: str, found: Description, kind: Kind) -> str | None:
    """Whose milliseconds a search goes by: those that the tuner counts."""
    return chosen_engine(ref, found) if kind == "milliseconds" else None


def _outcome(ref: str, found: Description, run: Run) -> None:
    scale, result = found.scale, run.result
    limit = numbers.limit_text(scale, run.request["tolerance"])
    what = f"fewest {cost_words(run.request['kind'], search_words.whose(run.request))} within {limit}{_repaired(run)}"
    _state(run, f"search for the {what}", f"Searching for the {what}")
    if not result:
        return
    if run.state == "finished":
        _answer(ref, found, run)
    if result["tries"]:
        table(
            tries_frame(found, run), "Plans that the search has measured, in order",
            secondary=("plan", f"predicted drop, {numbers.drop_unit(scale)}"), width="content",
        )  # fmt: skip


def _repaired(run: Run) -> str:
    return f", {repair_words(run.request['repair'])}" if run.request.get("repair") else ""


def _state(run: Run, name: str, doing: str) -> None:
    """That a run is at work, or why it ended before its end, and how it goes on."""
    if run.active:
        st.info(f"{doing}: {run.phase or 'starting'} …", icon=":material/hourglass_top:")
    elif run.state != "finished":
        why = f": {run.error}" if run.error else ". What it measured is kept."
        st.warning(f"The {name} {state_words.ended_text(run) or 'failed'}{why}", icon=":material/pause_circle:")
        if st.button("Resume", icon=":material/resume:", key=f"resume-{run.id}"):
            resume(workbench.runs(), run.id)
            redraw()


def _answer(ref: str, found: Description, run: Run) -> None:
    assert run.result is not None
    text = search_words.answer_text(found.scale, run.request, run.result)
    best = run.result["best"]
    if best is None:
        st.warning(text, icon=":material/block:")
        return
    plan = SparsityPlan.from_document(best["document"])
    st.success(text, icon=":material/check_circle:")
    who_suffers(found.scale, best)
    for line in search_words.speed_lines(run.result):
        st.caption(line)
    _take_button(ref, found, run, plan, "minimise")


def _take_button(ref: str, found: Description, run: Run, plan: SparsityPlan, maker: MadeBy) -> None:
    is_taken = plan_draft.current(ref) == plan
    if st.button(
        "This is the plan above" if is_taken else "Take this plan",
        icon=":material/vertical_align_top:", disabled=is_taken, key=f"take-{run.id}",
    ):  # fmt: skip
        tuner_panel.take(ref, found)
        plan_draft.save(ref, plan, maker)
        plan_draft.follow(ref, plan.fingerprint())
        redraw()


def tries_frame(found: Description, run: Run) -> pd.DataFrame:
    """A row per plan that was tried, in order; `run` has a result."""
    assert run.result is not None
    left, unit = (
        f"{cost_words(run.request['kind'], search_words.whose(run.request))} left",
        numbers.drop_unit(found.scale),
    )
    rows = [
        {
            "": number,
            "plan": one.plan,
            left: one.left,
            f"predicted drop, {unit}": one.predicted,
            f"measured drop, {unit}": one.measured,
            "tolerance": one.verdict,
        }
        for number, one in enumerate(search_words.try_texts(found.scale, run.request, run.result), start=1)
    ]
    return pd.DataFrame(rows)


def _refine_panel(ref: str, found: Description) -> None:
    known = knowledge(ref, found, plan_draft.current(ref).repair)
    countable = [cost.kind for cost in known.kinds]
    kinds = [kind for kind in searchable(known.predictor, countable) if kind in countable] if known.predictor else []
    runs = [
        run for run in workbench.runs().list("refine", ref) if run.result is None or workbench.is_current(run, found)
    ]
    if not kinds and not runs:
        return
    st.subheader("Best plan for a budget")
    newest = runs[0] if runs else None
    if kinds and known.predictor is not None and not (newest and newest.active):
        _refine_form(ref, found, kinds, known.predictor)
    if newest is not None:
        _refined(ref, found, newest)


def _refine_form(ref: str, found: Description, kinds: list[Kind], predictor: Predictor) -> None:
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
    shown = left.number_input(
        "At most left, %", min_value=0.1, max_value=100.0, value=USUAL_LEFT, step=5.0, format="%.3g",
        key=f"refine-left-{ref}", persist_state="session", help="Of the cost, as a share of the dense model's.",
    )  # fmt: skip
    kind: Kind = middle.selectbox(
        "Of the",
        kinds,
        wished(ref, found, kinds),
        format_func=_named(ref, found),
        key=f"refine-cost-{ref}",
        persist_state="session",
    )
    guards = guards_form(ref, found, "refine")
    if right.button("Refine it", icon=":material/tune:", width="stretch", key=f"refine-{ref}"):
        try:
            start_refine(
                workbench.runs(),
                RefineRequest(
                    ref, shown / 100, kind, guards=guards, repair=predictor.repair, engine=_engine(ref, found, kind)
                ),
            )
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()
    cut = " and ".join(cut_words.granularity_text(one) for one in solved_granularities(kind, predictor))
    repaired = f", {repair_words(predictor.repair)}" if predictor.repair else ""
    text = (
        f"Solves for a plan that cuts {cut}{repaired}, measures a little more and less of every row around it, and "
        "solves again. The best is measured on examples that nothing was chosen by, as far as there are any."
    )
    if guards:
        text += " A plan of which a guarded group loses more than its bound is not taken."
    st.caption(text)


def _refined(ref: str, found: Description, run: Run) -> None:
    what = f"plan of {search_words.budget_text(run.request)}{_repaired(run)}"
    _state(run, f"refining of the {what}", f"Refining the {what}")
    if not run.result:
        return
    for line in search_words.refine_lines(found.scale, run.request, run.result):
        st.text(line)  # a group may have any name
    if run.state == "finished" and run.result.get("best"):
        _take_button(ref, found, run, SparsityPlan.from_document(run.result["best"]["document"]), "refine")
