"""A frontier in words. No torch."""

from dataclasses import replace

from core import numbers
from core.profiling.frontier.report import AXES, DENSE, Axis, FrontierReport, Point, Standing, called
from core.profiling.frontier.request import SOLVER

COSTS = {"flops": "FLOPs", "nonzeros": "non-zeros"}
AXIS_NAMES: dict[Axis, str] = {"milliseconds": "milliseconds", "bytes": "bytes", "compressed": "compressed bytes"}
MAKER_NAMES = {SOLVER: "solver", "uniform": "uniform", "lamp": "LAMP", "erk": "ERK", DENSE: DENSE}
NOTE = (
    "Drop: paired with the dense model, on {examples}, with its 95 % interval. Times: every budget's models in turn "
    "with the dense one; milliseconds are the dense model's through how many times as fast a plan is, with the 95 % "
    "interval of the median over the turns. Dominated: another is no worse in drop and {axis} and better in one; “not "
    "told apart” where the intervals of the two overlap in either{margin}."
)


def axes_of(report: FrontierReport) -> tuple[Axis, ...]:
    """Axes on which something was measured."""
    return tuple(axis for axis in AXES if any(report.place(point, axis) is not None for point in report.points))


def milliseconds_text(report: FrontierReport, point: Point) -> str:
    """`0.33 [0.31, 0.36]`; empty where it was not timed."""
    found = report.place(point, "milliseconds")
    if found is None:
        return ""
    value, low, high = (numbers.milliseconds_text(one / 1000) for one in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def ratio_text(point: Point) -> str:
    """`2.10× [2.05, 2.14]`; empty where it was not timed."""
    found = point.ratio
    return f"{numbers.ratio_text(found.value)} [{found.low:.2f}, {found.high:.2f}]" if found else ""


def drop_text(report: FrontierReport, point: Point) -> str:
    """`+1.25 [+0.60, +1.95]`; empty where it was not measured."""
    found = point.drop
    if found is None:
        return ""
    value, low, high = (numbers.drop_text(report.scale, one) for one in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def recovered_text(report: FrontierReport, point: Point) -> str:
    """As `drop_text`, after fine-tuning."""
    return drop_text(report, replace(point, drop=point.recovered))


def left_text(point: Point) -> str:
    """`41 %`; empty where there is no plan."""
    return numbers.share_text(point.left) if point.left is not None else ""


def name_text(report: FrontierReport, position: int) -> str:
    """`LAMP at 57 %`, `dense`."""
    return (
        called(MAKER_NAMES[report.points[position].maker], report.points[position].budget) if position >= 0 else DENSE
    )


def standing_text(report: FrontierReport, standing: Standing | None, is_known: bool = True) -> str:
    """`dominated by LAMP at 57 %, not told apart`; `on the front`; empty of what was not measured."""
    if standing is None:
        return "on the front" if is_known else ""
    return f"dominated by {name_text(report, standing.by)}{'' if standing.told_apart else ', not told apart'}"


def verdict(report: FrontierReport, i: int, standings: dict[int, Standing], axis: Axis) -> str:
    """One line of a point: where it stands, or why it stands nowhere."""
    point = report.points[i]
    if point.reason is not None:
        return point.reason
    is_known = report.quality(point) is not None and report.place(point, axis) is not None
    return standing_text(report, standings.get(i), is_known) or "not measured yet"


def head_text(report: FrontierReport) -> str:
    """What was timed where, in one line."""
    return (
        f"{report.engine} {report.version}, batch {report.batch:,}, {numbers.threads_text(report.threads)}; budgets "
        f"are shares of the dense model's {COSTS.get(report.kind, report.kind)}"
    )


def note(report: FrontierReport, axis: Axis) -> str:
    """How the numbers are to be read."""
    examples = f"{report.n:,} examples " + (
        "that nothing was chosen by" if report.unseen else "of which some were chosen by, for there are no others"
    )
    placed = (
        f" (times widened by {numbers.share_text(report.margin)}, for the place in memory)" if report.margin else ""
    )
    if report.recover:
        placed += f". Drops after {report.recover:g} epoch(s) of fine-tuning, masks held, decide"
    return NOTE.format(examples=examples, axis=AXIS_NAMES[axis], margin=placed if axis == "milliseconds" else "")


COLUMNS = (
    "maker", "budget", "left", "plan", "form", "n", "metric", "drop", "drop_low", "drop_high", "recovered",
    "recovered_low", "recovered_high", "milliseconds",
    "milliseconds_low", "milliseconds_high", "ratio", "ratio_low", "ratio_high", "turns", "bytes", "compressed",
    "dominated_by", "told_apart", "reason",
)  # fmt: skip


def csv_rows(report: FrontierReport) -> list[dict[str, object]]:
    """A row per point for a spreadsheet, the dense model first; what was not measured is empty. Drops in the metric's
    own unit, dominance by milliseconds."""
    standings = report.standings("milliseconds")
    dense: dict[str, object] = dict.fromkeys(COLUMNS, "")
    place = report.dense_place("milliseconds")
    dense |= {
        "maker": DENSE, "left": 1.0, "n": report.n, "metric": report.metric.value if report.metric else "", "drop": 0.0,
        "milliseconds": place.value if place else "", "bytes": _or_empty(report.bytes),
        "compressed": _or_empty(report.compressed), **_dominated(report, standings.get(-1)),
    }  # fmt: skip
    rows = [dense]
    for i, point in enumerate(report.points):
        time = report.place(point, "milliseconds")
        row: dict[str, object] = {
            "maker": point.maker, "budget": point.budget, "left": _or_empty(point.left), "plan": point.plan or "",
            "form": point.form or "", "n": point.drop.n if point.drop else "",
            "metric": point.metric.value if point.metric else "", "turns": point.ratio.n if point.ratio else "",
            "bytes": _or_empty(point.bytes), "compressed": _or_empty(point.compressed), "reason": point.reason or "",
            **_dominated(report, standings.get(i)),
        }  # fmt: skip
        for name, found in (
            ("drop", point.drop),
            ("recovered", point.recovered),
            ("milliseconds", time),
            ("ratio", point.ratio),
        ):
            row |= {
                name: found.value if found else "",
                f"{name}_low": found.low if found else "",
                f"{name}_high": found.high if found else "",
            }
        rows.append(row)
    return rows


def _dominated(report: FrontierReport, standing: Standing | None) -> dict[str, object]:
    if standing is None:
        return {"dominated_by": "", "told_apart": ""}
    return {"dominated_by": report.name(standing.by), "told_apart": standing.told_apart}


def _or_empty(value: float | None) -> object:
    return "" if value is None else value
