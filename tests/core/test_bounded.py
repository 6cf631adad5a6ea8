"""What is read whole is read within limits, and what is beyond them is refused in one line, soon."""

import time
from pathlib import Path

import pytest

from core import SecateurError, SparsityPlan
from core.bounded import parse_json, read_text
from core.errors import told
from core.plans.checked import checked_pattern
from core.plans.solver.rules import Rule


@pytest.mark.parametrize("path", ["/dev/zero", "a" * 5000, "a\0b", "/", "/nowhere/x.json"])
def test_files_that_cannot_be_a_plan_are_one_line(path):
    with pytest.raises(SecateurError) as error:
        SparsityPlan.read(Path(path))
    assert "cannot read the plan" in str(error.value)
    assert len(str(error.value)) < 400


def test_as_much_is_read_as_may_be_and_no_byte_more(tmp_path):
    (tmp_path / "a").write_text("x" * 10)
    assert read_text(tmp_path / "a", "it", 10) == "x" * 10
    with pytest.raises(SecateurError, match="larger than 9 bytes"):
        read_text(tmp_path / "a", "it", 9)
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    with pytest.raises(SecateurError, match="not text"):
        read_text(tmp_path / "b", "it")


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 1_000_000, "{", "9" * 10_000])
def test_json_that_is_none_or_goes_too_deep_is_one_line(text):
    with pytest.raises(SecateurError) as error:
        parse_json(text, "the plan")
    assert len(str(error.value)) < 400


def test_a_plan_of_twenty_thousand_doubled_lines_is_refused_soon():
    lines = ", ".join(f'{{"target": "layer{i % 10_000}", "sparsity": 0.5}}' for i in range(20_000))
    text = f'{{"format": "secateur.plan", "version": 1, "workload": null, "cuts": [{lines}]}}'
    begun = time.process_time()
    with pytest.raises(SecateurError, match="names layer0 twice"):
        SparsityPlan.from_json(text)
    assert time.process_time() - begun < 5  # 20 s when each was counted among all


def test_a_plan_of_more_lines_than_any_model_has_targets_is_refused():
    with pytest.raises(SecateurError, match="at most 200,000"):
        SparsityPlan.from_document({"format": "secateur.plan", "version": 1, "cuts": [None] * 200_001})


@pytest.mark.parametrize("pattern", [".{99999999999}", "(" * 5_000 + ")" * 5_000, "(", "a" * 10_000 + "["])
def test_a_pattern_that_no_machine_can_compile_is_one_line(pattern):
    for check in (checked_pattern, lambda text: Rule("keep", pattern=text)):
        with pytest.raises(SecateurError) as error:
            check(pattern)
        assert len(str(error.value)) < 400


def test_what_is_long_is_not_repeated_whole():
    long = "x" * 100_000
    document = {"format": "secateur.plan", "version": 1, "cuts": [{"target": 1, "a": long}]}
    with pytest.raises(SecateurError) as error:
        SparsityPlan.from_document(document)
    assert len(str(error.value)) < 500
    message = f"sparsity of {long} must be a fraction"
    assert told(message) == f"sparsity of {'x' * 200}… (100,000 characters) must be a fraction"
    assert told("a word, and another") == "a word, and another"
