"""What a gate found in words, as Markdown for a pull request, and as JUnit XML. No torch."""

from xml.etree import ElementTree

from core import numbers
from core.certificates.gate import GateReport, GateRow

TITLES = {"not worse": "not worse", "worse": "worse", "cannot tell": "can't tell"}
MARKS = {"not worse": "✅", "worse": "❌", "cannot tell": "❔"}


def verdict_line(report: GateReport, candidate: str, baseline: str) -> str:
    """`not worse: …` of all rows together."""
    sure = f"with a confidence of {100 * report.confidence:.4g} %, on {report.n:,} of {report.n_all:,} examples"
    what = f"{TITLES[report.verdict]}: {candidate} beside {baseline}"
    if report.verdict == "cannot tell":
        need = "nobody can say how many more" if report.more is None else f"about {report.more:,} more"
        return f"{what}; needs {need} examples than these {report.n:,}"
    if report.verdict == "worse":
        worse = [row_name(row) for row in report.rows if row.verdict == "worse"]
        return f"{what} ({', '.join(worse[:3])}{' …' if len(worse) > 3 else ''}), {sure}"
    return f"{what}, {sure}"


def row_name(row: GateRow) -> str:
    """`all examples`, `class = shirt`."""
    return row.group or "all examples"


def row_cells(report: GateReport, row: GateRow) -> tuple[str, ...]:
    """Cells of a table: group, n, drop, at least, at most, accepted, verdict."""
    scale = report.scale
    return (
        row_name(row),
        f"{row.n:,}",
        "–" if row.drop is None else numbers.drop_text(scale, row.drop),
        numbers.drop_text(scale, row.floor),
        numbers.drop_text(scale, row.bound),
        numbers.drop_text(scale, row.within).lstrip("+"),
        TITLES[row.verdict],
    )


def columns_of(report: GateReport) -> tuple[str, ...]:
    """Titles of `row_cells`."""
    unit = numbers.drop_unit(report.scale)
    return ("examples", "n", f"drop, {unit}", "at least", "at most", "accepted", "")


def sight_line(report: GateReport) -> str:
    """What a gate of this kind sees, so that nobody takes "can't tell" for "all is well"."""
    loss = numbers.limit_text(report.scale, report.sees)
    if report.sees_at is None:
        return f"How many examples show a true loss of {loss} cannot be said from these."
    return f"A true loss of {loss} is found at about {report.sees_at:,} examples, nine times in ten."


def notes(report: GateReport) -> tuple[str, ...]:
    """How to read it."""
    n = len(report.rows) - 1
    return (
        sight_line(report),
        "Bounds hold at every number of examples at once, so the gate may stop early.",
        *([f"{n:,} groups were looked at: each needs stronger evidence to be called worse."] if n else []),
    )


def markdown(report: GateReport, candidate: str, baseline: str) -> str:
    """For a pull request: verdict, table, notes."""
    titles = columns_of(report)
    lines = [f"### {MARKS[report.verdict]} {_plain(verdict_line(report, candidate, baseline))}", ""]
    lines += ["| " + " | ".join(titles) + " |", "| --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    lines += ["| " + " | ".join(_plain(cell) for cell in row_cells(report, row)) + " |" for row in report.rows]
    return "\n".join([*lines, "", *(f"{_plain(note)}  " for note in notes(report)), ""])


def junit(report: GateReport, candidate: str, baseline: str) -> str:
    """A test case per row: worse is a failure, can't tell an error, for neither may pass for well."""
    failed = sum(row.verdict == "worse" for row in report.rows)
    unsure = sum(row.verdict == "cannot tell" for row in report.rows)
    suite = ElementTree.Element(
        "testsuite", name=_xml(f"secateur gate {candidate} {baseline}"), tests=str(len(report.rows)),
        failures=str(failed), errors=str(unsure), skipped="0",
    )  # fmt: skip
    for row in report.rows:
        case = ElementTree.SubElement(suite, "testcase", classname="secateur.gate", name=_xml(row_name(row)))
        told = list(zip(columns_of(report), row_cells(report, row), strict=True))[1:-1]
        said = "; ".join(f"{title}: {cell}" for title, cell in told)
        if row.verdict != "not worse":
            tag = "failure" if row.verdict == "worse" else "error"
            ElementTree.SubElement(case, tag, message=_xml(said), type=TITLES[row.verdict])
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(said)
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _plain(text: str) -> str:
    """Somebody's column values may hold what steers Markdown."""
    return "".join(f"\\{sign}" if sign in "|`*_<>[]\\" else sign if sign.isprintable() else "?" for sign in text)


def _xml(text: str) -> str:
    """XML knows no control characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
