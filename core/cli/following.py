"""Runs that a command starts: followed until they end, stopped, and let go on."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.command import command
from core.cli.failure import Failure, Interrupted, terminated_as_interrupted
from core.cli.opening import open_store
from core.cli.options import check_log, detach_option, log_option, print_json
from core.errors import SecateurError

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.jobs.run import Run
    from core.jobs.runs import RunStore

POLL_SECONDS = 0.2


def follow(store: "RunStore", run: "Run", is_ours: bool, detach: bool, as_json: bool, log: str | None = None) -> None:
    """Show a run's progress until it ends, then its result; `log` names a tracker that is told what it measures.

    Ctrl-C, or SIGTERM, stops a run that this command started, which keeps what it measured; one that was under way
    before goes on. A second one does not wait until it has stopped.
    """
    if not detach:
        with terminated_as_interrupted():
            run = _waited(store, run, is_ours, log, as_json)
    from core.cli.tables.runs import run_document, run_result

    if run.state in ("failed", "interrupted"):
        raise SecateurError(
            run.error or f"the worker of run {run.id} died; `secateur resume {run.id}` goes on from what is on disk"
        )
    if as_json:
        print_json(run_document(store, run))
    elif detach:
        click.echo(f"Run {run.id} is under way: `secateur show {run.id}`, `secateur stop {run.id}`.")
    else:
        run_result(store, run)
    if run.state == "cancelled":  # not a SecateurError: with --json that would print a second document
        from core.jobs.state_words import ended_text

        raise Failure(f"run {run.id} {ended_text(run)}; `secateur resume {run.id}` goes on from what is on disk")


def _waited(store: "RunStore", run: "Run", is_ours: bool, log: str | None, as_json: bool) -> "Run":
    """The run as it ended; interrupted, it is asked to stop, and waited for."""
    news = _teller(store, None)
    try:
        import core.cli.tables.runs  # noqa: F401 - while the worker starts: an interrupt is heard, and the end is quick

        news = _teller(store, log)
        return _wait(store, run, news)
    except KeyboardInterrupt:
        if not is_ours:
            raise Failure(
                f"run {run.id} was started elsewhere and goes on; `secateur stop {run.id}` stops it"
            ) from None
    try:
        store.ask_to_stop(run.id)
        return _wait(store, store.get(run.id), news)
    except KeyboardInterrupt:
        said = (
            f"not waited for: run {run.id} stops before its next forward pass, and what it measured is kept; "
            f"`secateur show {run.id}` tells, `secateur resume {run.id}` goes on"
        )
        if as_json:
            print_json({"error": said})
        raise Interrupted(said) from None


def _teller(store: "RunStore", log: str | None) -> "Callable[[Run], None]":
    """What is called with a run as it goes on."""
    if log is None:
        return lambda run: None
    from core.tracking.teller import Teller

    return Teller(store, log, lambda line: click.echo(line, err=True)).news


def _wait(store: "RunStore", run: "Run", news: "Callable[[Run], None]") -> "Run":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from core.numbers import seconds_text

    # on standard error: standard output is for the answer
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"run {run.id}", total=None, left="")
        while run.active:
            time.sleep(POLL_SECONDS)
            run = store.get(run.id)
            news(run)
            left = run.seconds_left()
            progress.update(
                bar,
                description=f"run {run.id}  {run.phase or 'starting'}",
                completed=run.done,
                total=run.total,
                left=f"{seconds_text(left)} left" if left is not None else "",
            )
    news(run)
    return run


@command("secateur stop 3f2a")
@click.argument("run")
def stop(run: str, workspace: Path, as_json: bool) -> None:
    """Stop RUN before its next forward pass; what it measured is kept. One that waits is cancelled.

    One that does not stop, because its model or its data hang, is ended with its process by a second `stop`.
    """
    _ask_to_stop(run, workspace, as_json)


@command("secateur cancel 3f2a")
@click.argument("run")
def cancel(run: str, workspace: Path, as_json: bool) -> None:
    """Take RUN, which waits, out of the queue. One that is at work is stopped."""
    _ask_to_stop(run, workspace, as_json)


def _ask_to_stop(run: str, workspace: Path, as_json: bool) -> None:
    from core.jobs.launch import stop as stop_run
    from core.jobs.state_words import state_text

    store = open_store(workspace, create=False)
    was_ended = stop_run(store, run)
    found = store.get(run)
    if as_json:
        print_json(found.to_json())
    else:
        how = ": it did not stop by itself, so its process was ended" if was_ended else ""
        click.echo(f"Run {found.id} is {state_text(found)}{how}.")


@command("secateur resume 3f2a", "secateur resume 3f2a --log tensorboard  # tell a tracker what it measures")
@click.argument("run")
@detach_option
@log_option
def resume(run: str, detach: bool, log: str | None, workspace: Path, as_json: bool) -> None:
    """Let an interrupted, stopped, cancelled or failed RUN go on from what is on disk.

    With --log the tracker is told the whole run again, also what was measured before.
    """
    from core.jobs.launch import resume as resume_run

    check_log(log, detach)
    store = open_store(workspace, create=False)
    follow(store, resume_run(store, run), True, detach, as_json, log)
