"""One of several machines' parts of a map: the same split everywhere, said by nobody but the number of the part.

Whole targets stay together, so that what the dense model computes up to a layer is replayed by one machine. No torch.
"""

import heapq
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import SecateurError

MOST = 100_000
FORM = re.compile(r"(\d{1,6})/(\d{1,6})")
AUTO = "auto"
OURS, OURS_COUNT = "SECATEUR_SHARD", "SECATEUR_SHARD_COUNT"


@dataclass(frozen=True)
class Shard:
    """One part of several: the `k`-th of `n`, 1 ≤ k ≤ n."""

    k: int
    n: int

    def __str__(self) -> str:
        return f"{self.k}/{self.n}"


def checked_shard(text: object) -> Shard:
    """A shard as it is written, `"2/8"`.

    Raises:
        SecateurError: it is none; says what one is.
    """
    found = FORM.fullmatch(text) if isinstance(text, str) else None
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or not 1 <= shard.k <= shard.n <= MOST:
        raise SecateurError(
            f"a shard is K/N, the K-th of N parts, such as 1/8 to 8/8 (N at most {MOST:,}); got {str(text)[:40]!r}"
        )
    return shard


def shard_here(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard that is asked for, where `"auto"` or `"auto/N"` take it from the job that this process is one of.

    In this order: ours (`SECATEUR_SHARD=2/8`, or `SECATEUR_SHARD=2` with `SECATEUR_SHARD_COUNT=8`), a Slurm array
    (`SLURM_ARRAY_TASK_ID` with `…_COUNT`, `…_MIN`, `…_STEP`), an indexed Job of Kubernetes (`JOB_COMPLETION_INDEX`
    from 0, and N: it does not say how many there are).

    Args:
        text: `"2/8"`, `"auto"`, or `"auto/8"` where the environment says which part but not of how many.
        environment: of the process.

    Raises:
        SecateurError: it is none of these, or the environment does not say it.
    """
    word, _, count = text.partition("/")
    if word != AUTO:
        return checked_shard(text)
    given = count or environment.get(OURS_COUNT, "")
    if ours := environment.get(OURS):
        return checked_shard(ours if "/" in ours else f"{ours}/{given}")
    if task := environment.get("SLURM_ARRAY_TASK_ID"):
        first, step = environment.get("SLURM_ARRAY_TASK_MIN", "1"), environment.get("SLURM_ARRAY_TASK_STEP", "1")
        of = given or environment.get("SLURM_ARRAY_TASK_COUNT", "")
        if not all(one.isdecimal() for one in (task, first, step, of)) or int(step) < 1:
            raise SecateurError(f"this task of a Slurm array does not say of how many it is; give --shard {AUTO}/N")
        k = (int(task) - int(first)) // int(step) + 1
        return checked_shard(f"{k}/{of}")
    if index := environment.get("JOB_COMPLETION_INDEX"):
        if not (index.isdecimal() and given):
            raise SecateurError(
                f"a Job of Kubernetes says which part this is ({index[:20]}), not of how many; give --shard {AUTO}/N "
                f"with its number of completions, or set {OURS_COUNT}"
            )
        return checked_shard(f"{int(index) + 1}/{given}")
    raise SecateurError(
        f"nothing here says which shard this is: --shard {AUTO} reads {OURS}, SLURM_ARRAY_TASK_ID or "
        "JOB_COMPLETION_INDEX; give --shard K/N"
    )


def parts_of(targets: Sequence[str], n: int) -> dict[str, int]:
    """Which of n parts measures a target, 1 to n: parts that cost about the same.

    A cell costs a full pass of the model, or, replayed, what lies behind its target; which of the two is known only
    where it is measured, and must not matter: so each part gets an equal share of both. The most expensive target
    goes first, to the part that has least (Graham 1969, longest processing time first).

    Args:
        targets: of every cell (or plan), in network order; one that has several stands there as often.
        n: how many parts.
    """
    counts = Counter(targets)  # keeps the order in which they first stand
    behind = {target: len(counts) - place for place, target in enumerate(counts)}
    cells = sum(counts.values())
    passes = sum(counts[target] * behind[target] for target in counts)
    cost = {target: counts[target] / cells + counts[target] * behind[target] / passes for target in counts}
    parts = [(0.0, k) for k in range(1, n + 1)]
    found = {}
    for target in sorted(counts, key=lambda one: (-cost[one], -behind[one])):
        load, k = heapq.heappop(parts)
        found[target] = k
        heapq.heappush(parts, (load + cost[target], k))
    return found


def mine(targets: Sequence[str], shard: str | None) -> list[bool]:
    """Of every cell whether it belongs to a shard; all do where there is none.

    Raises:
        SecateurError: there are fewer targets than parts, and none is left for this one.
    """
    if shard is None:
        return [True] * len(targets)
    asked = checked_shard(shard)
    part = parts_of(targets, asked.n)
    found = [part[target] == asked.k for target in targets]
    if not any(found):
        raise SecateurError(
            f"shard {asked} has nothing to measure: whole targets stay together, and there are {len(part):,}; take at "
            f"most {len(part):,} shards"
        )
    return found
