"""Seconds of a forward pass: several models in turn, round after round, so that they meet the same noise."""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from core.engines.engine import Forward
from core.profiling.paired import median_interval, quartiles
from core.profiling.report import SpeedRatio, Timing
from core.profiling.request import FEWEST_ROUNDS, ProfileRequest

WARM_UP = 3  # passes before the first that counts: caches, lazily made buffers, thread pools
TURN_SECONDS = 0.002  # of one turn at least: a shorter one is repeated, for a clock's tick is not what is measured
MOST_PASSES = 1000
UNTIMED = 2  # passes at the beginning of a turn that do not count

Times = dict[str, list[float]]  # by model: seconds per pass, in the order of the rounds


def timed_rounds(
    forwards: Mapping[str, Forward],
    request: ProfileRequest,
    check: Callable[[], None] = lambda: None,
    on_round: Callable[[int], None] = lambda n: None,
    wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    renew: Callable[[str], Forward] | None = None,
) -> tuple[Times, dict[str, int]]:
    """Time models against each other.

    Each has one turn per round, in an order drawn anew: a machine that grows slower as it grows warm does so for one as
    often as for the other. A turn begins with passes that do not count, so that each finds its own weights in the
    caches, and not what the one before it left there.

    Args:
        forwards: by name.
        request: how many rounds, for how long.
        check: called before every turn; raises `Cancelled` to stop.
        on_round: told how many rounds are done.
        wait: for an accelerator to have finished.
        clock: in seconds.
        renew: makes a forward pass anew for every turn, of a model at another place in memory. Where the weights happen
            to lie makes one copy some percent quicker than the other for as long as it lives; no number of rounds
            tells that from a smaller model, unless the place is drawn again each time.

    Returns:
        Times by name, all of the same length, and how many passes made up a turn.
    """
    passes = {}
    for name, forward in forwards.items():
        check()
        passes[name] = _passes_per_turn(forward, wait, clock)
    # as many for all: the later passes of a turn are quicker than the first
    passes = dict.fromkeys(passes, max(passes.values(), default=1))
    times: Times = {name: [] for name in forwards}
    names, begun, draw = list(forwards), clock(), random.Random()
    for i in range(request.rounds):
        if i >= FEWEST_ROUNDS and clock() - begun > request.seconds:
            break
        for name in draw.sample(names, len(names)):
            check()
            forward = renew(name) if renew else forwards[name]
            _turn(forward, UNTIMED, wait, clock)
            times[name].append(_turn(forward, passes[name], wait, clock))
        on_round(i + 1)
    return times, passes


def _passes_per_turn(forward: Forward, wait: Callable[[], None], clock: Callable[[], float]) -> int:
    quickest = min(_turn(forward, 1, wait, clock) for _ in range(WARM_UP))
    return min(MOST_PASSES, max(1, math.ceil(TURN_SECONDS / max(quickest, 1e-9))))


def _turn(forward: Forward, passes: int, wait: Callable[[], None], clock: Callable[[], float]) -> float:
    begun = clock()
    for _ in range(passes):
        forward()
    wait()
    return (clock() - begun) / passes


def timings_of(times: Times, passes: Mapping[str, int], engine: str, batch: int, threads: int) -> tuple[Timing, ...]:
    """Median and quartiles of every model's times."""
    rows = []
    for name, seconds in times.items():
        low, median, high = quartiles(seconds)
        rows.append(Timing(name, engine, batch, threads, len(seconds), passes[name], median, low, high))
    return tuple(rows)


def ratios_of(times: Times, baseline: str, engine: str, batch: int, threads: int) -> tuple[SpeedRatio, ...]:
    """The baseline's seconds / every other model's, round by round; nothing where the baseline was not timed."""
    rows = []
    for name in times if baseline in times else ():
        pairs = zip(times[baseline], times[name], strict=True)
        found = median_interval([ours / theirs for ours, theirs in pairs]) if name != baseline else None
        if found is not None:
            rows.append(SpeedRatio(name, engine, batch, threads, found.value, found.low, found.high, found.n))
    return tuple(rows)


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Torch with `n` threads inside the block, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def waiter(device: torch.device) -> Callable[[], None]:
    """What waits until a device has done all that it was told; nothing on the CPU, which works while one waits."""
    return (lambda: None) if device.type == "cpu" else (lambda: torch.accelerator.synchronize(device))
