"""Names that the system refuses, and values that are long, are one clear line wherever they are given."""

import pytest

from tests.core.cli.running import refused

pytestmark = pytest.mark.model  # some load torch before they refuse

LONG = "a" * 5000


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "--workspace", LONG), ("merge", LONG), ("verify", LONG), ("init", f"{LONG}.py"),
        ("sweep", f"{LONG}.py"), ("targets", f"hf:{LONG}"), ("show", LONG), ("resume", LONG), ("diff", "x", LONG, LONG),
        ("sweep", "fashion-vit", "--criteria", LONG), ("apply", "fashion-vit", f"{LONG}.json"),
        ("sweep", "fashion-vit", "--layers", LONG + "("), ("sweep", "fashion-vit", "--layers", ".{99999999999}"),
        ("sweep", "fashion-vit", "--layers", "(" * 3000 + ")" * 3000), ("report", LONG, "--out", f"{LONG}.html"),
        (LONG,), ("sweep", "fashion-vit", f"--{LONG}"), ("sweep", "fashion-vit", "--sparsities", LONG),
        ("plan", "fashion-vit", "--uniform", LONG), ("gate", LONG, LONG),
    ],
)  # fmt: skip
def test_it_is_one_line_of_some_hundred_letters(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(*words)
    assert "unexpected" not in said
    assert len(said) < 1000
