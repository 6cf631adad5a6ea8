"""A choice in a manifest is somebody's file: it is sound, or it is told so and nothing else."""

import pytest

from core.certificates.choice import is_sound_choice

DROP = {"value": 0.01, "low": 0.0, "high": 0.02, "n": 300}
CHOICE = {"round": 2, "of": 4, "skip": 300, "chosen": DROP, "judged": DROP, "unseen": True, "tolerance": 0.02}


def test_a_choice_is_sound_and_so_is_none():
    assert is_sound_choice(CHOICE)
    assert is_sound_choice(None)
    assert is_sound_choice({**CHOICE, "skip": 0, "unseen": False})


@pytest.mark.parametrize(
    "changed",
    [
        {"skip": 0},  # it says that nobody chose by examples by which it was chosen
        {"skip": 299},
        {"tolerance": 10**400},
        {"chosen": {**DROP, "value": 10**400}},
        {"chosen": {**DROP, "value": float("nan")}},
        {"chosen": None},
        {"skip": True},
        {"skip": "300"},
        {"round": -1},
        {"unseen": 1},
    ],
)
def test_a_choice_that_was_written_into_is_not(changed):
    assert not is_sound_choice({**CHOICE, **changed})
