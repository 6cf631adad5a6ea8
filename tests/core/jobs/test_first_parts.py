"""The way to the first number is told part by part."""

import time

import pytest

from core.jobs import first_parts
from core.jobs.first_parts import FirstParts, first_parts_text


def test_parts_add_up_and_one_entered_again_goes_on(monkeypatch):
    clock = iter([10.0, 10.0, 12.0, 12.0, 15.0, 15.0, 16.0, 16.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    watch = FirstParts(since=9.0, cpu=0.5)
    watch.part("hash")
    watch.part("load")
    watch.part("hash")
    told = watch.to_json()
    assert told["seconds"] == pytest.approx(sum(one["seconds"] for one in told["parts"]))
    assert [one["name"] for one in told["parts"]] == ["start", "hash", "load"]
    assert told["parts"][0] == {"name": "start", "seconds": 1.0, "cpu": 0.5}


def test_seconds_are_moved_into_a_part_of_their_own_before_it():
    watch = FirstParts(time.time(), 0.0)
    watch._done += [first_parts.Part("first cell", 4.0, 2.0)]
    watch.move("first cell", "trial passes", 3.0)
    named = {one["name"]: one for one in watch.to_json()["parts"]}
    assert list(named) == ["start", "trial passes", "first cell"]
    assert (named["trial passes"]["seconds"], named["trial passes"]["cpu"]) == (3.0, 1.5)
    assert (named["first cell"]["seconds"], named["first cell"]["cpu"]) == (1.0, 0.5)
    watch.move("first cell", "too long", 9.0)  # no part gets negative
    assert min(one["seconds"] for one in watch.to_json()["parts"]) >= 0


def test_without_a_watch_nothing_is_noted():
    first_parts.end()
    first_parts.part("hash")
    assert first_parts.end() is None


def test_the_line_leaves_out_what_took_no_time():
    parts = [{"name": "load", "seconds": 1.234, "cpu": 1.0}, {"name": "waiting", "seconds": 0.001, "cpu": 0.0}]
    assert first_parts_text({"first_parts": {"seconds": 1.235, "cpu": 1.0, "parts": parts}}) == (
        "First cell after 1.2 s: load 1.23 (seconds)."
    )
    assert first_parts_text({}) is None
    assert first_parts_text(None) is None


@pytest.mark.model
def test_a_sweep_keeps_the_parts_and_one_that_reads_everything_back_has_none(net_file, tmp_path):
    from core import SweepRequest
    from core.jobs.runs import RunStore
    from core.jobs.submissions import sweep_submission
    from core.jobs.worker import execute
    from core.workspace import Workspace

    runs = RunStore(Workspace(tmp_path / "ws"))
    asked = sweep_submission(SweepRequest(str(net_file), (0.5,), "fc", heads=False, preview=False))
    done = execute(runs, runs.submit("sweep", *asked)[0].id, cpu=0.25)
    told = done.result["first_parts"]
    names = [one["name"] for one in told["parts"]]
    assert names == ["start", "waiting", "imports", "load", "hash", "trace", "trial passes", "first cell"]
    assert told["parts"][0]["cpu"] == 0.25
    assert told["seconds"] <= done.ended - done.created
    again = execute(runs, runs.submit("sweep", *asked)[0].id)
    assert again.state == "finished"
    assert "first_parts" not in again.result
