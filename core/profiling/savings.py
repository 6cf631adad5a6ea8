"""Latency sensitivity: what time the cut of one target alone saves."""

import copy
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from core.engines.engine import Forward, reason_of
from core.profiling.bench import Bench
from core.profiling.latency import timed_rounds, waiter
from core.profiling.paired import median_interval
from core.profiling.report import Saving, Unavailable
from core.profiling.request import ProfileRequest

Cuts = Mapping[tuple[str, float], Callable[[], nn.Module]]  # target, sparsity -> how to make the model with that cut
AT_ONCE = 7  # cut models in memory beside the dense one


def n_groups(cuts: Cuts) -> int:
    """How many groups the cuts are timed in."""
    return -(-len(cuts) // AT_ONCE)


def savings(
    bench: Bench,
    cuts: Cuts,
    inputs: tuple[Tensor, ...],
    threads: int,
    request: ProfileRequest,
    missing: list[Unavailable],
) -> tuple[Saving, ...]:
    """Time every cut against the dense model, some at a time, in torch as it is.

    The difference is taken within each round: what slows the machine for a while slows both.

    Args:
        bench: its first model is the dense one.
        cuts: of that model; each is made when its group's turn comes, and thrown away after it.
        inputs: of one batch.
        threads: that torch has now, for the record.
        request: how many rounds, for how long.
        missing: what cannot run is added to it: a size that the model's code does not allow, say.
    """
    found: list[Saving] = []
    names = list(cuts)
    for start in range(0, len(names), AT_ONCE):
        group = names[start : start + AT_ONCE]
        models = []
        for name in list(group):
            model = bench.copy_of(cuts[name]())
            try:
                model(*inputs)
            except Exception as error:  # a size that the model's code cannot have: the others are timed all the same
                what = f"{name[0]} without {name[1]:.0%}"
                missing.append(Unavailable(what, "eager", len(inputs[0]), threads, reason_of(error)))
                group.remove(name)
                continue
            models.append(model)
        forwards: dict[str, Forward] = {"dense": partial(bench.models[bench.baseline], *inputs)}
        forwards |= {str(i): partial(model, *inputs) for i, model in enumerate(models)}
        phase = f"cutting one target alone, {start + len(group):,} of {len(names):,}"
        step = bench.stepping(request.rounds, phase)

        def renew(name: str, models: list[nn.Module] = models) -> Forward:
            model = bench.models[bench.baseline] if name == "dense" else models[int(name)]
            return partial(copy.deepcopy(model), *inputs)

        times, _ = timed_rounds(forwards, request, bench.check, step, waiter(bench.device), renew=renew)
        step(request.rounds)
        for i, (target, sparsity) in enumerate(group):
            pairs = zip(times["dense"], times[str(i)], strict=True)
            saved = median_interval([dense - cut for dense, cut in pairs])
            if saved is not None:
                size = len(inputs[0])
                found.append(Saving(target, sparsity, size, threads, saved.value, saved.low, saved.high, saved.n))
    return tuple(found)
