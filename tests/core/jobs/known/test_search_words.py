"""A search for the smallest plan in words."""

import dataclasses

from core import Estimate
from core.jobs.known.search_words import (
    answer_text,
    group_lines,
    minimise_lines,
    refine_lines,
    speed_lines,
    try_texts,
)
from core.plans.prediction import Prediction
from core.profiling.report import SpeedRatio, Unavailable
from tests.scales import ACCURACY

SCALE, REQUEST = ACCURACY, {"tolerance": 0.01, "kind": "flops"}
FORESEEN = Prediction(1.0, 0.89, 0.88, 0.9, 0.008, 0.0, 0.02).to_json()


def one(plan, left, drop):
    found = None if drop is None else dataclasses.asdict(Estimate(drop, drop - 0.002, drop + 0.002, 2000))
    return {"plan": plan, "left": left, "drop": found, "predicted": FORESEEN}


WITHIN, UNDECIDED, BROKEN = one("aaaaaaaa", 0.3631, 0.008), one("bbbbbbbb", 0.3587, 0.0081), one("cccccccc", 0.2, None)


def result(*tries, best=None, settled=True, **more):
    return {"tries": tries, "best": best, "settled": settled, **more}


def test_a_plan_is_within_or_beyond_only_if_all_of_its_interval_is_and_not_decided_else():
    texts = try_texts(SCALE, REQUEST, result(WITHIN, UNDECIDED, BROKEN, one("dddddddd", 0.1, 0.0121)))
    assert [text.verdict for text in texts] == ["within", "not decided", "not decided", "beyond"]
    texts = try_texts(SCALE, REQUEST, result(WITHIN, UNDECIDED, BROKEN))
    assert [text.left for text in texts] == ["36.3 %", "35.9 %", "20 %"]
    assert [text.predicted for text in texts] == ["+0.80 [0.00, +2.00]"] * 3
    assert texts[0].measured == "+0.80 [+0.60, +1.00], n = 2,000"
    assert texts[2].measured == "could not be measured"


def test_the_answer_says_how_sure_it_is():
    assert answer_text(SCALE, REQUEST, result(WITHIN, best=WITHIN)) == (
        "Cheapest within 1.00 points: plan aaaaaaaa, 36 % of the FLOPs left, drop +0.80 points [+0.60, +1.00], "
        "n = 2,000; a little more is not known to stay within."
    )
    assert "ran out before it was narrowed down" in answer_text(SCALE, REQUEST, result(best=WITHIN, settled=False))


def test_that_none_was_within_is_no_more_than_what_was_tried_says():
    assert answer_text(SCALE, REQUEST, result(UNDECIDED)).startswith("No plan is within 1.00 points, interval and all")
    said = answer_text(SCALE, REQUEST, result(UNDECIDED, BROKEN, settled=False))
    assert said.startswith("None of the 2 plans that were measured is within 1.00 points")
    assert "or more plans" in said


def test_a_best_plan_that_the_engine_refuses_has_the_reason_in_place_of_a_time():
    refused = dataclasses.asdict(Unavailable("shrunk", "ncnn", 1, 1, "it has no Widget"))
    lines = minimise_lines(SCALE, REQUEST, result(WITHIN, best=WITHIN, not_timed=[refused]))
    assert lines[-1] == "shrunk, ncnn, batch of 1: not timed: it has no Widget"


def test_the_terminal_lists_every_try_and_then_the_answer_and_the_times():
    ratio = dataclasses.asdict(SpeedRatio("shrunk", "eager", 1, 2, 1.31, 1.28, 1.34, 30))
    lines = minimise_lines(SCALE, REQUEST, result(WITHIN, BROKEN, best=WITHIN, speed=[ratio]))
    assert lines[0] == (
        "1. plan aaaaaaaa: 36.3 % of the FLOPs left, predicted +0.80 [0.00, +2.00], "
        "measured +0.80 [+0.60, +1.00], n = 2,000: within"
    )
    assert lines[1].endswith("could not be measured: not decided")
    assert lines[2].startswith("Cheapest within")
    assert lines[3] == "shrunk, eager, batch of 1, 2 threads: 1.31 × as fast [1.28, 1.34], n = 30: faster"
    assert speed_lines(result()) == []


def group(value, drop, reach, worse=False, says=None, n=200):
    found = dataclasses.asdict(Estimate(drop, drop - reach, drop + reach, n))
    ends = {"low": drop - 2 * reach, "high": drop + 2 * reach}
    limit = None if says is None else 0.02
    return {
        "column": "class", "value": value, "n": n, "drop": found, **ends, "worse": worse, "limit": limit, "says": says,
        "of": 10,
    }  # fmt: skip


def test_who_suffers_is_told_with_intervals_of_all_groups_and_what_is_said_of_guards():
    told = {"groups": [group("cat", 0.03, 0.01, True, "beyond"), group("dog", 0.01, 0.02, False, "unsure")]}
    assert group_lines(SCALE, told) == [
        "Worse than dense, also after looking at so many (intervals that hold for all 10 groups together; Holm): "
        "class cat +3.00 [+1.00, +5.00], n = 200.",
        "Beyond its guard: class cat +3.00 [+2.00, +4.00] of at most 2.00 points, n = 200.",
        "Within its guard, but not shown to be: class dog +1.00 [−1.00, +3.00] of at most 2.00 points, n = 200.",
    ]
    assert group_lines(SCALE, {"groups": [group("cat", 0.01, 0.02)]}) == [
        "No group is shown to be worse than dense; the largest drops (intervals that hold for all 10 groups together): "
        "class cat +1.00 [−3.00, +5.00], n = 200."
    ]
    assert group_lines(SCALE, None) == group_lines(SCALE, {}) == []  # of older runs


def test_a_plan_that_breaks_a_guard_says_which_group_did():
    broken = {**WITHIN, "guarded": False, "groups": [group("cat", 0.03, 0.01, True, "beyond")]}
    (text,) = try_texts(SCALE, REQUEST, result(broken))
    assert text.verdict == "breaks a guard, class cat +3.00 [+2.00, +4.00] of at most 2.00 points, n = 200"
    asked = {**REQUEST, "guards": {"class": 0.02}}
    assert (
        "interval and all, and every guard kept: accept a larger drop, or measure more examples, or guard less"
        in answer_text(SCALE, asked, result(broken))
    )
    judged = [{"plan": "aaaaaaaa", "drop": WITHIN["drop"], "holds": False, "groups": broken["groups"]}]
    said = answer_text(SCALE, asked, result(WITHIN, judged=judged))
    assert "and class cat +3.00 [+2.00, +4.00] of at most 2.00 points, n = 200. Search with" in said
    nearest = {"drops": [0.01], "n": 500, "n_measured": 4, "best": None, "broken": broken["groups"]}
    lines = refine_lines(SCALE, {"left": 0.3, "kind": "nonzeros"}, nearest)
    assert lines[-1].startswith(
        "No plan within 30 % of the non-zeros keeps every guard: of the nearest class cat +3.00"
    )
