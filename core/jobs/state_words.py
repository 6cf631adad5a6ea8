"""What is said of a run's state, in the terminal and on the screens. Two things, two words, and no third.

A run at work is *stopped*: what it measured is kept, and it can be resumed. A run that waits is *cancelled*: it leaves
the queue, and nothing was done. As plain values both have the state `"cancelled"`, as ever.
"""

from core.jobs.run import Run

STOP_NOTE = "Stops before the next batch. What was measured is kept, and the run can be resumed."
END_NOTE = "It has not stopped yet: its model or data take long, or hang. Ends its process; what was measured is kept."
CANCEL_NOTE = "Takes it out of the queue; it has not begun."


def state_text(run: Run, place: int | None = None) -> str:
    """`waiting, number 2`, `running`, `stopped`, `cancelled`, `finished`.

    Args:
        run: any.
        place: of a run in the queue, 1 for who is next.
    """
    if run.state == "queued":
        return "stopping" if run.stopping else f"waiting, number {place}" if place else "waiting"
    if run.state == "running" and run.stopping:
        return "stopping"
    return "stopped" if run.state == "cancelled" and run.started is not None else run.state


def ended_text(run: Run) -> str | None:
    """Why it ended before its time, as what follows “the run”; `None` of one that did not, or that failed."""
    if run.state == "interrupted":
        return "was interrupted: its worker died"
    return f"was {state_text(run)}" if run.state == "cancelled" else None


def kept_text(run: Run) -> str:
    """What is left of one that ended before its time: of a run that was cancelled while it waited, nothing."""
    return "It had not begun." if run.state == "cancelled" and run.started is None else "What it measured is kept."
