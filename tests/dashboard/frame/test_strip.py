"""The strip above every screen: what it says of the runs at work, whatever a worker has written of them."""

import psutil
from hypothesis import given
from hypothesis import strategies as st
from streamlit.elements.progress import _get_value as value_that_streamlit_draws

from core.jobs.run import Run
from dashboard.frame import strip

ANY_NUMBER = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats()
SECONDS = st.fixed_dictionaries({}, optional={"seconds": ANY_NUMBER})
COSTS = st.none() | st.text() | st.lists(ANY_NUMBER, max_size=1) | SECONDS
ANY_RUN = st.builds(
    Run, id=st.just("0123abcd"), kind=st.sampled_from(["sweep", "recover", "minimise", "of a newer build"]),
    workload=st.text(), request=st.fixed_dictionaries({}, optional={"mode": st.sampled_from(["exact", "race"])}),
    state=st.sampled_from(["queued", "running"]), created=ANY_NUMBER, started=ANY_NUMBER, ended=st.none(),
    done=ANY_NUMBER, reused=ANY_NUMBER, total=ANY_NUMBER, phase=st.none() | st.text(), error=st.none(),
    result=st.none() | st.fixed_dictionaries({}, optional={"cost_at": ANY_NUMBER, "cost": COSTS}),
    stopping=st.booleans(),
)  # fmt: skip


@given(run=ANY_RUN)
def test_no_figure_that_a_worker_writes_breaks_the_strip(run):
    assert 0 <= run.share <= 1
    assert 0 <= value_that_streamlit_draws(run.share) <= 100  # which raises for what it cannot draw
    left = run.seconds_left()
    assert left is None or left >= 0
    assert not {"-", "\N{MINUS SIGN}"} & set(strip.time_text(run))
    assert strip.progress_text(run)


def test_a_recovery_with_more_done_than_it_said_there_is_leaves_every_screen_whole(workspace, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("recover", ref, {})
    me = psutil.Process()
    runs.update(
        run.id, state="running", started=1.0, done=480, reused=0, total=245, pid=me.pid, pid_started=me.create_time(),
        phase="round 3 of 4, loss 0.1",
    )  # fmt: skip
    app = open_screen("map", ref)
    assert not app.exception
    assert any(button.label == "Stop" for button in app.button)


def test_one_that_does_not_stop_can_be_ended_and_what_is_no_worker_is_left_alone(workspace, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("recover", ref, {})
    me = psutil.Process()
    runs.update(run.id, state="running", started=1.0, pid=me.pid, pid_started=me.create_time())
    app = open_screen("model", ref)
    app.button(key=f"stop-{run.id}").click().run()
    assert runs.get(run.id).stopping
    app = open_screen("model", ref)
    app.button(key=f"stop-now-{run.id}").click().run()  # of a test, which is no worker
    assert any("a script or a notebook of yours" in one.value for one in app.error), app
    assert runs.get(run.id).state == "running"


def test_who_waits_is_listed_in_order_and_can_be_cancelled(workspace, open_screen):
    runs, ref = workspace
    first, second, third = (runs.submit("sweep", ref, {"n": n})[0] for n in range(3))
    me = psutil.Process()
    runs.update(first.id, state="running", started=1.0, pid=me.pid, pid_started=me.create_time(), total=4, done=1)
    app = open_screen("model", ref)
    lines = [text.value for text in app.markdown if "asked for at" in text.value]
    assert [line.split(".")[0] for line in lines] == ["1", "2"]
    labels = {button.key: button.label for button in app.button if button.key and button.key.startswith("stop-")}
    assert labels == {f"stop-{first.id}": "Stop", f"stop-{second.id}": "Cancel", f"stop-{third.id}": "Cancel"}
    app.button(key=f"stop-{third.id}").click().run()
    assert [run.id for run in runs.active()] == [first.id, second.id]
    assert (runs.get(third.id).state, runs.get(third.id).started) == ("cancelled", None)
