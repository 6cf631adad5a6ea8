"""What a forward pass holds, for the browser: every tensor with its life, and the units that each row takes."""

from collections.abc import Sequence
from math import lcm
from typing import Any

from core.plans.costs.memory import known
from core.workload.description import BATCH, Description, keys_of, queries_of
from dashboard.tuner.rows import TunerRow


def memory_values(found: Description, rows: Sequence[TunerRow]) -> dict[str, Any] | None:
    """Plain values for `memory.js`, which counts the peak over all moments of the pass while a slider moves.

    Args:
        found: the model; `None` is returned where its memory was not counted.
        rows: of the tuner.

    Returns:
        `held`: of every tensor when it is born, when it dies, its bytes but for the factors, and these, each a size and
        by how much which units make it smaller. `attentions`: by layer the query heads, the key/value heads, and the
        names of both. `units`: of each row what it takes; `None` of one that takes none.
    """
    if found.memory is None or not found.memory.held:
        return None
    use = known(found)
    shared: dict[str, int] = {}
    for group in found.kv_group_targets:
        shared[group.layer or ""] = shared.get(group.layer or "", 0) + 1
    heads: dict[str, int] = {}
    for head in found.head_targets:
        heads[head.layer or ""] = heads.get(head.layer or "", 0) + 1
    attentions = {path: (n, shared.get(path, n)) for path, n in heads.items()}
    return {
        "held": [[one.born, one.dies, one.size, one.factors] for one in use.held],
        "understood": list(use.understood),
        "start": {BATCH: 1 - use.batch},
        "attentions": {path: [*each, keys_of(path), queries_of(path)] for path, each in attentions.items()},
        "units": [_units(row, attentions) for row in rows],
    }


def _units(row: TunerRow, attentions: dict[str, tuple[int, int]]) -> dict[str, Any] | None:
    target = row.target
    if target.granularity == "channel" and target.n_units:
        return {"name": target.name, "n": target.n_units, "step": lcm(row.align, target.n_parts)}
    path = target.layer or ""
    if target.granularity not in ("head", "kv_group") or path not in attentions:
        return None
    n, n_kv = attentions[path]
    each = n // n_kv if target.granularity == "kv_group" else 1
    first = (target.head or 0) * each
    return {"layer": path, "heads": list(range(first, first + each))}
