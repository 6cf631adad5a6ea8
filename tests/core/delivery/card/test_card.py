"""The card of a bundle says what its manifest says, and is nothing but a document."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from core import Cut, SparsityPlan
from core.delivery.card import facts
from core.delivery.card.chart import Bar, bars
from core.delivery.card.facts import card_of
from core.delivery.card.markdown import markdown
from core.delivery.card.models import Judged
from core.delivery.card.numbers import class_rows, command_of, variant_rows
from core.delivery.card.page import page
from core.jobs.known.kept_plan import MAKERS
from core.profiling.pays.report import PaysReport, Row, is_sound_report
from core.profiling.report import Machine
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import Estimate
from core.workspace import Workspace

PLAN = SparsityPlan((Cut("fc1", sparsity=0.5), Cut("fc2", "channel", 0.25)))
EVIL = '<script>alert("1")</script> | `x`'


def estimate(value, n=200):
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "n": n}


def manifest(**changes):
    scale = {"name": "accuracy", "unit": "fraction", "higher_is_better": True, "low": 0.0, "high": 1.0}
    return {
        "workload": "net.py",
        "measured": {
            "metric": {**scale, "aggregate": "mean"},
            "drop": estimate(0.1),
            "n_removed": 300,
            "n_weights": 1000,
        },
        "variants": [
            {"name": "dense", "metric": estimate(0.9), "drop": None, "parameters": 1000, "nonzeros": 1000,
             "bytes": 4000, "flops": 2000.0},
            {"name": "masked", "metric": estimate(0.8), "drop": estimate(0.1), "parameters": 1000, "nonzeros": 700,
             "bytes": 4000, "flops": None},
        ],
        "classes": [{"class": EVIL, "n": 50, "metric": None, "drop": None}],
        "files": {"plan.json": {"bytes": 12, "sha256": "ab" * 32, "format": "plan"}},
        "refused": {"onnx": "an operator is missing"},
        "made_with": {"secateur": "0.1.0"},
        "dense_model": "d" * 8,
        "dense_state": "e" * 8,
        "examples": 200,
        "command": "secateur export net.py plan.json again",
        **changes,
    }  # fmt: skip


def test_the_numbers_of_the_manifest_stand_on_the_card_with_n_and_interval():
    text = markdown(card_of(manifest(), PLAN))
    assert "30 % of the weights that can be cut are gone (300 of 1,000)" in text
    assert "| masked | 80.00 % \\[78.00, 82.00], n = 200 | +10.00 points \\[+8.00, +12.00], n = 200 |" in text
    assert "| fc1 | weights |" in text
    assert "no onnx: an operator is missing" in text
    assert "ab" * 32 in text


def test_what_was_not_measured_says_so_and_is_no_zero():
    table = card_of(manifest(), PLAN).variants
    assert table.rows[1][-1] == "not measured"
    assert card_of(manifest(classes=None), PLAN).classes is None


def paying(**changes):
    row = Row("onnx", "1.32", "dense", None, "", 4000, 3600, 0.002, None, 1e-6, zeros="runs zeros as numbers")
    fast = replace(row, variant="shrunk", bytes=2000, seconds=0.001, ratio=Estimate(2.0, 1.9, 2.1, 20))
    gone = [Row("ncnn", None, name, "not installed: pip install 'secateur[ncnn]'") for name in ("dense", "masked")]
    report = PaysReport("net.py", Machine("a cpu", 2, "Linux", "cpu", "2.13.0"), 1, 8, (row, fast, *gone))
    return {**report.to_json(), "run": "3f2a0000", "date": "2026-11-30", **changes}


def test_where_it_pays_stands_on_the_card_with_machine_versions_and_date():
    told = manifest(pays=paying())
    card = card_of(told, PLAN)
    assert card.pays.rows[1][:3] == ("ONNX Runtime 1.32", "shrunk", "2 kB")
    assert card.pays.rows[1][5:] == ("2.00 ×", "[1.90, 2.10]", "1e-06", "2.00 × faster here")
    assert card.pays.rows[2] == ("ncnn", "dense, masked", *[""] * 6, "not installed: pip install 'secateur[ncnn]'")
    for text in (markdown(card), page(card, told)):
        assert "Where it pays" in text
        assert "2.00 × faster here" in text
        assert re.search(r"measured on a cpu, 2 cores.*batch 8.*, 2026-11-30", text)
    assert card_of(manifest(), PLAN).pays is None
    assert "Where it pays" not in markdown(card_of(manifest(), PLAN))


def test_a_table_of_engines_that_somebody_made_up_is_not_sound():
    assert is_sound_report(None)
    assert is_sound_report(json.loads(json.dumps(paying())))
    first = paying()["rows"][0]
    for changes in (
        {"rows": [{**first, "seconds": "soon"}]},
        {"rows": [{**first, "bytes": -1}]},
        {"rows": [{**first, "ratio": {"value": 0.0, "low": 0.0, "high": 0.0, "n": 3}}]},  # divides in words
        {"rows": [{**first, "ratio": {"value": float("nan"), "low": 1.0, "high": 2.0, "n": 3}}]},
        {"rows": [{**first, "reason": 3}]},
        {"rows": [{**first, "estimated_cycles": "few"}]},
        {"rows": [{**first, "estimated_seconds": float("inf")}]},
        {"rows": [{**first, "not_run": None}]},
        {"rows": None},
        {"machine": {}},
        {"threads": True},
    ):
        assert not is_sound_report(paying(**changes)), changes
    assert not is_sound_report("engines")


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]


def test_the_page_runs_nothing_loads_nothing_and_shows_names_as_they_are():
    text = page(card_of(manifest(), PLAN), manifest())
    reader = Reader()
    reader.feed(text)
    assert "script" not in reader.tags
    assert reader.addresses == []
    assert not re.search(r"url\(|@import", text)
    assert reader.tags.count("svg") == 2  # the class was not measured, so it has no bar
    assert "&lt;script&gt;" in text


def test_a_name_cannot_leave_its_cell_in_markdown():
    (line,) = (line for line in markdown(card_of(manifest(), PLAN)).splitlines() if "alert" in line)
    assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert "<script" not in re.sub(r"\\<", "", line)


def test_bars_are_as_long_as_their_values_and_what_is_not_known_has_none():
    picture = bars('a & "b"', [Bar("one", 1.0, "1"), Bar("two", 2.0, "2", 1.5, 2.0), Bar("none", None, "not measured")])
    root = ElementTree.fromstring(picture)
    widths = [float(bar.get("width")) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths == [pytest.approx(145), pytest.approx(290)]  # of 640 less 150 and 200
    assert root.get("aria-label") == 'a & "b"'


def test_bars_of_drops_below_zero_go_the_other_way():
    root = ElementTree.fromstring(bars("drops", [Bar("better", -1.0, "-1"), Bar("worse", 3.0, "3")]))
    left, right = root.iter("{http://www.w3.org/2000/svg}rect")
    assert float(left.get("x")) + float(left.get("width")) == pytest.approx(float(right.get("x")))
    assert float(right.get("width")) == pytest.approx(3 * float(left.get("width")))


def test_variants_are_counted_as_they_are(conv):
    with Measurement(conv, None, "all") as measurement:
        (row,) = variant_rows(measurement, {"dense": Judged(conv.model, measurement.dense(), None)})
    assert row["parameters"] == sum(parameter.numel() for parameter in conv.model.parameters())
    assert 0 < row["nonzeros"] <= row["parameters"]
    assert row["bytes"] > 4 * row["parameters"]
    assert row["flops"] > 0
    assert row["drop"] is None


def test_classes_have_their_own_paired_drops_where_evidence_is_kept(conv, tmp_path):
    plan, n = SparsityPlan((Cut(conv_target(conv), sparsity=0.9),)), len(conv.evaluation)
    sorted_by = replace(conv, columns={"class": ["cat" if i % 3 else "dog" for i in range(n)]})
    with Measurement(sorted_by, EvidenceStore(Workspace(tmp_path)), "all") as measurement:
        measurement.dense()
        measurement.measure(plan)
        models = {"dense": Judged(conv.model, None, None), "masked": Judged(conv.model, None, None)}
        rows = class_rows(measurement, plan, models)
        assert class_rows(Measurement(sorted_by, None, "all"), plan, models) is None
    assert {row["class"]: row["n"] for row in rows} == {"cat": n - -(-n // 3), "dog": -(-n // 3)}
    drops = [row["drop"]["value"] for row in rows]
    assert drops == sorted(drops, reverse=True)


def conv_target(workload):
    with Measurement(workload, None, "all") as measurement:
        return next(target.name for target in measurement.targets if target.granularity == "weight")


def test_the_command_names_what_changes_the_bundle(conv):
    made = command_of("my net.py", "shrunk", ("safetensors", "onnx"), 20, Measurement(conv, None, 10))
    assert made == (
        "secateur export 'my net.py' plan.json again --form shrunk --format safetensors,onnx --opset 20 --samples 10"
    )
    assert command_of("m", "masked", ("safetensors",), None, Measurement(conv, None, "all")).endswith("--samples all")


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (
            {"made_by": "solver", "goal": "at most 20 % of the FLOPs"},
            "made by the solver from measured sensitivities, for",
        ),
        (
            {"made_by": "hand", "goal": {"kind": "flops", "left": 0.2, "tolerance": None}},
            "by hand, for: kind flops, left 0.2.",
        ),
        ({"made_by": None, "name": "small"}, 'The plan "small" is of unknown origin.'),
        ({"made_by": "file", "note": "for the old phone"}, "Note: for the old phone"),
    ],
)
def test_the_card_says_who_made_the_plan_and_what_for(origin, said):
    text = " ".join(card_of(manifest(plan_origin=origin), PLAN).summary)
    assert said in text


def test_every_maker_of_plans_has_words():
    assert set(facts.MADE) == set(MAKERS)
