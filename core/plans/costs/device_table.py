"""Milliseconds that somebody measured on a device of theirs, as a table; what it must be to be believed. No torch.

One row is one model: the dense one, or the model of which one target is narrower. CSV with a line of names, or JSON, a
list of objects of the same names: target ("dense", a coupled group or an attention), width (channels or heads that are
left) or sparsity, milliseconds, device; perhaps granularity, "channel" or "head", and the 95 % interval of these
milliseconds, low and high.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from core import numbers
from core.bounded import read_text
from core.errors import SecateurError
from core.plans.costs.savings import SavedTime
from core.plans.costs.stairs import FLAT, STEP, EngineTime, Stair, Step, engine_time
from core.workload.description import Description

COLUMNS = ("target", "granularity", "width", "sparsity", "milliseconds", "low", "high", "device")
DENSE = "dense"
FILE_BYTES = 1 << 24
MOST_APART = 200  # times: a model with one target narrower is not so much faster or slower, another unit is by 1000
SHOWN = 4
# Of the model's time, what a difference must exceed to be a step where a table has no intervals. A measured staircase
# calls that a step back which an interval says to be beyond `STEP`; here each of the two numbers may be off by as much.
NOISE = 2 * STEP


@dataclass(frozen=True)
class DeviceCosts:
    """What a table says of a model.

    Attributes:
        device: whose milliseconds these are.
        time: what predicts plans there.
        missing: coupled groups and attentions that the table has no row of: they count as saving none.
        bare: whether some of its times have no interval, so that a difference must exceed `NOISE` to be a step.
    """

    device: str
    time: EngineTime
    missing: tuple[str, ...]
    bare: bool = True

    @property
    def saved(self) -> SavedTime:
        """As the solver takes it."""
        return SavedTime(self.time.dense, built=self.time)


@dataclass(frozen=True)
class _Time:
    """Seconds of one model, with their interval where the table has one."""

    seconds: float
    low: float | None = None
    high: float | None = None


def read_costs(path: Path) -> list[dict[str, Any]]:
    """Rows of a table as they stand in the file, CSV or JSON by its name's end.

    Raises:
        SecateurError: it cannot be read, is none, or has no such columns.
    """
    text = read_text(path, "the costs", FILE_BYTES, "utf-8-sig")
    if path.suffix.lower() == ".json":
        return _of_json(path, text)
    reader = csv.DictReader(io.StringIO(text))
    names = [name.strip() for name in reader.fieldnames or ()]
    _check_names(path, names)
    reader.fieldnames = names
    rows = []
    for row in reader:
        if None in row:
            raise SecateurError(
                f"{path}, line {reader.line_num}: more cells than columns; put a name with commas in quotes"
            )
        cells = {name: (cell or "").strip() for name, cell in row.items()}
        if any(cells.values()):
            rows.append({"line": reader.line_num, **{name: cell for name, cell in cells.items() if cell}})
    return rows


def _of_json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SecateurError(f"cannot read the costs {path}: {error}") from None
    if isinstance(found, Mapping) and "rows" in found:
        found = found["rows"]
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise SecateurError(
            f'{path} must be a list of objects such as {{"target": "fc1", "width": 8, "milliseconds": 1}}'
        )
    _check_names(path, list(dict.fromkeys(str(name) for row in found for name in row)))
    return [{"line": at, **row} for at, row in enumerate(found, start=1)]


def _check_names(path: Path, names: Sequence[str]) -> None:
    lacking = [name for name in ("target", "milliseconds") if name not in names]
    if lacking or not {"width", "sparsity"} & set(names):
        wanted = ", ".join(COLUMNS)
        raise SecateurError(
            f"{path} has the columns {', '.join(names) or 'none'}; expected {wanted}: target, milliseconds and "
            "width or sparsity are needed"
        )


def costs_of(rows: Sequence[Mapping[str, Any]], found: Description, where: str = "the table of costs") -> DeviceCosts:
    """What a table says of a model.

    Args:
        rows: as `read_costs` gives them.
        found: the model.
        where: the file, for messages.

    Raises:
        SecateurError: a row that cannot be right: no number, below 0, a target that the model has not, a width beyond
            it, two different times of one width, times that must be of two units; rows of two devices; or no row of
            the dense model.
    """
    widths = {("channel", one.name): one.n_units or 0 for one in found.channel_targets}
    for head in found.head_targets:
        widths["head", head.layer or ""] = widths.get(("head", head.layer or ""), 0) + 1
    dense: dict[str, _Time] = {}
    times: dict[tuple[str, str], dict[int, _Time]] = {}
    devices = dict.fromkeys(str(row["device"]) for row in rows if row.get("device"))
    if len(devices) > 1:
        raise SecateurError(f"{where} holds rows of {' and '.join(list(devices)[:SHOWN])}; give one device a file")
    for row in rows:
        at = f"{where}, line {row.get('line', '?')}"
        name = str(row.get("target", "")).strip()
        if not name:
            raise SecateurError(f"{at}: no target; expected dense, a coupled group or an attention")
        if row.get("milliseconds") in (None, ""):
            continue  # of a table that was written to be filled in: said below
        time = _time(row, f"{at}: milliseconds of {name}")
        if name == DENSE:
            _put(dense, DENSE, time, at, name)
            continue
        key = _key(name, row.get("granularity"), widths, at, found)
        n = widths[key]
        width = _width(row, n, f"{at}: {name}")
        if width == n:
            raise SecateurError(f"{at}: {name} at {n} of {n} is the dense model; give that as the target {DENSE}, once")
        _put(times.setdefault(key, {}), width, time, at, f"{name} at {width} of {n}")
    if DENSE not in dense:
        raise SecateurError(f"{where} has no time of the dense model; add a row with the target {DENSE}")
    if not times:
        raise SecateurError(
            f"{where} has a time of the dense model and of nothing narrower; fill in rows of its targets"
        )
    whole = dense[DENSE]
    stairs: dict[str, dict[str, Stair]] = {"channel": {}, "head": {}}
    for (granularity, name), own in times.items():
        n = widths[granularity, name]
        for width, time in own.items():
            _check_unit(where, f"{name} at {width} of {n}", time.seconds / whole.seconds)
        stairs[granularity][name] = _stair(n, own, whole)
    device = next(iter(devices), "the device")
    known = engine_time(device, whole.seconds, stairs["channel"], stairs["head"], found)
    missing = tuple(name for granularity, name in widths if (granularity, name) not in times)
    bare = any(time.low is None for time in (whole, *(one for own in times.values() for one in own.values())))
    return DeviceCosts(device, known, missing, bare)


def _stair(n: int, own: Mapping[int, _Time], dense: _Time) -> Stair:
    """What widths cost. An interval of a ratio reaches from the least of the one over the most of the other and back;
    of times without any each ratio may be off by `NOISE`."""
    steps = []
    for width, time in sorted(own.items()):
        ratio = time.seconds / dense.seconds
        low, high = ratio - NOISE, ratio + NOISE
        if time.low is not None and time.high is not None and dense.low is not None and dense.high is not None:
            low, high = time.low / dense.high, time.high / dense.low
        steps.append(Step(width, ratio, low, high))
    off = median((step.high - step.low) / 2 for step in steps)
    return Stair(n, tuple(steps), max(FLAT, off))


def _time(row: Mapping[str, Any], what: str) -> _Time:
    """Of a row that has milliseconds."""

    def above(value: Any, of: str) -> float:
        number = _number(value, of)
        if number <= 0:
            raise SecateurError(f"{of} must be above 0; got {value}")
        return number / 1000

    seconds, ends = above(row["milliseconds"], what), [row.get(name) for name in ("low", "high")]
    if all(end in (None, "") for end in ends):
        return _Time(seconds)
    if any(end in (None, "") for end in ends):
        raise SecateurError(f"{what} have one end of an interval; give both low and high, or neither")
    low, high = (above(end, f"{what}, {name}") for end, name in zip(ends, ("low", "high"), strict=True))
    if not low <= seconds <= high:
        raise SecateurError(
            f"{what} must lie from low to high; got {row['milliseconds']} outside of [{ends[0]}, {ends[1]}]"
        )
    return _Time(seconds, low, high)


def device_of(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Whose milliseconds these rows are; `None` of no rows."""
    return next((str(row["device"]) for row in rows if row.get("device")), "the device") if rows else None


def told_lines(costs: DeviceCosts) -> list[str]:
    """What is to be said of a table: targets without a row, times without an interval."""
    bare = (
        f"times on {costs.device} have no interval (low, high): differences below {numbers.share_text(NOISE)} of the "
        "model's time count as no step"
    )
    return [*missing_lines(costs), *([bare] if costs.bare else [])]


def missing_lines(costs: DeviceCosts) -> list[str]:
    """That some targets have no row, if so."""
    if not costs.missing:
        return []
    names = ", ".join(costs.missing[:SHOWN]) + (
        f" and {len(costs.missing) - SHOWN} more" if costs.missing[SHOWN:] else ""
    )
    return [f"no row of {names}: narrower, they count as saving no time on {costs.device}"]


def _number(value: Any, what: str) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        raise SecateurError(f"{what} must be a number such as 1.25; got {value!r}") from None
    if not math.isfinite(number):
        raise SecateurError(f"{what} must be a number such as 1.25; got {value!r}")
    return number


def _put(into: dict[Any, _Time], key: Any, time: _Time, at: str, name: str) -> None:
    if (before := into.get(key, time).seconds) != time.seconds:
        raise SecateurError(
            f"{at}: {name} has two times, {1000 * before:g} and {1000 * time.seconds:g} ms; keep the median of them"
        )
    into[key] = time


def _check_unit(where: str, what: str, ratio: float) -> None:
    if not 1 / MOST_APART <= ratio <= MOST_APART:
        raise SecateurError(
            f"{where}: {what} takes {ratio:.3g} times what the dense model does; are both in milliseconds?"
        )


def _key(
    name: str, granularity: Any, widths: Mapping[tuple[str, str], int], at: str, found: Description
) -> tuple[str, str]:
    if granularity not in (None, "", "channel", "head"):
        raise SecateurError(f"{at}: granularity must be channel or head; got {granularity!r}")
    keys = [key for key in widths if key[1] == name and granularity in (None, "", key[0])]
    if not keys:
        raise SecateurError(
            f"{at}: {found.name} has no coupled group and no attention {name!r}; "
            f"`secateur targets {found.ref}` lists them"
        )
    if len(keys) > 1:
        raise SecateurError(f"{at}: {name} is a coupled group and an attention; say which by granularity")
    return keys[0]


def _width(row: Mapping[str, Any], n: int, what: str) -> int:
    width, sparsity = (row.get(name) for name in ("width", "sparsity"))
    if width not in (None, ""):
        number = _number(width, f"{what}: width")
        if not 0 < number <= n or number != round(number):
            raise SecateurError(f"{what}: a width is a whole number from 1 to {n}; got {width}")
        return round(number)
    if sparsity in (None, ""):
        raise SecateurError(f"{what}: neither width nor sparsity; give one of the two")
    share = _number(sparsity, f"{what}: sparsity")
    if not 0 <= share < 1:
        raise SecateurError(
            f"{what}: a sparsity is a fraction in [0, 1); got {sparsity}. Given a percentage? Divide by 100."
        )
    return max(1, n - round(share * n))
