"""What a run is called: one that was at work was stopped, one that waited was cancelled."""

from dataclasses import replace

import pytest

from core.jobs.run import Run
from core.jobs.state_words import ended_text, kept_text, state_text

RUN = Run("0123abcd", "sweep", "m", {}, "queued", 1.0, None, None, 0, 0, None, None, None, None, False)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "waiting"),
        ({"stopping": True}, "stopping"),
        ({"state": "running", "started": 2.0}, "running"),
        ({"state": "running", "started": 2.0, "stopping": True}, "stopping"),
        ({"state": "cancelled"}, "cancelled"),
        ({"state": "cancelled", "started": 2.0}, "stopped"),
        ({"state": "interrupted", "started": 2.0}, "interrupted"),
    ],
)
def test_two_things_have_two_words(fields, text):
    assert state_text(replace(RUN, **fields)) == text


def test_a_place_in_the_queue_is_told():
    assert state_text(RUN, 2) == "waiting, number 2"


def test_why_a_run_ended_before_its_time():
    assert ended_text(replace(RUN, state="cancelled", started=2.0)) == "was stopped"
    assert ended_text(replace(RUN, state="cancelled")) == "was cancelled"
    assert ended_text(replace(RUN, state="interrupted")) == "was interrupted: its worker died"
    assert ended_text(replace(RUN, state="finished")) is None


def test_of_a_run_that_never_began_nothing_is_called_kept():
    assert kept_text(replace(RUN, state="cancelled")) == "It had not begun."
    assert kept_text(replace(RUN, state="cancelled", started=2.0)) == "What it measured is kept."
    assert kept_text(replace(RUN, state="interrupted", started=2.0)) == "What it measured is kept."
