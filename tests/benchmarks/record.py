"""What a benchmark leaves behind: docs/benchmarks/NAME.json, of which `python -m tests.benchmarks.page` makes a page.

A script adds `--record` to its options, collects the rows that it prints, and calls `write_record`. No torch here: the
page and its test read the same files.
"""

import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
OWN = ("--record", "--record-as")  # options that change no figure: a reader need not type them
PLACES = {"--former": "CHECKOUT", "--other": "CHECKOUT", "--workspace": "WORKSPACE"}  # what stands for a path
DIGITS = 6  # significant ones that a file keeps: more than any clock or sample can tell
BEGUN = time.monotonic()  # when the script imported this; its own imports of torch may come before
LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

Cell = str | int | float | dict[str, float] | None


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: what stands in it.
        unit: of its numbers, e.g. `"s"`, `"points"`; empty for words and plain numbers.
        form: format of its numbers, e.g. `".2f"`; `".1%"` for fractions that are read as percent.
    """

    name: str
    unit: str = ""
    form: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under columns; a cell is words, a number, `interval(…)`, or `None` for what was not measured."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    title: str = ""


def interval(estimate: Any, factor: float = 1.0) -> dict[str, float] | None:
    """A cell of what has `value`, `low`, `high` and perhaps `n`, times `factor`: 100 makes points of a fraction."""
    if estimate is None:
        return None
    cell = {name: factor * float(getattr(estimate, name)) for name in ("value", "low", "high")}
    return cell | ({"n": estimate.n} if hasattr(estimate, "n") else {})


def recordable(parser: ArgumentParser) -> None:
    """Add `--record` and `--record-as NAME` to the options of a script."""
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks/NAME.json too; NAME: the script's")
    parser.add_argument("--record-as", metavar="NAME", help="the same under another name")


def is_asked(options: Namespace) -> bool:
    """Whether a record is to be written."""
    return bool(options.record or options.record_as)


def command() -> str:
    """How a person would type what runs, without `--record`, and without where things lie on this machine."""
    words, rest, before = [], iter(sys.argv[1:]), ""
    for word in rest:
        if word == "--record-as":
            next(rest, None)
        elif word.partition("=")[0] not in OWN:
            option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
            words.append(option + equals + _placed(value, option or before))
        before = word
    return " ".join(["python", "-m", f"tests.benchmarks.{Path(sys.argv[0]).stem}", *map(shlex.quote, words)])


def _placed(word: str, option: str) -> str:
    """A path within the repository from its root; of another what it is, or its last name."""
    if option == "--python":
        return re.sub("=[^,]+", "=PYTHON", word)
    if not Path(word).is_absolute():
        return word
    if Path(word).is_relative_to(ROOT):
        return str(Path(word).relative_to(ROOT))
    return PLACES.get(option) or Path(word).name


def write_record(
    options: Namespace, title: str, asks: str, tables: Sequence[Table], reading: str, notes: Sequence[str] = ()
) -> None:
    """Write what was measured, if `--record` asked for it; what was printed stays printed.

    Args:
        options: with those of `recordable`.
        title: of the section, a few words without marks.
        asks: the question that is answered, one sentence.
        tables: one or several.
        reading: how to read them, one sentence.
        notes: what else a reader must know, a sentence each.
    """
    if not is_asked(options):
        return
    name = options.record_as or Path(sys.argv[0]).stem
    found = document(
        name, title, asks, tables, reading, notes,
        command=command(), machine=machine(), seconds=time.monotonic() - BEGUN, **made_from(),
    )  # fmt: skip
    save(name, found)


def document(
    name: str, title: str, asks: str, tables: Sequence[Table], reading: str, notes: Sequence[str], **facts: Any
) -> dict[str, Any]:
    """A record as it is written. `facts`: command, commit, date, machine, seconds, by."""
    return {
        "name": name,
        "title": title,
        "asks": asks,
        "by": facts.pop("by", "measured"),
        **facts,
        "tables": [
            {
                "title": table.title,
                "columns": [vars(column) for column in table.columns],
                "rows": [list(row) for row in table.rows],
            }
            for table in tables
        ],
        "reading": reading,
        "notes": list(notes),
    }


def save(name: str, record: dict[str, Any]) -> Path:
    """Write docs/benchmarks/NAME.json."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(compact(_rounded(record)) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}; `python -m tests.benchmarks.page` puts it into docs/benchmarks.md")
    return path


def made_from() -> dict[str, Any]:
    """Commit, whether a file outside docs/ differed from it, and today's date."""
    changed = _git("status", "--porcelain", "--", ".", ":!docs")
    return {
        "commit": _git("rev-parse", "--short=7", "HEAD"),
        "dirty": bool(changed),
        "date": datetime.now(UTC).date().isoformat(),
    }


def machine() -> dict[str, Any]:
    """This machine, and how busy it was when the script began: the load average of the minute before."""
    import torch  # not above: the page reads records without it

    from core.profiling.machine import this_machine

    threads = os.environ.get("OMP_NUM_THREADS")
    return {
        **asdict(this_machine(torch.device("cpu"))),
        "python": platform.python_version(),
        "omp_num_threads": int(threads) if threads else None,
        "load": LOAD,
    }


def compact(value: Any, indent: int = 0) -> str:
    """JSON whose short lists and objects take one line, so that a row of a table is a line of a diff."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, list | dict) or not value or len(text) + indent <= 118:
        return text
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {compact(one, indent + 2)}" for key, one in value.items()]
    else:
        parts = [compact(one, indent + 2) for one in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{' ' * indent}{closing}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):  # JSON has no number for it
            return None if math.isnan(value) else "∞" if value > 0 else "−∞"
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
