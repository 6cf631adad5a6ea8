"""docs/benchmarks.md is what its records say, every record says where it comes from, and no benchmark is forgotten."""

import argparse
import json
import re
import subprocess
import sys

import pytest

from tests.benchmarks.page import (
    COMMAND,
    FIELDS,
    NOT_RECORDED,
    PAGE,
    SCRIPTS,
    TOPICS,
    cell_text,
    page,
    records,
    script_of,
)
from tests.benchmarks.record import FOLDER, Column, Table, command, compact, document, recordable, write_record

RECORDS = records()
NAMES = [record["name"] for record in RECORDS]


def test_the_page_is_what_the_records_say():
    assert PAGE.read_text(encoding="utf-8") == page(RECORDS), f"docs/benchmarks.md is stale; run `{COMMAND}`"


def test_the_page_says_whom_it_is_for():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Benchmarks"
    assert lines[2].startswith("For ")


def test_links_within_the_page_resolve():
    text = PAGE.read_text(encoding="utf-8")
    anchors = [
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
    ]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= set(anchors)


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_a_record_says_where_its_numbers_come_from(record):
    assert set(record) == set(FIELDS)
    assert (FOLDER / f"{record['name']}.json").exists()
    assert (SCRIPTS / f"{script_of(record)}.py").exists()
    assert re.fullmatch(r"[0-9a-f]{7,}", record["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert record["machine"]
    assert record["asks"].endswith("?")
    assert record["reading"].endswith(".")
    assert all(note.endswith(".") for note in record["notes"])
    if record["by"] == "measured":
        assert record["seconds"] > 0
        assert {"cpu", "cores", "torch", "python", "onnxruntime", "load"} <= record["machine"].keys()
    else:
        assert record["by"] == f"copied from README of commit {record['commit']}"


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_tables_have_a_cell_under_every_column(record):
    assert record["tables"]
    for table in record["tables"]:
        assert table["rows"]
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_every_benchmark_is_recorded_or_says_why_not():
    scripts = {path.stem for path in SCRIPTS.glob("*.py")}
    recorded = {script_of(record) for record in RECORDS}
    assert scripts == recorded | set(NOT_RECORDED)
    assert not recorded & set(NOT_RECORDED)
    assert recorded <= {script for some in TOPICS.values() for script in some}


@pytest.mark.process
def test_reading_records_needs_no_torch():
    code = "import sys, tests.benchmarks.page; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PAGE.parents[1], check=False).returncode == 0


@pytest.mark.parametrize(
    ("cell", "form", "text"),
    [
        (None, ".2f", "–"),
        ("no | bar", "", r"no \| bar"),
        (1234, "", "1,234"),
        (-0.25, "+.2f", "−0.25"),
        (-0.001, "+.2f", "0.00"),
        (-0.001, ".2f", "0.00"),
        (0.985, ".1%", "98.5 %"),
        (-1.9, "", "−1.90"),
        (823.4, "", "823"),
        (2.3e-7, ".1e", "2.3e-07"),
        ({"value": 0.9268, "low": 0.9215, "high": 0.9317, "n": 10_000}, ".2%", "92.68 % [92.15, 93.17], n = 10,000"),
        ({"value": 1.21, "low": 1.2, "high": 1.23}, ".2f", "1.21 [1.20, 1.23]"),
    ],
)
def test_cells_read_as_numbers_do_in_the_manual(cell, form, text):
    assert cell_text(cell, form) == text


def test_a_record_comes_back_from_its_file_and_changes_the_page():
    made = document(
        "solver", "A title", "What?", [Table([Column("a"), Column("b", "s", ".1f")], [["x", 1.25], ["y", None]] * 9)],
        "Read it.", ["A note."], command="python -m tests.benchmarks.solver", commit="1234567", dirty=True,
        date="2026-01-01", machine={"said": "a machine"}, seconds=3.0,
    )  # fmt: skip
    assert json.loads(compact(made)) == made
    text = page([made])
    assert "| a | b, s |\n| --- | --- |\n| x | 1.2 |" in text
    assert "commit `1234567` with uncommitted changes, 2026-01-01, took 3 s; a machine" in text
    assert "not measured again since" not in text
    newer = {**made, "name": "later", "title": "Another", "date": "2026-02-01"}
    assert "not measured again since 2026-01-01" in page([made, newer])


def test_a_command_is_told_as_a_person_types_it(monkeypatch):
    words = ["--layers", "blocks|stage", "--record", "--record-as", "criteria_2_4", "--pattern", "2:4"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/tests/benchmarks/criteria.py", "tiny-gpt", *words])
    assert command() == "python -m tests.benchmarks.criteria tiny-gpt --layers 'blocks|stage' --pattern 2:4"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--former", "/somewhere/old", "--rounds", "2"], "--former CHECKOUT --rounds 2"),
        (["--workspace=/home/me/ws"], "--workspace=WORKSPACE"),
        ([str(SCRIPTS / "minilm.py")], "tests/benchmarks/minilm.py"),
        (["/home/me/models/mine.py"], "mine.py"),
        (["--rule", "census"], "--rule census"),
    ],
)
def test_a_command_tells_nothing_of_where_things_lie(monkeypatch, words, told):
    monkeypatch.setattr(sys, "argv", ["/somewhere/tests/benchmarks/sweep_speed.py", *words])
    assert command() == f"python -m tests.benchmarks.sweep_speed {told}"


def test_nothing_is_written_that_was_not_asked_for(monkeypatch):
    parser = argparse.ArgumentParser()
    recordable(parser)
    monkeypatch.setattr("tests.benchmarks.record.save", lambda *_: pytest.fail("written"))
    write_record(parser.parse_args([]), "A title", "What?", [], "Read it.")
