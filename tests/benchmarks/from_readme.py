"""Records of what an earlier README told: `python -m tests.benchmarks.from_readme`.

Until commit `SOURCE` the README itself held the tables. Each is parsed from `git show SOURCE:README.md`, with the
sentences around it, and dated by the newest commit that put one of its rows there; no number is typed. A table that
was measured again at the same settings has its own record, and is not copied.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.record import ROOT, Column, Table, document, save

SOURCE = "ebe409a"  # the last commit whose README held the tables


@dataclass(frozen=True)
class Copied:
    """Where a table stands in that README, and the words around it.

    Attributes:
        command: that README's.
        title, asks, reading: as of any record.
        tables: texts that stand in the head or first row of each table.
        says: beginnings of sentences or paragraphs, copied up to the end text: they are notes.
        rows: the same, of figures that stood in no table: a row each.
        machine: what that README says of it, word for word; empty: nothing.
    """

    command: str
    title: str
    asks: str
    reading: str
    tables: Sequence[str] = ()
    says: Sequence[tuple[str, str]] = ()
    rows: Sequence[tuple[str, str]] = ()
    machine: str = ""


COPIED = {
    "sweep_speed_readme": Copied(
        "python -m tests.benchmarks.sweep_speed",
        "Sweeps against a naive scan, earlier README",
        "How much faster is a sweep than running the whole model for every cell, on all the examples?",
        "Ratios are the naive scan's seconds over the sweep's.",
        ["| model | cells | examples | exact |"],
        [("The floor is what descends", "no exact replay does less."), ("A structured sweep of MiniLM", "sentences")],
        machine="two shared cores",
    ),
    "shrink_speed_readme": Copied(
        "python -m tests.benchmarks.shrink_speed",
        "Multiply-adds beside milliseconds, earlier README",
        "How much faster is a model that was shrunk?",
        "Times as fast as the dense model, timed in turn with it, with the 95 % interval of the median.",
        ["| model | cut | parameters | multiply-adds |"],
        [("One thread; two threads", "only a clock can tell."), ("The masked `fashion-resnet`", "faster here\".")],
        machine="two shared cores",
    ),
    "equality_readme": Copied(
        "python -m tests.benchmarks.equality --plans 60",
        "Sweep and surgery, earlier README",
        "Does a model that was shrunk score what the sweep measured with zeros?",
        "The largest differences over all structured cells and random plans.",
        ["| model | structured cells |"],
        [("Differences in parts of", "examples.")],
    ),
    "prediction_readme": Copied(
        "python -m tests.benchmarks.prediction",
        "Random plans predicted, earlier README",
        "How well is the drop of a plan predicted that nobody chose?",
        "Spearman's correlation of predicted harm and measured drop, and the share of plans whose measured drop lay in "
        "the predicted 95 % interval.",
        ["| random plans ("],
        [("50 plans that nobody chose", "`refine` do so.")],
    ),
    "allocations_readme": Copied(
        "python -m tests.benchmarks.allocations",
        "Plans of one budget, earlier README",
        "Which way of sharing out a budget costs least?",
        "Measured drops; `>`: the solver's plan is better, `<`: worse, `=`: no different; `r` the same for the refined "
        "plan.",
        ["`fashion-resnet`, 92.7", "`fashion-vit`, 2,000 and", "`tiny-gpt`, perplexity", "MiniLM, cosine to itself"],
        [("Plans of one budget, judged", "for the refined plan.")],
    ),
    "recovery_readme": Copied(
        "python -m tests.benchmarks.recovery MODEL",
        "Recovery, earlier README",
        "How much of what a cut costs does training bring back?",
        "The drop is from the dense model on the same examples.",
        ["| sample | cut | dense | at once, untrained |"],
        [("One seed each, one thread", "0.19]).")],
        machine="one thread, other work on the machine",
    ),
    "pairs_readme": Copied(
        "python -m tests.benchmarks.pairs fashion-resnet",
        "Pairs of cuts, earlier README",
        "Do the drops of two cuts add up?",
        "About one interval in twenty leaves out 0 by chance.",
        rows=[("On 1,000 images `fashion-resnet`", "than its map says.")],
    ),
    "side_by_side_readme": Copied(
        "python -m tests.benchmarks.side_by_side",
        "Four models side by side, earlier README",
        "What is left of quality, bytes and time after cutting, training and quantizing?",
        "Metrics with 95 % intervals, bytes as a share of the dense model's, and times as fast as it.",
        ["| model, cut | dense | not trained |"],
        [("all evaluation examples:", "it is dense's"), ("Each took 1 to 13", "not there."),
         ("Int8 costs next to nothing", "on transformers.")],
        machine="on a busy 2-core machine",
    ),
    "bits_readme": Copied(
        "python -m tests.benchmarks.bits",
        "Pruning and quantization, earlier README",
        "Does a layer that tolerates pruning tolerate quantization?",
        "Spearman's ρ is between the drops of the layers when they are cut and when they are rounded.",
        rows=[("`secateur bits fashion-resnet --sparsities", "[−2.42, −1.14])."),
              ("MiniLM (`secateur bits minilm.py", "both at once.")],
    ),
}  # fmt: skip


def git(*words: str) -> str:
    """What git prints."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def tables_of(text: str) -> list[tuple[str, list[str]]]:
    """Every Markdown table: the line before it that is not empty, and its lines."""
    found: list[tuple[str, list[str]]] = []
    before, last = "", ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not last.startswith("|"):
                found.append((before, []))
            found[-1][1].append(line)
        elif line.strip():
            before = line.strip()
        last = line
    return found


def cells(line: str) -> list[str]:
    """Of one line of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def origin(lines: Sequence[str]) -> tuple[str, str]:
    """Commit and day of the newest commit that put one of these lines into the README."""
    born = [git("log", SOURCE, "-1", "--format=%ct %h %cs", f"-S{line}", "--", "README.md").split() for line in lines]
    _, commit, day = max(born, key=lambda one: int(one[0]))
    return commit, day


def passage(text: str, start: str, end: str) -> str:
    """From one text to the end of another, on one line."""
    flat = " ".join(text.split())
    at = flat.index(start)
    return flat[at : flat.index(end, at) + len(end)]


def copied(name: str, one: Copied, text: str) -> None:
    """Write one record."""
    tables, lines = [], []
    for mark in one.tables:
        (before, rows) = next((b, r) for b, r in tables_of(text) if b.startswith(mark) or r[0].startswith(mark))
        title = before.rstrip(":") if before.startswith(mark) else ""
        tables.append(Table([Column(cell) for cell in cells(rows[0])], [cells(row) for row in rows[2:]], title))
        lines += rows[2:]
    if one.rows:
        said = [passage(text, *ends) for ends in one.rows]
        tables.append(Table([Column("that README said")], [[row] for row in said]))
        # a passage runs over several lines: its first whole line dates it
        lines += [next(line for line in text.splitlines() if ends[1] in line) for ends in one.rows]
    commit, day = origin(lines)
    notes = [sentence(passage(text, *ends)) for ends in one.says]
    if one.machine and one.machine not in " ".join(text.split()):
        raise ValueError(f"{name}: that README does not say {one.machine!r}")
    said = f"“{one.machine}”, and no more was recorded" if one.machine else "no machine was recorded"
    record = document(
        name, one.title, one.asks, tables, one.reading, notes, by=f"copied from README of commit {commit}",
        command=one.command, commit=commit, dirty=False, date=day, machine={"said": said}, seconds=None,
    )  # fmt: skip
    save(name, record)


def sentence(text: str) -> str:
    """With a capital letter and a full stop, without a Markdown list's or bold marks."""
    text = text.replace("**", "").rstrip(":;")
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def main() -> None:
    """Write all of them."""
    text = git("show", f"{SOURCE}:README.md")
    for name, one in COPIED.items():
        copied(name, one, text)


if __name__ == "__main__":
    main()
