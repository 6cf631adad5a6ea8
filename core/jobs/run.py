"""One piece of long work: what was asked, how far it is, and what came of it. Plain values."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Row
from types import MappingProxyType
from typing import Any, Literal, get_args

from core.errors import SecateurError, first_line
from core.processes import is_gone

Kind = Literal[
    "describe", "sweep", "pairs", "measure", "anchors", "minimise", "refine", "frontier", "undo", "recover", "tickets",
    "bits", "quantize", "profile", "stairs", "pays", "export", "verify", "certify", "gate", "graph",
]  # fmt: skip
State = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
ACTIVE: tuple[State, ...] = ("queued", "running")
UNLIKE_STEPS: tuple[Kind, ...] = ("export",)  # of which one takes a second and the next a minute: they tell no pace
START_SECONDS = 30.0  # a queued run whose worker has not reported its pid by then is taken for dead
# asked for by screens and commands on their own; lists of runs leave them out
UNLISTED: tuple[Kind, ...] = ("describe", "graph")


@dataclass(frozen=True)
class Run:
    """One piece of long work.

    Attributes:
        id: eight hexadecimal digits.
        kind: what is done. `"describe"`: list the targets of a workload. `"pairs"`: measure cuts two at a time.
            `"measure"`: a plan. `"anchors"`: a few plans that tell how cuts interact. `"minimise"`: search for the
            cheapest plan within a tolerance. `"refine"`: a solved plan made better by measuring around it.
            `"frontier"`: plans for several budgets, their quality and their times on one engine. `"undo"`: what every
            row of a plan is worth inside it. `"recover"`: rounds of pruning and fine-tuning.
            `"bits"`: the map of pruning × quantization. `"quantize"`: a quantized model is written. `"profile"`: sizes
            and times. `"stairs"`: milliseconds against width, engine by engine. `"pays"`: a plan in the engines that
            people ship to. `"verify"`: a bundle is checked again.
            `"certify"`: a plan is judged on examples that nothing was chosen by. `"gate"`: a note that one compared
            models on such examples. `"graph"`: the network is drawn. The others are plain.
        workload: name or path.
        request: what was asked, as plain values.
        state: `"interrupted"`: the worker died; `secateur resume` goes on from what is on disk.
        created, started, ended: seconds since the epoch, `None` if it has not come to that.
        done, reused, total: steps finished, how many of them were known before, and of how many; `total` is `None`
            until the worker knows.
        phase: what the worker is doing, for a person.
        error: why it failed.
        result: what came of it, as plain values.
        stopping: somebody asked it to stop.
        damaged: measurements of one cut on one batch that it made again, because what was on disk of them was damaged.
        data: fingerprint of the evaluation data that it began with; `None` if it has none, or an older build made it.
        made_with: machine and versions that it was measured with last, and which workers have helped; `None` if it has
            not begun, or an older build made it.
        name, note: a person's, or `None`.
        star: a person wants to find it again.
    """

    id: str
    kind: Kind
    workload: str
    request: Mapping[str, Any]
    state: State
    created: float
    started: float | None
    ended: float | None
    done: int
    reused: int
    total: int | None
    phase: str | None
    error: str | None
    result: Mapping[str, Any] | None
    stopping: bool
    damaged: int = 0
    data: str | None = None
    made_with: Mapping[str, Any] | None = None
    name: str | None = None
    note: str | None = None
    star: bool = False

    @property
    def active(self) -> bool:
        """Waiting for its turn, or at work."""
        return self.state in ACTIVE

    @property
    def share(self) -> float:
        """Of the work that is done, in [0, 1]; 0 while the worker has not said of how much, or says what cannot be."""
        done, total = _finite(self.done), _finite(self.total)
        return min(1.0, max(0.0, done / total)) if done is not None and total else 0.0

    def seconds_left(self, now: float | None = None) -> float | None:
        """Estimate from the pace so far of what had to be computed; `None` while there is none to go by, else ≥ 0.

        What a sweep said it costs is believed until a quarter is done, for it begins with the smallest batches. It is
        the cost of all examples of all cells, the most that a search can need.
        """
        now, result, started = now or time.time(), self.result or {}, _finite(self.started)
        done, reused, total = map(_finite, (self.done, self.reused, self.total))
        if (
            self.kind in UNLIKE_STEPS
            or self.state != "running"
            or done is None
            or reused is None
            or total is None
            or started is None
        ):
            return None
        asked = result.get("cost")  # of other kinds of runs: the name of what is saved
        told = _finite(result.get("cost_at"))
        cost = _finite(asked.get("seconds")) if isinstance(asked, Mapping) else None
        is_told = told is not None and cost is not None and told >= started  # older: before it was resumed
        begun = told if is_told and told is not None else started
        if is_told and cost is not None and begun + cost > now and done < total / 4:
            return begun + cost - now
        fresh = done - reused
        if fresh < 2 or done > total or now < begun:  # a clock that was set back tells no pace
            return None
        return _finite((now - begun) / fresh * (total - done))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "seconds_left": self.seconds_left()}


def _finite(number: Any) -> float | None:
    """A number as it can be reckoned with; `None` for all else that a worker may have written."""
    try:
        return float(number) if isinstance(number, int | float) and math.isfinite(number) else None
    except OverflowError:  # whole numbers have no largest one, floats have
        return None


# of the result of a finished run, by kind: what whatever shows it asks for
NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "measure": ("metric", "state", "reason", "dense", "pruned", "drop", "n_removed", "n_weights"),
    "export": ("folder", "manifest"), "quantize": ("path",),
})  # fmt: skip


def check_row(row: Mapping[str, Any] | Row) -> None:
    """Raises one of many errors unless a row of `runs` can be read: what was asked, and what came of it."""
    for name in ("id", "kind", "workload", "state"):
        if not isinstance(row[name], str):
            raise TypeError(f"{name} is no text")
    if row["kind"] not in get_args(Kind):
        raise ValueError(f"{row['kind'][:40]!r} is no kind of run")
    if row["state"] not in get_args(State):
        raise ValueError(f"{row['state'][:40]!r} is no state of a run")
    if not isinstance(json.loads(row["request"]), dict):
        raise TypeError("what was asked is no object")
    for name in ("created", "started", "ended"):
        if (row[name] is not None and _finite(row[name]) is None) or (name == "created" and row[name] is None):
            raise ValueError(f"{name} is no moment")
    result = json.loads(row["result"]) if row["result"] is not None else None
    if result is not None and not isinstance(result, dict):
        raise TypeError("what came of it is no object")
    if row["state"] == "finished" and result is not None:
        _has(result, NEEDED.get(row["kind"], ()))
        if row["kind"] == "export":
            _has(result["manifest"]["measured"], NEEDED["measure"])


def _has(result: Mapping[str, Any], names: tuple[str, ...]) -> None:
    if missing := next((name for name in names if name not in result), None):
        raise KeyError(missing)


def run_of(row: Row) -> Run:
    """A run from its row; one whose worker is dead was interrupted.

    Raises:
        SecateurError: the row is damaged.
    """
    try:
        check_row(row)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise SecateurError(
            f"run {row['id']} is damaged in the workspace ({why}); `secateur check --mend` sets it aside"
        ) from error
    state: State = row["state"]
    if state in ACTIVE and _is_dead(row):
        state = "interrupted"
    return Run(
        row["id"], row["kind"], row["workload"], json.loads(row["request"]), state,
        row["created"], row["started"], row["ended"], row["done"], row["reused"], row["total"], row["phase"],
        row["error"],
        json.loads(row["result"]) if row["result"] else None, bool(row["cancel"]), row["damaged"], row["data"],
        json.loads(row["made_with"]) if row["made_with"] else None, row["name"], row["note"], bool(row["star"]),
    )  # fmt: skip


def _is_dead(row: Row) -> bool:
    if row["pid"] is None:
        return time.time() - float(row["created"]) > START_SECONDS
    return is_gone(row["pid"], row["pid_started"])
