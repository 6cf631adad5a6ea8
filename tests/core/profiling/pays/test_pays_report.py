"""Where a plan pays, in words that the interval allows."""

import json

import pytest

from core.errors import SecateurError
from core.profiling.pays.pays_words import difference_text, estimate_text, interval_text, milliseconds
from core.profiling.pays.report import PaysReport, Row
from core.profiling.pays.request import PaysRequest
from core.profiling.report import Machine
from core.sensitivity.report import Estimate

ROW = Row("onnx", "1.32.0", "masked", None, "", 100, 40, 0.00025, Estimate(1.0, 0.98, 1.02, 20), 3e-7)


def row(value, low, high, variant="masked", **more):
    return Row("onnx", "1.0", variant, seconds=0.001, ratio=Estimate(value, low, high, 20), **more)


def test_the_verdict_is_what_the_interval_allows():
    zeros = {"zeros": "runs zeros as numbers"}
    assert row(3.11, 3.02, 3.2).verdict == "3.11 × faster here"
    assert row(0.5, 0.45, 0.55).verdict == "2.00 × slower here"
    assert row(1.0, 0.98, 1.02, **zeros).verdict == "no faster here: this engine runs zeros as numbers"
    assert row(1.04, 1.01, 1.06, **zeros).verdict.startswith("no faster here")  # within what the place in memory makes
    assert row(1.04, 1.01, 1.06, margin=0.0).verdict == "1.04 × faster here"
    assert row(1.0, 0.98, 1.02, "shrunk", **zeros).verdict == "no faster here"
    assert row(1.0, 0.98, 1.02, uses_zeros=True, **zeros).verdict == "no faster here"
    assert Row("onnx", None, "dense", reason="not installed: pip install x").verdict == "not installed: pip install x"
    assert Row("onnx", "1.0", "dense", seconds=0.1).verdict == "what the others of this engine are compared with"


def test_a_report_comes_back_from_json_with_its_verdicts_beside_it():
    report = PaysReport("m", Machine("cpu", 2, "Linux", "cpu", "2.13", None), 1, 8, (ROW, row(3, 2.9, 3.1)))
    document = json.loads(json.dumps(report.to_json()))
    assert [one["verdict"] for one in document["rows"]] == ["no faster here", "3.00 × faster here"]
    assert PaysReport.from_json(document) == report


def test_numbers_are_told_as_people_read_them_and_nothing_where_there_are_none():
    assert (milliseconds(ROW), interval_text(ROW), difference_text(ROW)) == ("0.250", "[0.98, 1.02]", "3e-07")
    blank = Row("onnx", None, "dense")
    assert (milliseconds(blank), interval_text(blank), difference_text(blank)) == ("", "", "")


def test_an_estimate_is_told_as_one_and_never_called_faster():
    by = {"not_run": "it is elsewhere", "estimated_by": "Vela's estimate of a chip", "estimated_seconds": 0.001}
    told = [
        Row("ethos-u", "5", "int8", **by, estimated_cycles=100, estimated_ratio=ratio).verdict
        for ratio in (None, 2.1, 0.5, 1.001)
    ]
    assert told == [
        "what the others of this engine are compared with, by Vela's estimate of a chip",
        "2.10 × fewer cycles, by Vela's estimate of a chip",
        "2.00 × more cycles, by Vela's estimate of a chip",
        "as many cycles, by Vela's estimate of a chip",
    ]
    assert Row("coreml", "9", "dense", not_run="it is elsewhere", bytes=1).verdict == (
        "written, not run here: it is elsewhere"
    )
    kept = Row("ethos-u", "5", "int8", **by, estimated_cycles=100, estimated_ratio=2.0)
    assert Row.from_json(kept.to_json()) == kept
    assert estimate_text(kept) == "1.00 ms, 100 cycles, 2.00 × fewer"
    worse, alike = (Row(**{**vars(kept), "estimated_ratio": ratio}) for ratio in (0.8, 1.001))
    assert estimate_text(worse) == "1.00 ms, 100 cycles, 1.25 × more"  # never “0.80 × fewer”
    assert estimate_text(alike) == "1.00 ms, 100 cycles, as many"
    assert estimate_text(Row("onnx", "1", "dense")) == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"engines": ()}, "no engine is named"),
        ({"engines": ("tvm",)}, "no engine 'tvm'; choose of eager"),
        ({"pythons": (("tvm", "/x"),)}, "no engine 'tvm'"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
        ({"batch": True}, "batch must be a whole number"),
        ({"rounds": 5}, "rounds must be a whole number of at least 6"),
        ({"seconds": float("nan")}, "seconds must be a number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(fields, said):
    with pytest.raises(SecateurError, match=said):
        PaysRequest(**fields)
