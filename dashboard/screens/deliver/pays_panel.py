"""Where a plan pays: the engines that people ship to, side by side; what is missing here and how to get it."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from core.engines.adapters.needs import missing, title_of
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.launch import start_pays
from core.jobs.run import Run
from core.plans.plan import SparsityPlan
from core.profiling.pays import pays_words
from core.profiling.pays.report import PaysReport, Row
from core.profiling.pays.request import ENGINE_NAMES, PaysRequest
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.strip import time_text
from dashboard.screens.deliver.bundles_panel import when_text
from dashboard.screens.deliver.deliverables import Deliverable, origin_of, runs_of

STYLE = """<style>
.pays { overflow-x: auto; }
.pays table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
.pays th, .pays td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; font-weight: 400;
  border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.pays thead th, .pays .zeros { opacity: .7; }
.pays tbody tr:first-child th { padding-top: .8rem; font-weight: 600; }
.pays .zeros { font-weight: 400; }
.pays .number { text-align: right; white-space: nowrap; }
.pays .nowrap { white-space: nowrap; }
.pays td:last-child { min-width: 11rem; } .pays td:first-child { min-width: 5.5rem; }
</style>"""
AT_ONCE = 3  # models of an engine that are told in one line are named; more are “all”


def draw(ref: str, found: Description, chosen: Deliverable | None) -> None:
    """The newest comparison of a plan, and what starts one.

    Args:
        ref: of the model.
        found: the model as it is now.
        chosen: above; `None` if there is no plan: what a terminal has compared is shown all the same.
    """
    everything = runs_of("pays", ref)
    plans = plans_to_compare(ref, chosen, everything)
    if not plans:
        return
    st.subheader("Where it pays")
    if len(plans) > 1:
        plan = plans[st.selectbox("Plan to compare", list(plans), key=f"pays-plan-{ref}-{next(iter(plans))}")]
    else:
        plan = next(iter(plans.values()))
    ran = [run for run in everything if run.workload == plan.place(ref) and _is_of(run, plan.plan)]
    _form(ref, plan, any(run.active for run in ran))
    if not ran:
        st.caption(
            "Not compared for this plan. Most engines multiply zeros like any number, so whether a plan saves time, "
            "and in which of them, only running it there can tell."
        )
        return
    newest = ran[0]
    if newest.active:
        st.fragment(_at_work, run_every=workbench.ACTIVE_SECONDS)(newest.id)
        return
    if newest.state != "finished":
        help.refusal(f"The newest comparison {_ended(newest)}")
    shown = shown_run(ran, found)
    if shown is not None:
        _draw_report(shown, found)


def plans_to_compare(ref: str, chosen: Deliverable | None, ran: Sequence[Run]) -> dict[str, Deliverable]:
    """By words the chosen plan, then others that somebody has compared, the newest first; each once.

    Args:
        ref: of the model.
        chosen: `None` if there is none; one that cuts nothing is left out.
        ran: comparisons of the model and of what its recoveries have made of it, newest first.
    """
    plans = {"the plan that is chosen above": chosen} if chosen is not None and chosen.plan.cuts else {}
    for run in ran:
        plan = SparsityPlan.from_document(dict(run.request["plan"]))
        origin = origin_of(run, ref)
        recovery, number = origin or (None, None)
        words = f"{len(plan.cuts)} cut{'s' * (len(plan.cuts) != 1)}, compared {when_text(run)} in run {run.id}"
        one = Deliverable(words, plan, recovery, number)
        if plan.cuts and all((one.place(ref), plan) != (other.place(ref), other.plan) for other in plans.values()):
            plans[words] = one
    return plans


def shown_run(ran: Sequence[Run], found: Description) -> Run | None:
    """The newest that has rows, one of the model as it is now before one of an earlier version of it.

    Args:
        ran: of one plan, newest first.
        found: the model as it is now.
    """
    with_rows = [run for run in ran if (run.result or {}).get("rows")]
    current = [run for run in with_rows if not is_older(run, found)]
    return next(iter(current or with_rows), None)


def is_older(run: Run, found: Description) -> bool:
    """Whether a comparison is of an earlier version of its model; of a recovered one that nobody has read: no."""
    known = found if run.workload == found.ref else workbench.description(run.workload)
    return known is not None and (run.result or {}).get("model") != known.fingerprint


def _is_of(run: Run, plan: SparsityPlan) -> bool:
    return SparsityPlan.from_document(dict(run.request["plan"])) == plan


def _ended(run: Run) -> str:
    why = state_words.ended_text(run)
    goes_on = f"`secateur resume {run.id}` goes on with the engines that it has not."
    return f"{why}; {goes_on}" if why else f"failed: {run.error or 'nobody knows why'}"


def _form(ref: str, chosen: Deliverable, is_active: bool) -> None:
    absent = {name: how for name in ENGINE_NAMES if (how := missing(name)) is not None}
    engines = st.multiselect(
        "Engines", ENGINE_NAMES, [name for name in ENGINE_NAMES if name not in absent], format_func=title_of,
        key=f"pays-engines-{ref}",
    )  # fmt: skip
    columns = st.columns([1, 1, 2], vertical_alignment="bottom")
    batch = columns[0].number_input("Examples in a batch", 1, None, 1, 1, key="pays-batch")
    threads = columns[1].number_input("Threads", 1, None, 1, 1, key="pays-threads")
    pressed = columns[2].button(
        "Compare engines", key="compare-engines", icon=":material/compare_arrows:", width="stretch",
        disabled=is_active or not engines,
        help="Writes the dense, the masked and the shrunk model for each engine, in float32 and in int8, and times "
        "them in turn: some minutes. The machine should have nothing else to do meanwhile.",
    )  # fmt: skip
    if not engines:
        st.caption("Choose at least one engine.")
    if absent:
        with st.expander(f"Not installed here: {len(absent)} engines" if len(absent) > 1 else "Not installed here"):
            st.caption("  \n".join(absent_lines(absent)))
    if not pressed:
        return
    try:
        request = PaysRequest(tuple(engines), int(threads), int(batch))
        start_pays(workbench.runs(), chosen.reference(ref), chosen.plan, request)
    except SecateurError as error:
        help.refusal(str(error))
    else:
        redraw()


def absent_lines(absent: dict[str, str]) -> list[str]:
    """What is not installed and how to get it, an engine a line.

    Args:
        absent: by engine, the command.
    """
    lines = [f"{title_of(name)} is not installed here: `{how}`" for name, how in absent.items()]
    return [
        *lines,
        "One that has an environment of its own: `secateur pays … --python NAME=PATH` in a terminal; what it finds is "
        "shown here.",
    ]


def _at_work(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        redraw()
    phase = "stopping" if run.stopping else run.phase or "starting"
    st.caption(f":material/pending: {phase[0].upper()}{phase[1:]}{time_text(run)}")
    report = workbench.runs().pays_report(run)
    if report is not None and report.rows:
        st.html(table_html(report))


def _draw_report(run: Run, found: Description) -> None:
    report = workbench.runs().pays_report(run)
    assert report is not None
    if is_older(run, found):
        st.warning("Measured on an earlier version of the model.", icon=":material/history:")
    st.caption(f"Measured on {pays_words.measured_on(report)}.")
    st.html(table_html(report))
    for name, note in dict.fromkeys((row.engine, row.note) for row in report.rows if row.note):
        st.caption(f"{title_of(name)}: {note}.")
    for line in pays_words.estimate_lines(report):
        st.caption(line)
    st.caption(pays_words.NOTE)


def table_html(report: PaysReport) -> str:
    """The table, engine by engine; every word of it is escaped."""
    head = "".join(f'<th class="{kind}">{escape(title)}</th>' for title, kind in COLUMNS)
    bodies = []
    for rows in by_engine(report.rows):
        first = rows[0]
        name = " ".join(filter(None, (title_of(first.engine), first.version)))
        zeros = f' <span class="zeros">{escape(first.zeros)}</span>' if first.zeros and first.version else ""
        lines = [f'<tr><th colspan="{len(COLUMNS)}">{escape(name)}{zeros}</th></tr>']
        lines += [f"<tr>{''.join(_cells(line))}</tr>" for line in lines_of(rows)]
        bodies.append(f"<tbody>{''.join(lines)}</tbody>")
    return f'{STYLE}<div class="pays"><table><thead><tr>{head}</tr></thead>{"".join(bodies)}</table></div>'


COLUMNS = (
    ("model", ""), ("bytes", "number"), ("compressed", "number"), ("ms", "number"), ("times as fast", "number"),
    ("95 % interval", "nowrap"), ("difference", "number"), ("verdict", ""),
)  # fmt: skip


def _cells(line: Sequence[str]) -> list[str]:
    """Cells of a line; where there is nothing but a reason, it has the room of all."""
    model, *numbers, verdict = map(escape, line)
    if not any(numbers):
        return [f"<td>{model}</td>", f'<td colspan="{len(COLUMNS) - 1}">{verdict}</td>']
    return [
        f'<td class="{kind}">{cell}</td>' for (_, kind), cell in zip(COLUMNS, (model, *numbers, verdict), strict=True)
    ]


def by_engine(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each engine, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.engine, []).append(row)
    return list(found.values())


def lines_of(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Cells of an engine's lines; models that have one reason in common share one.

    Args:
        rows: of one engine.
    """
    lines = []
    for alike in pays_words.told_together(rows):
        name = "all" if len(alike) > AT_ONCE and len(alike) == len(rows) else ", ".join(row.variant for row in alike)
        lines.append((name, *pays_words.numbers_of(alike[0]), alike[0].verdict))
    return lines
