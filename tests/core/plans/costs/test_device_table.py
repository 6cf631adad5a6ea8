"""Tables of a device's milliseconds: what they say, and one clear line for each way in which they are wrong."""

import json

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.plans.costs.device_table import costs_of, device_of, missing_lines, read_costs
from core.plans.costs.left import plan_cost
from tests.core.plans.costs.test_costs import FOUND

GOOD = "target,width,milliseconds,device\ndense,,10,phone\nfirst,4,8,phone\nfirst,2,7,phone\n"


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
