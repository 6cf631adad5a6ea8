"""Bundles of a model: what each holds, how it was checked, what was refused; verified again and downloaded."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from core import numbers
from core.delivery import bundle_words
from core.delivery.card.facts import NOT_MEASURED
from core.delivery.formats.facts import FORMATS
from core.errors import SecateurError
from core.jobs import state_words
from core.jobs.launch import start_verify
from core.jobs.run import Run
from core.plans.repairs import REPAIRS, repair_words
from core.sensitivity.report import Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.strip import time_text
from dashboard.screens.deliver.deliverables import origin_of, runs_of
from dashboard.serving.downloads import bundle_archive, bundle_files, file_url, zip_url

AGREED = ":material/verified: reloaded in a fresh process when it was written: hashes, tensors and metric agreed"


def draw(ref: str, found: Description, exports: Sequence[Run]) -> None:
    """Every bundle that was written, newest first.

    Args:
        ref: of the model.
        found: the model as it is now.
        exports: of it, newest first.
    """
    finished = [run for run in exports if run.state == "finished"]
    if not finished:
        return
    st.subheader("Bundles")
    checks = newest_checks(runs_of("verify", ref))
    for run in finished:
        _draw_one(run, found, checks.get(run.id))


def newest_checks(verified: Sequence[Run]) -> dict[str, Run]:
    """By the run that wrote a bundle, the newest run that checked it again.

    Args:
        verified: newest first.
    """
    return {run.request["bundle"]: run for run in reversed(verified)}


def _draw_one(run: Run, found: Description, check: Run | None) -> None:
    manifest = (run.result or {})["manifest"]
    folder, archive = workbench.runs().bundle_folder(run), bundle_archive(workbench.runs(), run)
    assert folder is not None
    with st.container(border=True):
        left, right = st.columns([5, 2], vertical_alignment="center")
        left.markdown("  \n".join([f"**{folder.name}** · {when_text(run)}", *bundle_lines(run, found)]))
        if is_outdated(run, manifest["dense_model"], found):
            left.caption(
                ":material/history: Cut from an earlier version of the model, so it does not verify against this one."
            )
        with left:
            for line in bundle_words.certificate_lines(manifest):
                st.caption(f":material/workspace_premium: {line}")
            _formats(manifest)
            refused = bundle_words.refused_lines(manifest)
            if refused:
                st.warning("  \n".join(["Left out, for it cannot hold this model:", *refused]), icon=":material/block:")
            _check(check, manifest["measured"]["metric"])
            if archive is not None:
                _files(run, folder)
        if archive is not None and archive.is_file():
            size = numbers.bytes_text(archive.stat().st_size)
            right.link_button(f"Download ({size})", zip_url(run.id), icon=":material/download:", width="stretch")
        gone = archive is None or not folder.is_dir()
        if archive is None:
            right.caption("Its record came by merging; its files did not, for they lie outside that workspace.")
        elif gone:
            right.caption("Its files were removed.")
        at_work = check is not None and check.active
        if right.button(
            "Verify", key=f"verify-{run.id}", icon=":material/fact_check:", width="stretch", disabled=at_work or gone,
            help="Compares every file and every tensor once more, has each format read by a fresh process, and "
            "measures again.",
        ):  # fmt: skip
            _start(run)


def _start(run: Run) -> None:
    try:
        start_verify(workbench.runs(), run.id)
    except SecateurError as error:
        help.refusal(str(error))
    else:
        redraw()


def is_outdated(run: Run, model: str, found: Description) -> bool:
    """Whether a run worked on an earlier version of its model; of a recovered one that nobody has read it is not known.

    Args:
        run: an export or a quantization.
        model: fingerprint of what it worked on.
        found: the dense model as it is now.
    """
    known = found if run.workload == found.ref else workbench.description(run.workload)
    return known is not None and known.fingerprint != model


def of_text(run: Run, ref: str) -> list[str]:
    """A line that says of which recovered model a run is; none if it is of the model itself."""
    origin = origin_of(run, ref)
    return [] if origin is None else [f"of the model recovered in run {origin[0].id}, round {origin[1]}"]


def when_text(run: Run) -> str:
    """`2026-11-23 06:45`, in the local time."""
    return datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")


def bundle_lines(run: Run, found: Description) -> list[str]:
    """What a bundle's model is, and what was measured of it and of those that it stands beside."""
    manifest, measured = (run.result or {})["manifest"], (run.result or {})["manifest"]["measured"]
    of = of_text(run, found.ref)
    shrunk = [" ".join(line.split()) for line in bundle_words.shrunk_lines(manifest)]
    if shrunk:
        form = shrunk
    elif not run.request["plan"]["cuts"]:
        form = ["as it is"]
    else:
        removed = numbers.share_text(measured["n_removed"] / max(1, measured["n_weights"]))
        form = [f"masked: {removed} of the cuttable weights are zero"]
    repair = run.request["plan"].get("repair")
    repaired = [f"{repair_words(repair)}: {REPAIRS[repair]}", *measured.get("not_repaired", ())] if repair else []
    return [*of, *form, *repaired, *(_variant_line(found.scale, row) for row in variants_of(manifest)), AGREED]


def variants_of(manifest: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The models of a bundle side by side; of one that was written before there were cards, two."""
    measured = manifest["measured"]
    dense, pruned = {"name": "dense", "metric": measured["dense"]}, {"name": "pruned", "metric": measured["pruned"]}
    return manifest.get("variants") or (dense, {**pruned, "drop": measured["drop"]})


def _variant_line(scale: Scale, row: Mapping[str, Any]) -> str:
    """`recovered 90.98 % [90.40, 91.53], n = 10,000 · drop +1.70 points [+1.29, +2.12], n = 10,000 · 289 kB`."""
    metric, drop, size = row["metric"], row.get("drop"), row.get("bytes")
    parts = [
        f"{row['name']} {numbers.metric_with_interval(scale, Estimate(**metric)) if metric else NOT_MEASURED}",
        *([f"drop {numbers.drop_with_interval(scale, Estimate(**drop))}"] if drop else []),
        *([numbers.bytes_text(size)] if size is not None else []),
    ]
    return " · ".join(parts)


def _formats(manifest: Mapping[str, Any]) -> None:
    lines = [" ".join(line.split()) for line in bundle_words.format_lines(manifest)]
    lines += bundle_words.shape_lines(manifest) + bundle_words.config_lines(manifest)
    lines += bundle_words.weightless_lines(manifest) + bundle_words.not_run_lines(manifest)
    lines += bundle_words.off_blocks_lines(manifest)
    if lines:
        st.caption("  \n".join(f":material/draft: {line}" for line in lines))


def _check(check: Run | None, scale: Mapping[str, Any]) -> None:
    """How the newest check of a bundle ended, and when; or how far it is. `scale` is of the bundle's metric."""
    if check is None:
        return
    if check.active:
        st.fragment(_checking, run_every=workbench.ACTIVE_SECONDS)(check.id)
        return
    when = when_text(check)
    if check.state == "finished" and check.result:
        st.success(
            f"Verified again {when}: {bundle_words.verified_text({'scale': scale, **check.result})}.",
            icon=":material/verified:",
        )
    elif check.state == "failed":
        help.refusal(f"Not verified, {when}: {check.error}")
    else:
        st.warning(
            f"The check of {when} {state_words.ended_text(check)}, so it says nothing.", icon=":material/pause_circle:"
        )


def _checking(run_id: str) -> None:
    run = workbench.runs().get(run_id)
    if not run.active:
        redraw()
    st.caption(
        f":material/pending: Verifying: {'stopping' if run.stopping else run.phase or 'starting'}{time_text(run)}"
    )


def _files(run: Run, folder: Path) -> None:
    names = bundle_files(run)
    with st.expander(f"Files ({len(names)})"):
        st.markdown("\n".join(["| file | format | bytes |", "| --- | --- | ---: |", *file_rows(run)]))
        model = f" --model {shlex.quote(run.workload)}" if run.workload.endswith(".py") else ""
        st.caption("To verify it on another machine or from a terminal:")
        st.code(f"secateur verify {shlex.quote(str(folder))}{model}", language="bash")


def file_rows(run: Run) -> list[str]:
    """A line of a Markdown table for every file that can be downloaded; of the manifest nothing is written down."""
    files = (run.result or {})["manifest"]["files"]
    rows = []
    for name in bundle_files(run):
        entry = files.get(name, {})
        size = numbers.bytes_text(entry["bytes"]) if "bytes" in entry else ""
        label = name.replace("|", "").replace("`", "")  # of a merged workspace it may be anything
        rows.append(f"| [`{label}`]({file_url(run.id, name)}) | {format_text(entry.get('format'))} | {size} |")
    return rows


def format_text(name: str | None) -> str:
    """What a file belongs to: a format with what it holds, or the bundle itself."""
    return f"{name}: {FORMATS[name].holds}" if name is not None and name in FORMATS else name or ""
