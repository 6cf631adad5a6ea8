"""What the screens share: the workspace, the chosen model, its runs. All of it is found again after a reload."""

import os
import time
from dataclasses import replace

import streamlit as st

from core.jobs import strangers
from core.jobs.known import findings
from core.jobs.launch import start_describe
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.profiling.report import ProfileReport
from core.sensitivity.inside.report import UndoReport
from core.sensitivity.pairs import PairsReport
from core.sensitivity.report import CellResult, SensitivityReport, default_tolerance
from core.workload.description import Description
from core.workload.loading import sample_names
from core.workload.sources import reference
from core.workspace import DEFAULT_WORKSPACE, Workspace
from dashboard.frame.theme import Palette, palette

IDLE_SECONDS, ACTIVE_SECONDS, READING_SECONDS = 3.0, 1.0, 0.4  # how often a page looks for news


def runs() -> RunStore:
    """The runs of the workspace that the dashboard was started on."""
    return _open(os.environ.get("SECATEUR_WORKSPACE", str(DEFAULT_WORKSPACE)))


@st.cache_resource
def _open(folder: str) -> RunStore:
    return RunStore(Workspace(folder))


def is_read_only() -> bool:
    """Whether the workspace can only be looked at."""
    return runs().workspace.read_only


def model_names() -> list[str]:
    """Samples, then the workload files that somebody named in this workspace, read or not."""
    samples = list(sample_names())
    return samples + [ref for ref in runs().workloads() if ref not in samples]


def short_name(ref: str) -> str:
    """A sample's name, or that of a file or reference without its folders."""
    return reference.short_name(ref)


def chosen_model() -> str:
    """Name or path of the model on the strip."""
    chosen: str = st.session_state["model"]
    return chosen


def description(ref: str) -> Description | None:
    """What the workspace knows of a model; `None` until a worker has loaded it."""
    known = runs().description(ref)
    return known[0] if known else None


def reading_problem(ref: str) -> str | None:
    """Why the model could not be loaded, if the last try failed and nobody has succeeded since."""
    known = runs().description(ref)
    tries = runs().list("describe" if known else None, ref)  # of a model that was never read no run got further
    if not tries or (known and known[1] > tries[0].created):
        return None
    if tries[0].state == "interrupted":
        log = runs().workspace.folder / "logs" / f"{tries[0].id}.log"
        more = f" Its last words are in {log}." if log.is_file() and log.stat().st_size else ""
        return f"the worker process that was reading it died (out of memory? a crash in native code?).{more}"
    return tries[0].error if tries[0].state == "failed" else None


def reading_seconds(ref: str) -> float | None:
    """How long a worker has been reading the model; `None` if none is."""
    begun = [run.started or run.created for run in runs().list("describe", ref) if run.active]
    return max(0.0, time.time() - min(begun)) if begun else None


def described(ref: str) -> Description:
    """The description of a model that has been read, as it has on every screen (see `reading`)."""
    known = runs().description(ref)
    assert known is not None
    return known[0]


def is_being_read(ref: str) -> bool:
    """Whether a worker is at it."""
    return any(run.active for run in runs().list("describe", ref))


def read_again(ref: str) -> None:
    """Have a worker load the model and list its targets."""
    start_describe(runs(), [ref])


def is_stranger(ref: str) -> bool:
    """Whether a model came with a merged workspace and nobody has confirmed it here."""
    return strangers.is_stranger(runs().workspace, ref)


def confirm(ref: str) -> None:
    """Somebody has clicked that this file may be run."""
    strangers.confirm(runs().workspace, ref)


def sweeps(ref: str) -> tuple[Run, ...]:
    """Sweeps of a model, newest first."""
    return runs().list("sweep", ref)


def pairs_of(ref: str, found: Description) -> tuple[PairsReport, ...]:
    """Finished runs over pairs of the model as it is now, newest first."""
    current = [run for run in runs().list("pairs", ref) if run.state == "finished" and is_current(run, found)]
    reports = [_pairs_report(str(runs().workspace.folder), run.id, run.started) for run in current]
    return tuple(report for report in reports if report is not None)


@st.cache_data(max_entries=16, show_spinner=False)
def _pairs_report(folder: str, run_id: str, started: float | None) -> PairsReport | None:
    return runs().pairs_report(runs().get(run_id))


def profiles_of(found: Description) -> tuple[ProfileReport, ...]:
    """Finished profiles of the model as it is now, newest first."""
    ran = [run for run in runs().list("profile", found.ref) if run.state == "finished" and is_current(run, found)]
    reports = [runs().profile_report(run) for run in ran]
    return tuple(report for report in reports if report is not None)


def inside_map(ref: str, found: Description, plan: SparsityPlan) -> UndoReport | None:
    """The newest map inside just this plan; else the newest that is finished, of another plan; `None` if there is none.

    What rows are worth in a raw plan says nothing of a repaired one, so the other plan has the same repair.
    One that is still measured, or was stopped, is of this plan what is known so far.
    """
    ran = [
        run
        for run in runs().list("undo", ref)
        if is_current(run, found) and run.request["plan"].get("repair") == plan.repair
    ]
    own = [run for run in ran if SparsityPlan.from_document(dict(run.request["plan"])) == plan]
    finished = [run for run in (own or ran) if run.state == "finished"]
    shown = next(iter((*finished, *own)), None)
    return runs().undo_report(shown) if shown is not None else None


def is_current(run: Run, found: Description) -> bool:
    """Whether a run measured the model as it is now: the same weights, code and settings."""
    return findings.is_current(run, found.fingerprint)


def report_of(run: Run) -> SensitivityReport | None:
    """The map of a run; read from disk again only when the run may have moved on."""
    if run.active:
        return runs().report(run)
    has_dense = bool(run.result and run.result.get("dense"))
    return _report(str(runs().workspace.folder), run.id, (run.started, run.done, run.state, has_dense))


@st.cache_data(max_entries=16, show_spinner=False)
def _report(folder: str, run_id: str, progress: tuple[object, ...]) -> SensitivityReport | None:
    return runs().report(runs().get(run_id))


def known_cells(ref: str, found: Description, repair: str | None = None) -> dict[Cut, CellResult]:
    """What sweeps of the model as it is now have measured, cut by cut; with a repair, or raw."""
    return findings.known_cells(findings.sweep_reports(runs(), found, report_of, repair))


def begun_with(plan: SparsityPlan, repair: str | None) -> SparsityPlan:
    """A plan that is empty so far with the repair of the map that its first cut is taken from; any other as it is."""
    return plan if plan.cuts or repair is None else replace(plan, repair=repair)


def tolerance_of(ref: str, found: Description) -> float:
    """The tolerance chosen on the Map screen, else the usual one for the model's metric."""
    shown = st.session_state.get(f"tolerance-{ref}")
    if shown is not None:
        return float(shown) / found.scale.factor
    dense = dense_value(ref, found)
    return default_tolerance(found.scale, 1.0 if dense is None else dense)


def dense_value(ref: str, found: Description) -> float | None:
    """The dense model's metric, as far as any sweep has measured it."""
    measured = [run.result["dense"] for run in sweeps(ref) if is_current(run, found) and run.result]
    return next((float(dense["value"]) for dense in measured if dense), None)


def active_runs() -> tuple[Run, ...]:
    """Runs that wait or work, the working one first."""
    active = [run for run in runs().active() if run.kind != "describe"]
    return tuple(sorted(active, key=lambda run: (run.state != "running", run.created)))


def colours() -> Palette:
    """Colours for the visitor's theme."""
    return palette(st.context.theme.type)
