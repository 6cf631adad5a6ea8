"""Whether the figures of a manifest are those that are measured and counted now."""

from collections.abc import Mapping, Sequence
from typing import Any

from core import numbers
from core.delivery.formats.facts import FORMATS
from core.errors import SecateurError
from core.workload.scale import Scale

CLOSE = 1e-5  # the same machine gives the same bits; another processor may round a last digit differently
ABOUT = 1e-2  # of bytes and FLOPs: other versions of libraries write longer headers, and count other operators
COUNTS = ("parameters", "nonzeros")
DYNAMIC = "dynamic"  # the scheme that calculates in int8, which processors round and saturate differently


def check_figure(now: float, written: float, scale: Scale) -> float:
    """The metric of the reloaded model, if the manifest says the same.

    Raises:
        SecateurError: it says something else.
    """
    if not _near(now, written, CLOSE):
        raise SecateurError(
            f"the reloaded model measures {scale.name} {numbers.exact_text(scale, now)}, the manifest says "
            f"{numbers.exact_text(scale, written)}; export the bundle again"
        )
    return now


def check_measured(now: Mapping[str, Any], written: Mapping[str, Any], scale: Scale) -> None:
    """Compare dense metric, pruned metric and drop of a plan: values, intervals and n.

    Raises:
        SecateurError: one differs.
    """
    check_figure(now["pruned"]["value"], written["pruned"]["value"], scale)
    for what in ("dense", "pruned", "drop"):
        if not _same(now[what], written[what], CLOSE):
            _refuse(what, now[what], written[what], scale)


def check_variants(now: Sequence[Mapping[str, Any]], written: Sequence[Mapping[str, Any]], scale: Scale) -> None:
    """Compare the models that stand side by side: metric and drop with interval and n, parameters, bytes, FLOPs.

    Args:
        now: as `variant_rows` and `quantized_rows` give them.
        written: of the manifest; rows of formats that were not read now are left out of the comparison.
        scale: of the metric, for words.

    Raises:
        SecateurError: a row is missing or too many, or a figure of one differs.
    """
    names = [row["name"] for row in now]
    rows = {row["name"]: row for row in written if row["name"] in names or row["name"] not in FORMATS}
    odd = sorted(set(names) ^ set(rows))
    if odd:
        raise SecateurError(
            f"the manifest does not say what {odd[0]} measured, or says it of no model; export it again"
        )
    for row in now:
        _check_row(row, rows[row["name"]], scale)


def _check_row(now: Mapping[str, Any], written: Mapping[str, Any], scale: Scale) -> None:
    name, facts = now["name"], FORMATS.get(now["name"])
    for what in ("metric", "drop"):
        slack = CLOSE
        if facts is not None and facts.scheme == DYNAMIC and now[what]:
            slack = (now[what]["high"] - now[what]["low"]) / 2
        if not _same(now[what], written.get(what), slack):
            _refuse(f"{what} of {name}", now[what], written.get(what), scale)
    for what in (*COUNTS, "bytes", "flops"):
        ours, theirs = now[what], written.get(what)
        near = ours == theirs if ours is None or what in COUNTS else _near(ours, theirs, ABOUT, relative=True)
        if not near:
            raise SecateurError(f"the manifest says {theirs} {what} of {name}, it is {ours}; export the bundle again")


def _refuse(what: str, now: Mapping[str, Any] | None, written: Any, scale: Scale) -> None:
    is_drop = what.startswith("drop")
    raise SecateurError(
        f"the manifest does not say what is measured now: {what} is {_text(now, scale, is_drop)}, not "
        f"{_text(written, scale, is_drop)}; export the bundle again"
    )


def _text(estimate: Any, scale: Scale, is_drop: bool) -> str:
    try:
        value, low, high = (numbers.exact_text(scale, estimate[part], is_drop) for part in ("value", "low", "high"))
        return f"{value} [{low.split(' ')[0]}, {high.split(' ')[0]}], n = {estimate['n']}"
    except (TypeError, KeyError, ValueError):
        return "nothing"


def _same(now: Mapping[str, Any] | None, written: Any, slack: float) -> bool:
    if now is None or not isinstance(written, Mapping):
        return now is None and written is None
    near = all(_near(now[part], written.get(part), slack) for part in ("value", "low", "high"))
    return near and now["n"] == written.get("n")


def _near(now: float, written: Any, slack: float, relative: bool = False) -> bool:
    if isinstance(written, bool) or not isinstance(written, int | float):
        return False
    return abs(now - written) <= slack * (abs(written) if relative else max(1.0, abs(written)))
