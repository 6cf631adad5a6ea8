"""Workers beside the run at work: who they are and what they do, one more, one less."""

from collections.abc import Callable
from functools import partial

from streamlit.delta_generator import DeltaGenerator

from core.errors import SecateurError
from core.jobs.places import workers
from core.jobs.places.joined import joined
from core.jobs.run import Run
from dashboard.frame import help, markup, workbench


def draw(place: DeltaGenerator, run: Run | None) -> None:
    """A menu beside the run at work, if it is one that workers can help; of a quiet workspace only where some wait."""
    workspace = workbench.runs().workspace
    found = workers.helpers(workspace)
    dead = [one for one in joined(run) if one.ended == "died"] if run is not None else []
    if not found and (run is None or not workers.is_shared(run)):
        return
    label = "Workers" if not found else f"{len(found)} worker{'s' * (len(found) > 1)}"
    menu = place.popover(label, icon=":material/group:", key="workers", help="Processes that measure beside the run.")
    menu.caption(
        "A worker is one more process on this machine that measures cells of sweeps, pairs, bits and undo. Results "
        "are the same, bit for bit. It waits for runs until it is stopped."
    )
    for one in found:
        row = menu.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
        does, _, why = one.text.partition(": ")  # a reason is longer than stands beside a button
        row.markdown(f"Worker {one.id}: {markup.without_markup(does)}", width="content")
        if row.button("Stop", key=f"stop-worker-{one.id}", disabled=one.stopping, icon=":material/stop_circle:"):
            _tried(menu, partial(workers.ask_to_stop, workspace, one.id))
        if why:
            menu.caption(f"{markup.without_markup(why[0].upper() + why[1:])}.")
    for gone in dead:
        menu.caption(f":material/warning: {markup.without_markup(gone.text[0].upper() + gone.text[1:])}.")
    taken, cores = sum(one.threads for one in found), workers.usable_cores()
    if menu.button(
        "Add a worker", key="add-worker", icon=":material/add:", disabled=taken >= cores
    ):  # fmt: skip
        _tried(menu, partial(workers.add, workspace))
    if taken >= cores:
        menu.caption(f"All {cores} cores are taken.")


def _tried(place: DeltaGenerator, change: Callable[[], object]) -> None:
    try:
        change()
    except SecateurError as error:
        with place:
            help.refusal(str(error))
        return
    place.caption("Done; it is listed in a few seconds.")
