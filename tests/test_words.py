"""One thing has one word (docs/glossary.md): on every screen, in the terminal, in refusals and in the manual."""

import ast
import re

import pytest

from tests.imports import MODULES, ROOT

# what is not said, with what is said in its place
UNSAID = {
    r"\bgo(es)? by\b(?! way| the (old )?name)": "is ranked by, is judged by, uses; for what goes at once: unit",
    r"\bfronts? of (the )?measured\b": "Pareto front",
    r"(\b[\d,]+|\}) numbers\b(?! of| apart)": "parameters; of one tensor weights",
    r"\bsingle numbers become\b": "weights",
    r"\bpruning (ratio|rate|amount)s?\b|\bpct\b": "sparsity, share removed",
    r"\bconfidence intervals?\b|\berror bars?\b": "interval",
    r"\b(file|model) names? of the (model|file)\b|\bmodel's file name\b": "model",
    r"\bpaus(e|es|ed|ing)\b": "stop, stopped: a run at work is stopped, one that waits is cancelled",
    r"\bunpruned\b|\boriginal model\b|\bbase model\b": "dense model",
    r"\bskipped (heads?|channels?)\b": "removed",
    # an interval has square brackets
    r"\d( %| ms| ×| points)?,? \([+\u2212-]?\d+(\.\d+)?( %)?(,| to) [+\u2212-]?\d+\.\d+( %)?\)": "[low, high]",
    r"\(\{[^{}]*\blow\b[^{}]*\}(,| to) \{[^{}]*\bhigh\b[^{}]*\}\)": "[low, high]",
}
# of other things: what a trace says of code, and what records hold word by word
NOT_OURS = ("docs/architectures.md", "docs/benchmarks.md", "docs/cli.md")
PAGES = [path for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if "benchmarks/" not in str(path)]


def said_by(tree):
    """Texts that a module can show: its strings without docstrings, but for those of commands; f-strings as written."""
    left_out, inside = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            marks = getattr(node, "decorator_list", ())
            if not any("command" in ast.unparse(mark) for mark in marks):
                left_out.add(node.body[0].value)
        elif isinstance(node, ast.JoinedStr):
            inside |= set(node.values)
            parts = (
                part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
                for part in node.values
            )
            yield node.lineno, "".join(parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left_out | inside:
            yield node.lineno, node.value


def texts():
    """Where each text stands, and the text."""
    for path in MODULES.values():
        if path.relative_to(ROOT).parts[0] in ("core", "dashboard"):
            for line, text in said_by(ast.parse(path.read_text())):
                if " " in text:
                    yield f"{path.relative_to(ROOT)}:{line}", text
    for path in (ROOT / "dashboard").rglob("*"):
        if path.suffix in (".js", ".html", ".jinja"):
            for text in re.findall(r"`[^`]*`|\"[^\"\n]*\"|>[^<>{}]+<", path.read_text()):
                if " " in text.strip():
                    yield str(path.relative_to(ROOT)), text
    for path in PAGES:
        if str(path.relative_to(ROOT)) not in NOT_OURS:
            text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(), flags=re.DOTALL)
            for paragraph in text.split("\n\n"):
                yield str(path.relative_to(ROOT)), " ".join(paragraph.split())


@pytest.fixture(scope="module")
def all_texts():
    return list(texts())


@pytest.mark.parametrize("unsaid", UNSAID)
def test_one_thing_has_one_word(unsaid, all_texts):
    found = [
        f"{where}: …{text[max(0, hit.start() - 40) : hit.end() + 40]}…"
        for where, text in all_texts
        for hit in re.finditer(unsaid, text, re.IGNORECASE)
    ]
    assert not found, f"say instead: {UNSAID[unsaid]}\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        ("97 % of {n:,} numbers can be cut", False), ("97 % of 28,416 parameters can be cut", True),
        ("1.21 (1.20, 1.23), n = 60", False), ("1.21 [1.20, 1.23], n = 60", True),
        ("1.21 ({low}, {high})", False), ("sparsities such as (0.5, 0.9)", True), ("Weights go by the loss", False),
        ("its int8 goes by way of ONNX Runtime", True), ("The run is paused", False),
    ],
)  # fmt: skip
def test_the_rules_find_what_they_are_for(text, is_said):
    assert is_said == (not [one for one in UNSAID if re.search(one, text, re.IGNORECASE)])


def test_each_word_of_the_glossary_stands_there_once():
    rows = re.findall(r"^\| ([^|]+) \| ", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    words = [word.strip() for row in rows for word in row.split(",") if row.strip() not in ("word", "---")]
    assert len(words) == len(set(words))
