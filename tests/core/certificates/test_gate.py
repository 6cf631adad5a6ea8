"""What a gate says of scores, and how it says it."""

from xml.etree import ElementTree

import numpy as np
import pytest

from core import Scale, SecateurError
from core.certificates import gate_words
from core.certificates.gate import EXIT_CODES, Margins, groups_of, judge

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)


def asked(baseline, candidate, within=0.01, guards=None, classes=None, confidence=0.95):
    guards = guards or {}
    columns = {"class": classes} if classes is not None else {}
    groups = groups_of(columns, guards)
    margins = Margins(within, guards, confidence)
    return judge(ACCURACY, baseline, candidate, columns, groups, margins, len(baseline))


def test_the_same_scores_are_not_worse_and_a_few_cannot_tell():
    many, few = np.ones(3000), np.ones(100)
    assert asked(many, many).verdict == "not worse"
    report = asked(few, few)
    assert report.verdict == "cannot tell"
    assert asked(np.ones(100 + report.more), np.ones(100 + report.more)).verdict == "not worse"


def test_a_large_loss_is_worse_and_a_gain_is_not():
    n = 2000
    broken = np.ones(n)
    broken[:200] = 0
    assert asked(np.ones(n), broken).verdict == "worse"
    assert asked(broken, np.ones(n)).verdict == "not worse"


def test_one_group_that_suffers_is_found_though_all_together_are_well():
    n = 12_000
    classes = ["shirt" if i % 10 == 0 else "coat" for i in range(n)]
    broken = np.array([0.0 if name == "shirt" and i % 100 == 0 else 1.0 for i, name in enumerate(classes)])
    assert asked(np.ones(n), broken, 0.05).verdict == "not worse"
    report = asked(np.ones(n), broken, 0.05, {"class": 0.02}, classes)
    assert report.verdict == "worse"
    assert [row.group for row in report.rows if row.verdict == "worse"] == ["class = shirt"]
    assert "class = shirt" in gate_words.verdict_line(report, "new", "old")


def test_false_alarms_of_many_groups_together_stay_below_the_chance_that_was_named():
    rng, alarms, rounds = np.random.default_rng(0), 0, 100
    classes = [i % 10 for i in range(1000)]
    for _ in range(rounds):
        dense, other = (rng.random((2, 1000)) < 0.9).astype(float)  # independent, equally good
        alarms += asked(dense, other, 0.0, {"class": 0.0}, classes).verdict == "worse"
    assert alarms / rounds <= 0.05


def test_what_is_no_margin_or_no_column_is_refused():
    with pytest.raises(SecateurError, match="no column 'colour'; choose one of class"):
        groups_of({"class": ["a"]}, {"colour": 0.1})
    with pytest.raises(SecateurError, match="give the workload columns"):
        groups_of({}, {"colour": 0.1})
    with pytest.raises(SecateurError, match="from 50 to below 100"):
        Margins(0.01, {}, 1.0)


def test_exit_codes_tell_the_answers_apart_from_bad_input():
    assert sorted(EXIT_CODES.values()) == [0, 1, 3]
    assert EXIT_CODES["not worse"] == 0


def test_a_report_is_read_by_a_pull_request_and_by_a_test_runner():
    n = 3000
    classes = ["a|b\x1b[31m" if i % 2 else "<c>" for i in range(n)]
    broken = np.ones(n)
    broken[1:600:2] = 0
    report = asked(np.ones(n), broken, 0.02, {"class": 0.3}, classes)
    text = gate_words.markdown(report, "new.safetensors", "old.py")
    assert text.startswith("### ❌ worse: new.safetensors beside old.py")
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 3
    assert all(line.replace("\\|", "").count("|") == 8 for line in rows)
    suite = ElementTree.fromstring(gate_words.junit(report, "new", "old"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    (failure,) = suite.iter("failure")
    assert "+10.00" in failure.get("message")
    unsure = ElementTree.fromstring(gate_words.junit(asked(np.ones(50), np.ones(50)), "new", "old"))
    assert unsure.get("errors") == "1"


def test_a_group_without_examples_yet_cannot_tell():
    report = judge(
        ACCURACY, np.ones(20), np.ones(20), {"class": ["a"] * 20}, {("class", "a"): 0.5, ("class", "b"): 0.5},
        Margins(0.5, {"class": 0.5}), 40,
    )  # fmt: skip
    empty = next(row for row in report.rows if row.group == "class = b")
    assert (empty.n, empty.drop, empty.verdict) == (0, None, "cannot tell")
    assert "–" in gate_words.row_cells(report, empty)
