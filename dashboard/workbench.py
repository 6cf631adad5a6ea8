"""What the screens share: the workspace, the chosen model, its runs. All of it is found again after a reload."""

import os
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from core.jobs.launch import start_describe
from core.jobs.runs import Run, RunStore
from core.sensitivity.report import SensitivityReport
from core.workload.description import Description
from core.workload.loading import sample_names
from core.workload.scale import Scale
from core.workspace import DEFAULT_WORKSPACE, Workspace
from dashboard.theme import Palette, palette

IDLE_SECONDS, ACTIVE_SECONDS, READING_SECONDS = 3.0, 1.0, 0.4  # how often a page looks for news


def runs() -> RunStore:
    """The runs of the workspace that the dashboard was started on."""
    return _open(os.environ.get("SECATEUR_WORKSPACE", str(DEFAULT_WORKSPACE)))


@st.cache_resource
def _open(folder: str) -> RunStore:
    return RunStore(Workspace(folder))


def model_names() -> list[str]:
    """Samples, then the workload files that this workspace has seen."""
    samples = list(sample_names())
    return samples + [ref for ref in runs().descriptions() if ref not in samples]


def short_name(ref: str) -> str:
    """A sample's name, or a file's without its folder."""
    return Path(ref).stem if ref.endswith(".py") else ref


def chosen_model() -> str:
    """Name or path of the model on the strip."""
    chosen: str = st.session_state["model"]
    return chosen


def description(ref: str) -> Description | None:
    """What the workspace knows of a model; `None` until a worker has loaded it."""
    return runs().descriptions().get(ref)


def reading_problem(ref: str) -> str | None:
    """Why the model could not be loaded, if the last try failed."""
    tries = runs().list("describe", ref)
    return tries[0].error if tries and tries[0].state == "failed" else None


def described(ref: str) -> Description:
    """The description of a model that has been read, as it has on every screen (see `reading`)."""
    return runs().descriptions()[ref]


def is_being_read(ref: str) -> bool:
    """Whether a worker is at it."""
    return any(run.active for run in runs().list("describe", ref))


def read_again(ref: str) -> None:
    """Have a worker load the model and list its targets."""
    start_describe(runs(), [ref])


def sweeps(ref: str) -> tuple[Run, ...]:
    """Sweeps of a model that have something to show, newest first."""
    return tuple(run for run in runs().list("sweep", ref) if run.result is not None or run.active or run.error)


def report_of(run: Run) -> SensitivityReport | None:
    """The map of a run; read from disk again only when the run has moved on."""
    return _report(run.id, run.done, run.state, run.result is not None and run.result.get("dense") is not None)


@st.cache_data(max_entries=16, show_spinner=False)
def _report(run_id: str, done: int, state: str, has_dense: bool) -> SensitivityReport | None:
    return runs().report(runs().get(run_id))


def newest_report(ref: str) -> SensitivityReport | None:
    """The newest map of a model with a measured dense metric; `None` if there is none."""
    for run in sweeps(ref):
        report = report_of(run)
        if report is not None and report.dense is not None:
            return report
    return None


def active_runs() -> tuple[Run, ...]:
    """Runs that wait or work, the working one first."""
    active = [run for run in runs().list() if run.active and run.kind != "describe"]
    return tuple(sorted(active, key=lambda run: (run.state != "running", run.created)))


def colours() -> Palette:
    """Colours for the visitor's theme."""
    return palette(st.context.theme.type)


def default_tolerance(scale: Scale, dense: float) -> float:
    """One point of a fraction; of any other metric a twentieth of the dense value, to one digit."""
    return 0.01 if scale.unit == "fraction" else float(f"{abs(dense) / 20 or 0.05:.1g}")


def best_within(report: SensitivityReport, tolerance: float) -> Mapping[str, float]:
    """Per target, the largest sparsity up to which every measured drop's interval stays within the tolerance.

    Measured cells only, from the lowest sparsity up: one that violates ends the search, so that a lucky cell behind a
    bad one is not taken for safe. A cut of no effect counts neither way. A target without any such cell is absent.
    """
    found: dict[str, float] = {}
    ended: set[str] = set()
    for cell in report.cells:
        if cell.cut.granularity != "weight" or cell.cut.target in ended or cell.state == "no effect":
            continue
        if cell.drop is None or cell.drop.high > tolerance:
            ended.add(cell.cut.target)
        else:
            found[cell.cut.target] = cell.cut.sparsity or 0.0
    return found
