"""The next step to what was wanted, on each screen: from a finished map to a plan, to a bundle, to the download."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.known import findings, search_words
from core.jobs.known.plan_book import PlanBook
from core.jobs.known.plan_words import cost_words
from core.jobs.launch import resume, start_export, start_minimise
from core.jobs.run import Run
from core.plans.costs.left import Kind
from core.plans.plan import SparsityPlan
from core.profiling import profile_words
from core.profiling.report import SpeedRatio
from core.sensitivity.report import Estimate
from core.tuning.request import MinimiseRequest
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment, redraw
from dashboard.serving.downloads import bundle_archive, zip_url
from dashboard.start import wishes
from dashboard.start.places import DELIVER, RECOVER, TUNE, go, page
from dashboard.start.wishes import Wish

WIDER = 2.0  # times the tolerance, where nothing was within it
NEXT = ":material/arrow_forward:"


def goal_of(wish: Wish, found: Description) -> tuple[Kind | None, str | None]:
    """What a wish has made little, and in which engine: milliseconds where widths were measured, else operations."""
    cost = wishes.cost_of(wish, found)
    if wish.name == "faster":
        engine = next(iter(findings.stairs_of(workbench.runs(), found)), None)
        if engine is not None:
            return "milliseconds", engine
    return cost, None


def at_map(ref: str, found: Description, run: Run) -> None:
    """Under a finished sweep of the model as it is: look for the plan that was wanted, or tune one by hand.

    Args:
        ref, found: the model.
        run: whose map is shown.
    """
    if run.state != "finished" or run.request.get("dry_run") or not workbench.is_current(run, found):
        return
    wish = wishes.chosen(ref)
    cost, engine = (None, None) if wish is None else goal_of(wish, found)
    if wish is None or cost is None:
        st.page_link(page(TUNE), label="Next: tune a plan", icon=NEXT)
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    limit = numbers.limit_text(found.scale, workbench.tolerance_of(ref, found))
    label = f"Next: find the fewest {cost_words(cost, engine)} within {limit}"
    pressed = row.button(label, icon=NEXT, type="primary", key=f"next-find-{ref}")
    if pressed and _search(ref, found, wish, workbench.tolerance_of(ref, found), run.request.get("repair")):
        go(TUNE)
    row.caption("Solves for plans and measures them, on the Tune screen; or tune one by hand there.")


def at_tune(ref: str, found: Description) -> None:
    """The search for the plan that was wanted: how far it is; its answer, and the button that makes a bundle of it."""
    wish, run = wishes.chosen(ref), newest_search(ref, found)
    if wish is None or run is None:
        return
    what = f"the fewest {cost_words(run.request['kind'], search_words.whose(run.request))}"
    limit = numbers.limit_text(found.scale, run.request["tolerance"])
    with st.container(border=True):
        if run.active:
            st.markdown(f"**Looking for {what} within {limit}**")
            fragment(_progress, is_at_work=True)(run.id)
        elif run.state != "finished":
            ended = state_words.ended_text(run) or "failed"
            st.warning(
                f"The search for {what} {ended}{f': {run.error}' if run.error else '.'}", icon=":material/block:"
            )
            if st.button("Resume the search", icon=":material/resume:", key=f"next-resume-{run.id}"):
                resume(workbench.runs(), run.id)
                redraw()
        else:
            _answer(ref, found, wish, run)


def at_deliver(ref: str, found: Description) -> None:
    """The newest bundle of the plan that was wanted: what it saves, as measured, and its download."""
    wish = wishes.chosen(ref)
    run = next(iter(workbench.runs().list("export", ref)), None)
    if wish is None or wish.cost is None or run is None or run.state != "finished":
        return
    plan = SparsityPlan.from_document(dict(run.request["plan"]))
    is_current = (run.result or {})["manifest"]["dense_model"] == found.fingerprint
    if not is_current or plan != workbench.runs().draft(ref):
        return
    archive = bundle_archive(workbench.runs(), run)
    with st.container(border=True):
        row = st.container(horizontal=True, vertical_alignment="center")
        row.markdown("**Your bundle is written, reloaded and compared.** " + " · ".join(saved_lines(found, run)))
        if archive is not None and archive.is_file():
            size = numbers.bytes_text(archive.stat().st_size)
            row.link_button(f"Download it ({size})", zip_url(run.id), icon=":material/download:", type="primary")
        if slow := slow_text(_ratios(run)):
            st.caption(slow)
            st.page_link(
                page(RECOVER), label="Prune further and train the loss back: Recover", icon=":material/healing:"
            )


def slow_text(ratios: Sequence[SpeedRatio]) -> str:
    """What to do about a bundle that no engine was shown to run faster; empty if one was, or nothing was timed."""
    if not ratios or any(ratio.verdict == "faster" for ratio in ratios):
        return ""
    return (
        "That it is faster could not be shown: one example at a time, on this machine and what else it had to do. "
        "*Measure speed* below takes longer and times larger batches. The more is removed, the clearer it gets."
    )


def newest_search(ref: str, found: Description) -> Run | None:
    """The newest search for what was wanted of the model as it is; `None` if there was none."""
    wish = wishes.chosen(ref)
    cost, engine = (None, None) if wish is None else goal_of(wish, found)
    for run in workbench.runs().list("minimise", ref):
        if (run.request["kind"], run.request.get("engine")) != (cost, engine):
            continue
        if run.result is None or workbench.is_current(run, found):
            return run
    return None


def saved_lines(found: Description, run: Run) -> list[str]:
    """What a finished export's manifest says was saved, every figure measured; what it lacks is left out."""
    manifest: dict[str, Any] = dict((run.result or {})["manifest"])
    lines = []
    if shrunk := manifest.get("shrunk"):
        left = shrunk["parameters"] / max(1, shrunk["dense_parameters"])
        lines.append(f"{numbers.share_text(left)} of the parameters stay")
    for ratio in _ratios(run):
        lines.append(
            f"{ratio.engine}: {numbers.ratio_text(ratio.value)} as fast {profile_words.ratio_interval(ratio)}, "
            f"n = {ratio.n}: {ratio.verdict}"
        )
    if drop := manifest["measured"]["drop"]:
        lines.append(f"drop {numbers.drop_with_interval(found.scale, Estimate(**drop))}")
    return lines


def _ratios(run: Run) -> list[SpeedRatio]:
    """Of the exported model to the dense one, as its manifest has them: an engine each."""
    manifest: dict[str, Any] = dict((run.result or {})["manifest"])
    times = manifest.get("times") or {}
    return [SpeedRatio(**one) for one in times.get("ratios", ()) if one["variant"] == manifest.get("form")]


def _progress(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        redraw()
    n = len((run.result or {}).get("tries", ()))
    measured = f"{n} plan{'s' * (n != 1)} measured so far" if n else "no plan measured yet"
    st.caption(f":material/hourglass_top: {run.phase or 'starting'} · {measured}")


def _answer(ref: str, found: Description, wish: Wish, run: Run) -> None:
    assert run.result is not None
    text, best = search_words.answer_text(found.scale, run.request, run.result), run.result["best"]
    if best is None:
        st.warning(text, icon=":material/block:")
        _offer_closest(ref, found, run)
        wider = run.request["tolerance"] * WIDER
        pressed = st.button(f"Look again within {numbers.limit_text(found.scale, wider)}", key=f"next-wider-{run.id}")
        if pressed and _search(ref, found, wish, wider, run.request.get("repair")):
            redraw()
        st.page_link(page(RECOVER), label="Or prune further and train the loss back: Recover", icon=NEXT)
        return
    st.success(text, icon=":material/check_circle:")
    row = st.container(horizontal=True, vertical_alignment="center")
    if row.button("Next: write its bundle", icon=NEXT, type="primary", key=f"next-bundle-{run.id}"):
        _write(ref, SparsityPlan.from_document(best["document"]))
    row.caption("Takes this plan; the smaller model is made, reloaded and timed, on the Deliver screen.")
    row.page_link(page(RECOVER), label="Train some of the loss back first", icon=":material/healing:")


def _offer_closest(ref: str, found: Description, run: Run) -> None:
    """Of a search whose plans lost more than was accepted on unseen examples: the one that lost least, as it is."""
    judged = [one for one in (run.result or {}).get("judged") or () if one["drop"]]
    if not judged:
        return
    closest = min(judged, key=lambda one: one["drop"]["value"])
    drop = numbers.drop_with_interval(found.scale, Estimate(**closest["drop"]))
    row = st.container(horizontal=True, vertical_alignment="center")
    if row.button("Next: write the bundle of the closest", icon=NEXT, key=f"next-closest-{run.id}"):
        try:
            plan = PlanBook(workbench.runs().workspace).get(ref, closest["plan"]).plan
        except SecateurError as error:  # forgotten since
            help.refusal(str(error))
        else:
            _write(ref, plan)
    row.caption(f"Plan {closest['plan'][:8]}, more than was accepted: {drop} on examples that the search did not see.")


def _write(ref: str, plan: SparsityPlan) -> None:
    """Take a plan and export it, on the Deliver screen."""
    try:
        workbench.runs().save_draft(ref, plan)
        start_export(workbench.runs(), ref, plan, form=plan.forms[-1], made_by="minimise")
    except SecateurError as error:
        help.refusal(str(error))
    else:
        go(DELIVER)


def _search(ref: str, found: Description, wish: Wish, tolerance: float, repair: str | None) -> bool:
    """Start the search for what was wanted; whether it was started."""
    cost, engine = goal_of(wish, found)
    assert cost is not None
    align = wishes.alignment(wish, found) if engine is None else None
    try:
        start_minimise(
            workbench.runs(),
            MinimiseRequest(
                ref, tolerance, cost, repair=repair, engine=engine, align=None if align in (None, 1) else align
            ),
        )
    except SecateurError as error:
        help.refusal(str(error))
        return False
    return True
