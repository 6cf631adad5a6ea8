"""Staircases as plain values: which widths, what is refused, what is kept, what tools of devices print."""

import random
from dataclasses import asdict

import pytest

from core import SecateurError
from core.profiling.report import Machine
from core.profiling.stairs import on_device, stairs_words
from core.profiling.stairs.report import EngineStairs, StairsReport, Whole, Width
from core.profiling.stairs.request import StairsRequest
from core.profiling.stairs.widths import drawn_whole, widths_of
from core.sensitivity.report import Estimate

MACHINE = Machine("a CPU", 2, "Linux", "cpu", "2.13.0")
NEAR = Estimate(0.9, 0.88, 0.92, 20)
ENGINE = EngineStairs(
    "onnx", "1.32.0", None, 0.002,
    (Width("a", "channel", 16, 8, NEAR), Width("a", "channel", 16, 9, None, "its process died (SIGSEGV)"),
     Width("attn", "head", 4, 2, NEAR)),
    (Whole({"a": 8}, {"attn": 2}, NEAR),), True,
)  # fmt: skip


def test_widths_are_an_even_grid_and_probes_beside_the_whole_the_half_and_a_quarter():
    assert widths_of(32) == (4, 8, 9, 12, 16, 17, 18, 20, 24, 28, 30, 31)
    assert widths_of(8) == (1, 2, 3, 4, 5, 6, 7)
    assert widths_of(1) == ()
    assert len(widths_of(4096)) <= 20
    assert {width % 256 for width in widths_of(4096)} == {0, 1, 2, 254, 255}
    assert widths_of(32, parts=16) == (16,)  # that many groups of a grouped convolution: nothing between
    assert all(width % 4 == 0 for width in widths_of(64, parts=4))


def test_a_drawn_plan_keeps_to_widths_that_its_groups_can_have():
    every = [Width("a", "channel", 32, width) for width in widths_of(32, 4)] + [Width("h", "head", 4, w) for w in (2,)]
    for seed in range(50):
        for one in drawn_whole(every, 1, random.Random(seed)):
            assert 0 < one.width < one.n
            assert one.width % 4 == 0 or one.target == "h"
            assert one.target != "h" or one.width == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"engines": ()}, "no engine is named"),
        ({"engines": ("tvm",)}, "no engine 'tvm'; choose of eager"),
        ({"pythons": (("tvm", "/x"),)}, "no engine 'tvm'"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"threads": 1.5}, "threads must be a whole number"),
        ({"rounds": 5}, "rounds must be a whole number of at least 6; got 5"),
        ({"seconds": float("nan")}, "seconds must be a number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, says):
    with pytest.raises(SecateurError, match=says.split(";")[0]) as refused:
        StairsRequest(**fields)
    assert says in str(refused.value)


def test_a_report_comes_back_as_it_was_kept():
    report = StairsReport("net", MACHINE, 1, 1, (ENGINE,))
    assert StairsReport.from_json(report.to_json()) == report
    assert report.of("onnx") == ENGINE
    assert report.of("ncnn") is None
    request = StairsRequest(("onnx", "ncnn"), 2, 8, pythons=(("ncnn", "/opt/python"),))
    assert StairsRequest.from_json(asdict(request)) == request


def test_words_tell_steps_and_why_a_width_has_no_time():
    assert stairs_words.engine_text(ENGINE) == "onnx 1.32.0: dense 2.00 ms; 3 widths of 2 targets"
    assert stairs_words.rows(ENGINE)[0] == ("a", "16", "8: 0.90 16: 1.00", "8: 0.90")
    assert stairs_words.missing_lines(ENGINE) == ["not timed: a at 9: its process died (SIGSEGV)"]
    assert stairs_words.engine_text(EngineStairs("ncnn", None, "not installed")) == "ncnn: not installed"


@pytest.mark.parametrize(
    ("engine", "printed", "says"),
    [
        ("litert", "Inference timings in us: Init: 2, First inference: 339, Warmup (avg): 302, Inference (avg): 266.5",
         0.2665),
        ("ncnn", "          model.param  min =    8.84  max =    8.89  avg =    8.87\n", 8.87),
        ("executorch", "I executor_runner.cpp:487] Model executed successfully 50 time(s) in 100.000000 ms.", 2.0),
        ("openvino", "[ INFO ]    Median:        8.82 us\n[ INFO ]    Average:       9.1 us", 0.00882),
        ("openvino", "[ INFO ]    Median:        1.25 ms", 1.25),
        ("onnx", "Total inference requests: 50\nAverage inference time cost: 62.2935 ms\n", 62.2935),
        ("onnx", "Average inference time cost total: 98.961997 ms\n", 98.961997),
    ],
)  # fmt: skip
def test_what_the_tools_of_engines_print_is_read_as_milliseconds(engine, printed, says):
    assert on_device.milliseconds(engine, printed, 50) == pytest.approx(says)
    with pytest.raises(ValueError, match="in what it printed"):
        on_device.milliseconds(engine, "error: no such file", 50)


@pytest.mark.parametrize("engine", on_device.TOOLS)
def test_each_tool_is_told_the_model_where_it_sees_it(engine):
    made = {"engine": engine, "shapes": {"shape": "[1,1,28,28]", "ncnn_shape": "[28,28,1]"}}
    words = on_device.arguments(made, "/data/local/tmp/models/", "0001/model.bin", 50, 1)
    assert any("/data/local/tmp/models/0001/model.bin" in word for word in words)
    assert not any("{" in word for word in words)
