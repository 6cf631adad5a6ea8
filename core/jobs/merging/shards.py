"""Which shards of a map are here, and what makes one map of them. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.jobs.run import Run
from core.jobs.run_words import sweep_command
from core.sensitivity.search.shard import Shard, checked_shard

MOST_NAMED = 10


@dataclass(frozen=True)
class ShardSet:
    """The shards of one map that are here.

    Attributes:
        n: parts that it was cut into.
        runs: by part, the newest run of each that is here.
        whole: whether the map itself was asked for here since.
    """

    n: int
    runs: tuple[tuple[int, Run], ...]
    whole: bool

    @property
    def missing(self) -> tuple[int, ...]:
        """Parts of which no finished run is here."""
        done = {k for k, run in self.runs if run.state == "finished"}
        return tuple(k for k in range(1, self.n + 1) if k not in done)


def shard_of(run: Run) -> Shard | None:
    """The part that a run measures; `None` of one that measures all."""
    asked = run.request.get("shard")
    return checked_shard(asked) if asked else None


def whole_request(run: Run) -> dict[str, Any]:
    """What a shard's run was asked, without the shard."""
    return {name: value for name, value in run.request.items() if name != "shard"}


def shard_sets(runs: Sequence[Run]) -> tuple[ShardSet, ...]:
    """Maps of which shards are among these runs, which are given newest first as `RunStore.list` has them."""
    found: list[tuple[Run, dict[int, Run]]] = []
    for run in runs:
        shard = shard_of(run)
        if shard is None:
            continue
        for first, parts in found:
            if _same_map(first, run) and checked_shard(first.request["shard"]).n == shard.n:
                parts.setdefault(shard.k, run)
                break
        else:
            found.append((run, {shard.k: run}))
    return tuple(
        ShardSet(
            checked_shard(first.request["shard"]).n,
            tuple(sorted(parts.items())),
            any(shard_of(run) is None and _same_map(first, run) and run.state == "finished" for run in runs),
        )
        for first, parts in found
    )


def _same_map(a: Run, b: Run) -> bool:
    return (a.kind, a.workload, whole_request(a)) == (b.kind, b.workload, whole_request(b))


def shard_text(found: ShardSet, factor: float = 1.0) -> str:
    """How far the shards of a map are, and what to do next; `factor` as of `sweep_command`."""
    _, first = found.runs[0]
    what = f"{first.kind} of {first.workload}"
    if missing := found.missing:
        named = ", ".join(map(str, missing[:MOST_NAMED])) + (" and others" if len(missing) > MOST_NAMED else "")
        return f"{found.n - len(missing):,} of {found.n:,} shards of the {what} are here; missing: {named}"
    if found.whole:
        return f"all {found.n:,} shards of the {what} are here, and its map"
    return f"all {found.n:,} shards of the {what} are here: {join_text(first, factor)} makes one map of them"


def shard_line(run: Run, factor: float = 1.0) -> str | None:
    """What a run says of itself that measures one of several parts; `None` of one that measures all."""
    if (shard := shard_of(run)) is None:
        return None
    return (
        f"Shard {shard}: once the workspaces of all {shard.n:,} are merged (`secateur merge OTHER…`), "
        f"{join_text(run, factor)} makes one map of them."
    )


def join_text(run: Run, factor: float = 1.0) -> str:
    """What makes one map of the shards of which this run is one."""
    if run.kind != "sweep":
        return f"the same `secateur {run.kind} …` without --shard"
    return f"`{sweep_command(replace(run, request=whole_request(run)), factor)}`"
