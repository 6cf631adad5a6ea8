"""What a forward pass of a shrunk model holds at once, told by a plan's lines and what was counted once. No torch.

The peak is a maximum over the pass' moments and no sum: `moments` has all of them, of which a solver can add up one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from core.errors import SecateurError
from core.plans.costs.layers import PlanLeft, layers_left
from core.plans.plan import Cut, SparsityPlan
from core.workload.description import BATCH, Description, Held, MemoryUse, keys_of, queries_of


def at(found: Description, batch: int = 1, length: int | None = None) -> Description:
    """The same model, whose memory is asked for at a batch, and of a language model with a cache of some positions.

    Args:
        found: the model.
        batch: examples in one pass.
        length: positions of each whose keys and values are kept; `None` for no cache.

    Raises:
        SecateurError: no whole numbers of at least 1, or a cache of a model that keeps none.
    """
    for name, value in (("batch", batch), ("a cache's length", length)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise SecateurError(f"{name} must be a whole number of at least 1, got {value!r}")
    if (batch, length) == (1, None) and found.memory is None:
        return found
    use = known(found)
    if length is not None and not use.cached:
        raise SecateurError(
            f"{found.name} keeps no keys and values from one word to the next ({use.why_uncached}), "
            "so a cache of them has no length here; leave it out"
        )
    if batch != 1 and BATCH in use.refused:
        raise SecateurError(f"what {found.name} holds is known at a batch of 1 only: {use.refused[BATCH]}")
    return replace(found, memory=replace(use, batch=batch, length=length))


def known(found: Description) -> MemoryUse:
    """What a pass of a model holds.

    Raises:
        SecateurError: it was not counted, or could not be.
    """
    if found.memory is None:
        raise SecateurError(
            f"what a forward pass of {found.name} holds was not counted yet; `secateur profile {found.ref}` does, "
            "and whatever is asked for --cost memory"
        )
    if not found.memory.held:
        reason = found.memory.refused.get("", "its pass was not understood")
        raise SecateurError(f"what a forward pass of {found.name} holds cannot be told: {reason}")
    return found.memory


def peak(use: MemoryUse, gone: Mapping[str, int]) -> int:
    """The most that is held at any moment, without the units that went, by name; and the cache on top."""
    return round(max(moments(use, gone))) + cache(use, gone)


def cache(use: MemoryUse, gone: Mapping[str, int]) -> int:
    """Bytes of the keys and values that are kept at the batch and length asked for; 0 where no length is."""
    each = sum(one.n_bytes * (one.heads - gone.get(keys_of(one.layer), 0)) // one.heads for one in use.cached)
    return each * use.batch * (use.length or 0)


def moments(use: MemoryUse, gone: Mapping[str, int]) -> list[float]:
    """Bytes held at each moment of the pass."""
    units = {**gone, BATCH: 1 - use.batch}
    change = [0.0] * (max(one.dies for one in use.held) + 1)
    for one in use.held:
        n_bytes = bytes_of(one, units)
        change[one.born] += n_bytes
        change[one.dies] -= n_bytes
    return list(accumulate(change))[:-1]


def bytes_of(one: Held, units: Mapping[str, int]) -> float:
    """Bytes of tensors, without the units that went."""
    n_bytes = one.size
    for size, by in one.factors:
        n_bytes *= size - sum(each * units.get(name, 0) for name, each in by)
    return n_bytes


def units_gone(left: PlanLeft, found: Description) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many units of each name a plan takes; and names of what it takes of which nobody knows what that frees.

    Skipped blocks are among the latter, for without one tensors are freed in another order; and key/value heads
    together with some query heads of others.
    """
    use = known(found)
    gone, unknown = {group.name: n for group, n in left.groups}, sorted(left.skipped)
    for path, (queries, keys, per_key) in left.attentions.items():
        alone = queries - keys * per_key
        gone[keys_of(path)] = keys
        if keys and alone:
            unknown.append(path)
        else:
            gone[queries_of(path)] = alone * per_key // _heads(found, path)
    unknown += [name for name, n in gone.items() if n and name not in use.understood]
    return {name: n for name, n in gone.items() if n and name in use.understood}, tuple(unknown)


def spared(cut: Cut, found: Description) -> float:
    """Bytes that a cut alone frees, at the moments that a solver adds up; 0 where that is not known."""
    use, dense = known(found), moments(known(found), {})
    gone, _ = units_gone(layers_left(SparsityPlan((cut,)), found), found)
    wanted = use.moments or (most(dense),)
    without = moments(use, gone)
    return sum(dense[i] - without[i] for i in wanted) / len(wanted) + cache(use, {}) - cache(use, gone)


def peak_moment(plan: SparsityPlan, found: Description) -> int:
    """The moment at which a pass of the shrunk model holds most."""
    return most(moments(known(found), units_gone(layers_left(plan, found), found)[0]))


def _heads(found: Description, path: str) -> int:
    return sum(target.layer == path for target in found.head_targets)


def aimed(found: Description, plan: SparsityPlan) -> Description:
    """The model, of whose memory a solver adds up where the dense model holds most and where this plan does."""
    moments = (peak_moment(SparsityPlan(), found), peak_moment(plan, found))
    return replace(found, memory=replace(known(found), moments=tuple(sorted(set(moments)))))


def pass_text(use: MemoryUse) -> str:
    """`a pass of 1 example`, `a pass of 4 examples and the keys and values of 2,048 positions of each`."""
    words = f"a pass of {use.batch:,} example{'s' * (use.batch > 1)}"
    return words if use.length is None else f"{words} and the keys and values of {use.length:,} positions of each"


def most(moment: Sequence[float]) -> int:
    """Which moment holds most."""
    return max(range(len(moment)), key=moment.__getitem__)
