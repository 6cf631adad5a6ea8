"""docs/benchmarks.md from docs/benchmarks/*.json: `python -m tests.benchmarks.page`.

Nothing on that page is typed by hand. Records come from `python -m tests.benchmarks.SCRIPT … --record`; those that an
earlier README told are copied from it by `from_readme.py`.
"""

import json
import re
from pathlib import Path
from typing import Any

from tests.benchmarks.record import FOLDER, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
SCRIPTS = ROOT / "tests" / "benchmarks"
COMMAND = "python -m tests.benchmarks.page"
FIELDS = (
    "name", "title", "asks", "by", "command", "commit", "dirty", "date", "machine", "seconds", "tables", "reading",
    "notes",
)  # fmt: skip

# Topics in the order of the page, each with the scripts whose records stand there.
TOPICS: dict[str, tuple[str, ...]] = {
    "Sweeps": (
        "first_map",
        "first_map_error",
        "sweep_speed",
        "growth",
        "cores",
        "memory",
        "large_model",
        "data_on_disk",
        "evidence_bytes",
        "folder_map",
        "agreement",
        "coverage",
        "interval_replays",
        "preview",
        "pairs",
    ),
    "Cuts that are real": ("shrink_speed", "equality", "same_model"),
    "Plans": (
        "certificates",
        "prediction",
        "solved_plans",
        "predicted_milliseconds",
        "plans_for_engines",
        "allocations",
        "undo_map",
        "repaired_maps",
        "solver",
        "criteria",
    ),
    "Recovery": ("recovery", "tickets"),
    "Delivery": ("packed", "quantization", "side_by_side", "bits", "pays_tables", "zeros_pay"),
    "The dashboard": ("startup", "tuner", "first_number", "map_drawing"),
}

# Modules beside the benchmarks, and benchmarks that have no record, each with the reason.
NOT_RECORDED: dict[str, str] = {
    "memory_budgets": "told and measured bytes of one pass, equal or a mistake; prints real memory beside them",
    "dead_channels": "of one defect that was mended: what it cost before, printed beside what is written now",
    "record": "writes the records",
    "page": "makes the page of them",
    "from_readme": "copies the tables of an earlier README",
    "recorded": "what agreement and coverage replay",
    "turns": "one sweep in a process of its own, for benchmarks that take turns",
    "minilm": "a workload that several benchmarks measure",
    "separable": "a workload that several benchmarks measure: a CNN on which nothing was chosen",
    "tones": "a workload that several benchmarks measure: a model of a package on which nothing was chosen",
    "recovery_picture": "draws what recovery measured",
    "workers": "no figure yet: 1.60 times in one turn on two cores that were almost quiet; it wants more turns",
    "load": "no figure yet: it wants a quiet machine",
    "crowd": "no figure yet: it wants a quiet machine",
    "ray_workers": "no figure yet: it wants a quiet machine, and an extra that the others do without",
    "scale": "no figure yet: it wants a quiet machine",
    "first_map": "its only run bound the baseline to one thread and not the sweep; it wants a quiet machine",
}

HEAD = """# Benchmarks

For whoever wants to know what a figure rests on, or to measure it again.

Every table here is made by `{command}` from the files in `docs/benchmarks/`. Those are written by the
scripts in `tests/benchmarks/` when they are given `--record`; no number is typed by hand, and losses are rows like any.
Each section names the command that measures it, the commit that was measured, the day and the machine. Times hold for
that machine; others worked on it too, so read the ratios, whose two sides were timed in the same run. Load is the
number of processes that wanted a core in the minute before the script began. Intervals, in brackets, are of 95 %.

A section named *earlier README* is a table or a sentence that README.md held until these records began, copied from it
by `python -m tests.benchmarks.from_readme`. What was measured since, mostly at smaller settings, stands beside it.
"""


def records(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """All records by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def script_of(record: dict[str, Any]) -> str:
    """The script in tests/benchmarks that a record's command runs."""
    found = re.search(r"tests[./]benchmarks[./](\w+)", record["command"])
    if found is None:
        raise ValueError(f"{record['name']}.json: its command names no script of tests/benchmarks: {record['command']}")
    return found[1]


def page(found: list[dict[str, Any]]) -> str:
    """The page of some records."""
    newest = max((record["date"] for record in found), default="")
    parts = [HEAD.format(command=COMMAND)]
    by_topic = {
        topic: [record for script in scripts for record in found if script_of(record) == script]
        for topic, scripts in TOPICS.items()
    }
    lost = [record["name"] for record in found if not any(record in some for some in by_topic.values())]
    if lost:
        raise ValueError(f"no topic of the page has the scripts of {', '.join(lost)}; add them to TOPICS")
    for topic, some in by_topic.items():
        if some:
            listed = "\n".join(f"- [{record['title']}](#{slug(record['title'])})" for record in some)
            parts.append(f"**{topic}**\n\n{listed}\n")
    for topic, some in by_topic.items():
        if some:
            parts.append(f"## {topic}\n")
            parts += [section(record, newest) for record in some]
    return "\n".join(parts)


def section(record: dict[str, Any], newest: str) -> str:
    """What was asked, the tables, how to read them, and where the numbers come from."""
    parts = [f"### {record['title']}", record["asks"]]
    for table in record["tables"]:
        if table["title"]:
            parts.append(f"{table['title']}:")
        parts.append(table_text(table))
    parts += [text for text in (record["reading"], " ".join(record["notes"])) if text]
    parts.append(provenance(record, newest))
    return "\n\n".join(parts) + "\n"


def provenance(record: dict[str, Any], newest: str) -> str:
    """Command, commit, day, machine, and whether something newer was measured since."""
    took = "" if record["seconds"] is None else f", took {duration(record['seconds'])}"
    where = f"{record['date']}{took}; {machine_text(record['machine'])}"
    if record["by"] != "measured":
        lines = [f"copied from README of commit `{record['commit']}`, {where}", "not measured again at these settings"]
    else:
        lines = [f"commit `{record['commit']}`{' with uncommitted changes' * record['dirty']}, {where}"]
        if record["date"] < newest:
            lines.append(f"not measured again since {record['date']}")
    lines = [f"`{record['command']}`", *lines]
    return "\n".join(f"- {line}" for line in lines)


def machine_text(machine: dict[str, Any]) -> str:
    """`AMD EPYC, 2 cores, Linux x86_64; Python 3.11.7, torch 2.13.0, onnxruntime 1.32.0; load 3.1`."""
    if "said" in machine:
        return machine["said"]
    cores = f"{machine['cores']} core{'s' * (machine['cores'] > 1)}"
    packages = [f"{name} {machine[name]}" for name in ("torch", "onnxruntime") if machine[name]]
    threads = machine["omp_num_threads"]
    parts = [
        ", ".join((machine["cpu"], cores, machine["system"])),
        ", ".join((f"Python {machine['python']}", *packages)),
        *([f"OMP_NUM_THREADS={threads}"] if threads else []),
        *([f"load {machine['load']:.1f}"] if machine["load"] is not None else []),
    ]
    return "; ".join(parts)


def table_text(table: dict[str, Any]) -> str:
    """Markdown."""
    columns = table["columns"]
    head = [f"{column['name']}, {column['unit']}" if column["unit"] else column["name"] for column in columns]
    rows = [
        [cell_text(cell, column["form"]) for cell, column in zip(row, columns, strict=True)] for row in table["rows"]
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def cell_text(cell: Any, form: str) -> str:
    """Words as they are; numbers in the column's format; an interval behind its number: `1.21 [1.20, 1.23], n = 60`."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell.replace("|", "\\|")
    if isinstance(cell, dict):
        low, high = (number(cell[end], form).removesuffix(" %") for end in ("low", "high"))
        n = f", n = {cell['n']:,}" if "n" in cell else ""
        return f"{number(cell['value'], form)} [{low}, {high}]{n}"
    return number(cell, form)


def number(value: float, form: str) -> str:
    """In a format, with a minus sign that is one, and a space before the percent sign."""
    form = form or (",d" if isinstance(value, int) else ".3g")
    if form.endswith("g"):
        form = form.replace(".", "#.")  # 1.90 says more than 1.9
    text = format(value, form).replace("%", " %").removesuffix(".")
    if text[0] in "+-" and not text.strip("+-0., %"):
        text = text[1:]  # nothing is 0, not minus 0
    return text.replace("-", "−", 1) if text.startswith("-") else text


def duration(seconds: float) -> str:
    """`18 s`, `7 min`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def main() -> None:
    """Write the page."""
    found = records()
    PAGE.write_text(page(found), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)} from {len(found)} records")


if __name__ == "__main__":
    main()
