"""Tables of a device's milliseconds: what they say, and one clear line for each way in which they are wrong."""

import json

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.plans.costs.device_table import NOISE, costs_of, device_of, missing_lines, read_costs, told_lines
from core.plans.costs.left import plan_cost
from core.profiling.stairs.on_device import interval, write
from tests.core.plans.costs.test_costs import FOUND

GOOD = "target,width,milliseconds,device\ndense,,10,phone\nfirst,4,8,phone\nfirst,2,7,phone\n"
SPREAD = "target,width,milliseconds,low,high,device\ndense,,10,9.9,10.1,phone\n"


def told(tmp_path, text, name="costs.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return costs_of(read_costs(tmp_path / name), FOUND, "costs.csv")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("costs.csv", GOOD),
        ("costs.csv", "\ufeff" + GOOD.replace("width", "sparsity").replace(",4,", ",0.5,").replace(",2,", ",0.75,")),
        ("costs.json", json.dumps([
            {"target": "dense", "milliseconds": 10, "device": "phone"},
            {"target": "first", "granularity": "channel", "width": 4, "milliseconds": 8},
            {"target": "first", "sparsity": 0.75, "milliseconds": 7.0},
        ])),
    ],
)  # fmt: skip
def test_csv_and_json_say_the_same(tmp_path, name, text):
    costs = told(tmp_path, text, name)
    assert (costs.device, costs.missing) == ("phone", ("attn",))
    cost = plan_cost(SparsityPlan((Cut("first", "channel", 0.5),)), FOUND, "milliseconds", costs.saved)
    assert cost.value == pytest.approx(8.0)
    assert missing_lines(costs) == ["no row of attn: narrower, they count as saving no time on phone"]
    heads = plan_cost(SparsityPlan((Cut("attn:0", "head"),)), FOUND, "milliseconds", costs.saved)
    assert (heads.value, heads.unmeasured) == (10.0, ("attn",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("target,width,milliseconds\nfirst,4,8\n", "no time of the dense model; add a row with the target dense"),
        ("target,width,milliseconds\ndense,,10\n", "of nothing narrower; fill in rows"),
        (GOOD + "second,4,8,phone\n", "line 5: net has no coupled group and no attention 'second'"),
        (GOOD + "first,9,8,phone\n", "line 5: first: a width is a whole number from 1 to 8; got 9"),
        (GOOD + "first,0,8,phone\n", "a width is a whole number from 1 to 8; got 0"),
        (GOOD + "first,2.5,8,phone\n", "a width is a whole number from 1 to 8; got 2.5"),
        (GOOD + "first,8,8,phone\n", "first at 8 of 8 is the dense model; give that as the target dense"),
        (GOOD + "first,,8,phone\n", "neither width nor sparsity"),
        (GOOD + "first,3,nan,phone\n", "milliseconds of first must be a number such as 1.25; got 'nan'"),
        (GOOD + "first,3,inf,phone\n", "must be a number such as 1.25"),
        (GOOD + "first,3,fast,phone\n", "must be a number such as 1.25; got 'fast'"),
        (GOOD + "first,3,-1,phone\n", "milliseconds of first must be above 0; got -1"),
        (GOOD + "first,3,0,phone\n", "milliseconds of first must be above 0; got 0"),
        (SPREAD + "first,3,8,7,,phone\n", "milliseconds of first have one end of an interval; give both low and high"),
        (SPREAD + "first,3,8,9,10,phone\n", "first must lie from low to high; got 8 outside of [9, 10]"),
        (SPREAD + "first,3,8,0,10,phone\n", "milliseconds of first, low must be above 0; got 0"),
        (GOOD + "first,4,9,phone\n", "first at 4 of 8 has two times, 8 and 9 ms"),
        (GOOD + "first,3,8000,phone\n", "first at 3 of 8 takes 800 times what the dense model does; are both in milli"),
        (GOOD + "first,3,0.008,phone\n", "first at 3 of 8 takes 0.0008 times what the dense model does; are both in"),
        (GOOD + "first,3,8,tablet\n", "holds rows of phone and tablet; give one device a file"),
        (GOOD + ",3,8,phone\n", "no target; expected dense"),
        (GOOD + "first,3,8,phone,more\n", "line 5: more cells than columns"),
        ("", "has the columns none; expected target, granularity, width"),
        ("layer,width,time\nfirst,4,8\n", "has the columns layer, width, time; expected target"),
        ("target,sparsity,milliseconds\ndense,,10\nfirst,50,8\n", "Given a percentage? Divide by 100"),
        ("target,granularity,width,milliseconds\ndense,,,10\nfirst,row,4,8\n", "granularity must be channel or head"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_in_one_line(tmp_path, text, says):
    with pytest.raises(SecateurError) as refused:
        told(tmp_path, text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_are_no_table_are_refused(tmp_path):
    for name, text in (("c.json", "{"), ("c.json", '{"a": 1}'), ("c.json", "[" * 100_000), ("c.json", "[1]")):
        with pytest.raises(SecateurError, match=r"c\.json"):
            told(tmp_path, text, name)
    with pytest.raises(SecateurError, match="cannot read the costs"):
        read_costs(tmp_path / "nothing.csv")
    (tmp_path / "bad.csv").write_bytes(b"target\xff\xfe")
    with pytest.raises(SecateurError, match="cannot read the costs"):
        read_costs(tmp_path / "bad.csv")


def test_rows_that_are_still_to_be_filled_in_are_left_out(tmp_path):
    costs = told(tmp_path, GOOD + "first,6,,phone\n")
    assert [step.width for step in costs.time.channels["first"].steps] == [2, 4]
    assert device_of([]) is None
    assert device_of([{"target": "dense"}]) == "the device"


def test_without_intervals_what_noise_makes_is_no_step_and_that_is_said(tmp_path):
    noisy = "target,width,milliseconds\ndense,,10\nfirst,7,9.9\nfirst,6,10.15\nfirst,4,8\n"
    costs = told(tmp_path, noisy)
    stair = costs.time.channels["first"]
    assert stair.ends() == (4, 8)  # 7 saves 1 %, and 6 costs 1.5 % more than all: less than NOISE, up and down
    assert stair.held == (True, True, True, True)
    assert NOISE == 0.02
    assert told_lines(costs) == [
        *missing_lines(costs),
        "times on the device have no interval (low, high): differences below 2 % of the model's time count as no step",
    ]
    surely = told(tmp_path, noisy.replace("10.15", "10.5"))
    assert surely.time.channels["first"].held == (
        True,
        False,
        True,
        True,
    )  # 5 % more is beyond it


def test_with_intervals_a_step_is_what_they_tell_apart(tmp_path):
    rows = "first,7,9.9,9.89,9.91,phone\nfirst,6,10.15,10.14,10.16,phone\nfirst,4,8,7.99,8.01,phone\n"
    sharp = SPREAD.replace("9.9,10.1", "9.99,10.01")
    costs = told(tmp_path, sharp + rows)
    assert costs.time.channels["first"].ends() == (4, 7, 8)
    assert costs.time.channels["first"].held == (True, False, True, True)
    assert told_lines(costs) == missing_lines(costs)
    wide = rows.replace("9.89,9.91", "9.6,10.2").replace("10.14,10.16", "9.8,10.5").replace("7.99,8.01", "7.7,8.3")
    assert told(tmp_path, SPREAD + wide).time.channels["first"].ends() == (4, 8)
    half = costs_of([{"target": "dense", "milliseconds": 10}, {"target": "first", "width": 4, "milliseconds": 8,
                      "low": 7.99, "high": 8.01}], FOUND)  # fmt: skip
    assert half.bare


def test_the_script_of_a_device_writes_the_interval_of_the_median_from_six_rounds_on(tmp_path):
    assert interval([1.0, 2, 3, 4, 5]) == []  # outside of all five lies the median one time of 16
    assert interval([6.0, 1, 5, 2, 4, 3]) == [1, 6]
    assert interval(list(map(float, range(1, 10)))) == [2, 8]  # a binomial of 9 halves: 2 * 10 / 512 = 3.9 % outside
    rows = [{"target": "dense", "granularity": "", "width": "", "file": "a"},
            {"target": "first", "granularity": "channel", "width": 4, "file": "b"}]  # fmt: skip
    write(tmp_path / "costs.csv", rows, {"a": [10.0, 11, 12, 10, 11, 12], "b": [8.0] * 6}, "phone")
    costs = costs_of(read_costs(tmp_path / "costs.csv"), FOUND)
    assert (costs.bare, costs.time.channels["first"].steps[0].high) == (False, 0.8)
    write(tmp_path / "costs.csv", rows, {"a": [10.0], "b": [8.0]}, "phone")
    assert costs_of(read_costs(tmp_path / "costs.csv"), FOUND).bare
