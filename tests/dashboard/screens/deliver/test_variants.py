"""Models side by side on the Deliver screen: what was measured, in words that its interval allows, and what was not."""

import dataclasses

from core.jobs.known.variants import KnownVariant
from core.jobs.submissions import profile_submission
from core.profiling.report import SpeedRatio, Timing
from core.reports.flat import flat_rows
from core.sensitivity.report import Estimate
from core.workload.metric import accuracy
from dashboard.screens.deliver.variants_panel import name_of, setting_text, settings_of, variants_frame
from tests.dashboard.conftest import read_table
from tests.dashboard.screens.deliver.test_deliver import PLAN, REPORT

SCALE = accuracy().scale
EAGER, ONNX = ("eager", 64, 2), ("onnx", 1, 1)
DENSE = KnownVariant(
    "dense", "dense", metric=Estimate(0.9, 0.85, 0.95, 120), n_bytes=2000,
    timings=(
        Timing("dense", *EAGER, 30, 5, 0.002, 0.001, 0.003),
        Timing("dense", *ONNX, 30, 5, 0.0005, 0.0004, 0.0006),
    ),
)  # fmt: skip
SHRUNK = KnownVariant(
    "shrunk", "shrunk", metric=Estimate(0.88, 0.82, 0.93, 120), drop=Estimate(0.02, 0.01, 0.03, 120), n_bytes=500,
    timings=(Timing("shrunk", *EAGER, 30, 5, 0.001, 0.0009, 0.0011),),
    ratios=(SpeedRatio("shrunk", *EAGER, 1.9, 1.5, 2.5, 30),),
)  # fmt: skip
RECOVERED = KnownVariant("recovered", "recovered", "3f2a0000", 2, 0.75, drop=Estimate(0.01, 0, 0.02, 120))
PACKED = KnownVariant(
    "quantized", "recovered", "12ab0000", 2, 0.75, "weight", 8, drop=Estimate(0.003, -0.01, 0.02, 120),
    drop_from="recovered", n_bytes=100,
)  # fmt: skip


def frame(*variants, setting=EAGER):
    return variants_frame(SCALE, variants, setting)


def test_every_model_has_a_name_of_its_own():
    assert [name_of(one) for one in (DENSE, SHRUNK, RECOVERED, PACKED)] == [
        "dense",
        "pruned, shrunk",
        "recovered in run 3f2a0000, round 2: 75 % gone",
        "quantized, int8 weight, of recovered round 2: 75 % gone",
    ]
    masked = KnownVariant("quantized", "masked", "r", scheme="dynamic", bits=8)
    assert name_of(masked) == "quantized, int8 dynamic, of the masked model"


def test_bytes_are_in_parts_of_the_dense_ones_and_what_is_not_known_has_no_share():
    table = frame(DENSE, SHRUNK, RECOVERED, PACKED)
    assert table["bytes on disk"].tolist() == ["2 kB", "500 B", "not measured", "100 B"]
    assert table["of dense"].tolist() == ["100 %", "25 %", "", "5 %"]
    no_dense = frame(dataclasses.replace(DENSE, n_bytes=None), SHRUNK)
    assert no_dense["of dense"].tolist() == ["", ""]


def test_a_ratio_stands_with_its_interval_n_and_verdict_and_only_at_its_setting():
    table = frame(DENSE, SHRUNK, RECOVERED)
    assert table["times as fast"].tolist() == ["", "1.90 × [1.50, 2.50], n = 30: faster", "not timed"]
    assert table["milliseconds"].tolist()[:2] == ["2.00 [1.00, 3.00], n = 30", "1.00 [0.900, 1.10], n = 30"]
    at_onnx = frame(DENSE, SHRUNK, setting=ONNX)
    assert at_onnx["milliseconds"].tolist() == ["0.500 [0.400, 0.600], n = 30", "not timed"]
    assert at_onnx["times as fast"].tolist() == ["", "not timed"]
    assert frame(DENSE, setting=None)["milliseconds"].tolist() == ["not timed"]


def test_a_drop_says_from_which_model_and_no_effect_is_not_a_drop_of_0():
    silent = dataclasses.replace(SHRUNK, state="no effect", reason="no output changed")
    failed = KnownVariant("masked", "masked", state="failed", reason="the outputs are NaN")
    table = frame(DENSE, SHRUNK, silent, failed, PACKED)
    drops = table["drop"].tolist()
    assert drops[0] == ""
    assert drops[1].startswith("+2.00 points")
    assert drops[2] == "no effect: no output changed"
    assert drops[3] == "not measured"
    assert drops[4].endswith("from recovered")
    assert table["accuracy"].tolist()[3] == "failed: the outputs are NaN"


def test_settings_are_listed_once_in_the_order_of_the_profile():
    assert settings_of((DENSE, SHRUNK)) == [EAGER, ONNX]
    assert settings_of((RECOVERED,)) == []
    assert [setting_text(one) for one in (EAGER, ONNX)] == [
        "eager, batch of 64, 2 threads",
        "onnx, batch of 1, 1 thread",
    ]


def test_a_person_chooses_at_which_setting_speed_is_shown(coupled, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    run, _ = runs.submit("profile", *profile_submission(ref, PLAN))
    more = (Timing("dense", *ONNX, 30, 5, 0.0005, 0.0004, 0.0006),)
    report = dataclasses.replace(REPORT, workload=ref, timings=(*REPORT.timings, *more))
    runs.update(run.id, state="finished", result={**report.to_json(), "model": runs.description(ref)[0].fingerprint})
    app = open_screen("deliver", ref)
    box = app.selectbox(key=f"speed-at-{ref}")
    assert box.options == ["eager, batch of 64, 2 threads", "onnx, batch of 1, 1 thread"]

    def column(app, name):
        return list(read_table(app, "bytes on disk")[name])

    assert column(app, "times as fast") == [
        "", "1.30 × [0.95, 1.70], n = 30: no faster here", "1.90 × [1.50, 2.50], n = 30: faster",
    ]  # fmt: skip
    box.select(ONNX).run()
    assert column(app, "milliseconds") == ["0.500 [0.400, 0.600], n = 30", "not timed", "not timed"]


def test_models_side_by_side_are_rows_of_a_file_and_what_is_not_known_is_absent():
    dense, recovered = flat_rows((DENSE, RECOVERED), unit=SCALE.unit)
    assert (dense["metric"], dense["metric_n"], dense["n_bytes"]) == (0.9, 120, 2000)
    assert (dense["drop"], dense["drop_n"]) == (None, None)
    assert (recovered["drop"], recovered["drop_low"], recovered["metric"]) == (0.01, 0, None)
    assert list(dense) == list(recovered)
