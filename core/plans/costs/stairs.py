"""Milliseconds of a model in an engine, from stairs that were measured group by group. No torch.

A layer that one group makes and another reads costs its inputs times its outputs: savings that were measured one by one
would be counted twice there. So the time is laid out over layers, and what narrows a layer is multiplied:
T = dense - sum over layers of t * (1 - product of what its groups leave), with each group's own measured stair
reproduced where it is cut alone.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, prod
from statistics import fmean
from types import MappingProxyType

from core.workload.description import Description, products_of

COARSEST = 32  # no engine here has blocks of more channels
STEP = 0.01  # of the model's time that a width must surely cost more than a larger one to have left the fast path
FLAT = 0.002  # of the model's time: less is no step
LEAST = 0.01  # of a layer's time is left, however narrow: a stair that noise takes below nothing
MEETINGS = tuple(step / 10 for step in range(11))
SAVINGS = tuple(step / 20 for step in range(14, 25))
DOUBT = 0.2  # what `saving` must gain for a step away from 1: a handful of plans are few
SWEEPS = 60  # of the fit of the layers' times
DAMPED = 0.7


@dataclass(frozen=True)
class Step:
    """One width of one target, the others as they are.

    Attributes:
        width: channels or heads that are left.
        ratio, low, high: time of the whole model / the dense one's, with its 95 % interval.
    """

    width: int
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Stair:
    """What the widths of one target cost.

    Attributes:
        n: width of the dense model, where the ratio is 1.
        steps: ascending in width, all below `n`, at least one.
        flat: of the model's time, by which a tread must lie below the one above it; less is no step.
    """

    n: int
    steps: tuple[Step, ...]
    flat: float = FLAT

    @property
    def widths(self) -> tuple[int, ...]:
        """Of all steps and of the dense model."""
        return (*(step.width for step in self.steps), self.n)

    @property
    def held(self) -> tuple[bool, ...]:
        """Of `widths` whether each holds the fast path: not those that surely cost more than a larger one."""
        least, held = 1.0, [True]
        for step in reversed(self.steps):
            held.append(step.low <= least + STEP)
            least = min(least, step.ratio)
        return tuple(reversed(held))

    @property
    def treads(self) -> tuple[float, ...]:
        """Of `widths` what the work of that width costs, never more than that of a larger one.

        Widths that left the fast path say nothing here, for that is no work. The others are averaged where they fall
        (isotonic regression), for the least of noisy numbers is too low.
        """
        ratios = (*(step.ratio for step in self.steps), 1.0)
        known = [(w, ratio) for w, ratio, held in zip(self.widths, ratios, self.held, strict=True) if held]
        rising = _rising([ratio for _, ratio in known])
        return tuple(min(1.0, _between([width for width, _ in known], rising, width)) for width in self.widths)

    def ends(self) -> tuple[int, ...]:
        """Widths to leave, ascending: the largest of each flat tread, which is the first that costs so little.

        Never one that left the fast path. The dense width is one of them.
        """
        ends, cost = [self.n], 1.0
        for width, tread, held in reversed(list(zip(self.widths, self.treads, self.held, strict=True))):
            if held and tread < cost - self.flat:
                ends.append(width)
                cost = tread
        return tuple(reversed(ends))


@dataclass(frozen=True)
class LayerTime:
    """Time of a layer that channels and heads narrow.

    Attributes:
        seconds: in the dense model, >= 0.
        groups: coupled groups whose channels it makes or reads.
        attentions: paths of attentions whose heads it holds.
    """

    seconds: float
    groups: tuple[str, ...]
    attentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineTime:
    """What is known of a model's time in an engine.

    Attributes:
        engine: its name, or of whom a table of costs is.
        dense: seconds of a forward pass.
        channels: stairs of coupled groups by name.
        heads: stairs of attentions by path; the width is the number of heads.
        layers: those that any of these narrows.
        meeting: where several targets of one layer leave its fast path: 0 if the worst alone counts, 1 if each slows it
            further, between the two as the plans that were timed as a whole say.
        saving: of what the stairs say is saved, the share that plans as a whole were seen to save.
        off: how far predictions of whole plans were off at most, as a fraction, each predicted without its own
            measurement; `None` if none was measured.
    """

    engine: str
    dense: float
    channels: Mapping[str, Stair] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    heads: Mapping[str, Stair] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    layers: tuple[LayerTime, ...] = ()
    meeting: float = 0.0
    saving: float = 1.0
    off: float | None = None

    def seconds(self, channels: Mapping[str, int], heads: Mapping[str, int]) -> float:
        """Of a forward pass with these widths; targets that are not named, or have no stair, are whole."""
        left: dict[tuple[bool, str], tuple[float, float]] = {}
        for is_heads, widths, stairs in ((False, channels, self.channels), (True, heads, self.heads)):
            for name, width in widths.items():
                if name in stairs and width < stairs[name].n:
                    whole = sum(
                        one.seconds for one in self.layers if name in (one.attentions if is_heads else one.groups)
                    )
                    left[is_heads, name] = _left(stairs[name], width, whole / self.dense)
        spared = 0.0
        for layer in self.layers:
            near = [(False, name) for name in layer.groups] + [(True, name) for name in layer.attentions]
            parts = [left[one] for one in near if one in left]
            if parts:
                slow = sorted(slow for _, slow in parts)
                spared += layer.seconds * (
                    1 - prod(work for work, _ in parts) * slow[-1] * prod(slow[:-1]) ** self.meeting
                )
        return max(self.dense - self.saving * spared, LEAST * self.dense)


def met(time: EngineTime, wholes: Sequence[tuple[Mapping[str, int], Mapping[str, int], float]]) -> EngineTime:
    """The same with `meeting`, `saving` and `off` by plans that were timed as a whole.

    Args:
        time: of the engine.
        wholes: widths of coupled groups, of attentions, and the share of the dense model's time that they took.
    """
    if not wholes:
        return time

    tried = [replace(time, meeting=meeting, saving=saving) for meeting in MEETINGS for saving in SAVINGS]
    errors = [[abs(log(made.seconds(*widths) / made.dense / share)) for *widths, share in wholes] for made in tried]

    def best(without: int | None = None) -> int:
        """Which of those that were tried is nearest to the plans, but for one of them."""
        told = [[one for at, one in enumerate(each) if at != without] or [0.0] for each in errors]
        return min(range(len(tried)), key=lambda at: fmean(told[at]) + DOUBT * abs(tried[at].saving - 1))

    # each plan by what the others say, or a fit would be judged by what it was fitted to
    off = max(errors[best(without=at)][at] for at in range(len(wholes)))
    return replace(tried[best()], off=exp(off) - 1)


def _left(stair: Stair, width: int, share: float) -> tuple[float, float]:
    """What a width leaves of the work of its target's layers, and how many times as slowly that is done.

    Work is what the best width that is not smaller costs; a width that leaves an engine's blocked layout costs more
    than a larger one, which is no work: two of them in one layer do not slow it twice.
    """
    if share <= 0:
        return 1.0, 1.0
    widths, treads = stair.widths, stair.treads
    works = [max(LEAST, 1 - (1 - tread) / share) for tread in treads]
    slow: dict[int, float] = {stair.n: 1.0}
    for step, tread, work in zip(stair.steps, treads[:-1], works[:-1], strict=True):
        own = max(LEAST, 1 - (1 - step.ratio) / share)
        slow[step.width] = max(1.0, own / work) if step.low > tread + STEP else 1.0
    return _between(widths, works, width), _slow_at(slow, width)


def _slow_at(slow: Mapping[int, float], width: int) -> float:
    """As it was measured; else what widths cost that the same power of two divides, or the nearest such power."""
    if width in slow:
        return slow[width]
    kinds: dict[int, list[int]] = {}
    for one in sorted(slow):
        kinds.setdefault(_power(one), []).append(one)
    kind = min(kinds, key=lambda power: (abs(power.bit_length() - _power(width).bit_length()), power))
    return _between(kinds[kind], [slow[one] for one in kinds[kind]], width)


def _power(width: int) -> int:
    """The largest power of two that divides a width, at most `COARSEST`."""
    return min(width & -width, COARSEST)


def _rising(values: Sequence[float]) -> list[float]:
    """The nearest values that never fall, by least squares: where they do, neighbours are averaged."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (x, n), (y, m) = pools[-2:]
            pools[-2:] = [((x * n + y * m) / (n + m), n + m)]
    return [value for value, n in pools for _ in range(n)]


def _between(xs: Sequence[int], ys: Sequence[float], x: int) -> float:
    """Linear between neighbours, constant beyond the first and the last; `xs` ascending."""
    at = bisect_left(xs, x)
    if at == 0 or at == len(xs):
        return ys[min(at, len(xs) - 1)]
    share = (x - xs[at - 1]) / (xs[at] - xs[at - 1])
    return ys[at - 1] + share * (ys[at] - ys[at - 1])


def engine_time(
    engine: str, dense: float, channels: Mapping[str, Stair], heads: Mapping[str, Stair], found: Description
) -> EngineTime:
    """Lay the time of a model out over its layers so that every measured stair is reproduced as well as can be.

    Args:
        engine: name.
        dense: seconds of a forward pass.
        channels: stairs of coupled groups by name.
        heads: stairs of attentions by path.
        found: the model; says which layers a target narrows, and their operations, which are where the fit begins.
    """
    near: dict[str, tuple[list[str], list[str]]] = {}
    for group in found.channel_targets:
        if group.name in channels:
            for member in group.members:
                groups = near.setdefault(member.layer, ([], []))[0]
                if group.name not in groups:
                    groups.append(group.name)
    sizes: dict[str, float] = {}
    for target in found.weight_targets:
        own = {name: near[name] for name in (target.name, target.parameter) if name in near}
        groups = list(dict.fromkeys(name for found_ in own.values() for name in found_[0]))
        inside = [path for path in heads if not path or f"{target.name}.".startswith(f"{path}.")]
        if groups or inside:
            sizes[target.name] = found.flops.get(target.name, 0.0) or float(target.n_weights)
            near[target.name] = (groups, inside)
    for path in heads:
        name = products_of(path)
        if found.flops.get(name):
            sizes[name], near[name] = found.flops[name], ([], [path])
    layers = {name: LayerTime(size, *map(tuple, near[name])) for name, size in sizes.items()}
    wanted = {
        **{(False, name): dense * _whole(stair) for name, stair in channels.items()},
        **{(True, path): dense * _whole(stair) for path, stair in heads.items()},
    }
    return EngineTime(
        engine, dense, MappingProxyType(dict(channels)), MappingProxyType(dict(heads)), _fitted(layers, wanted)
    )


def _whole(stair: Stair) -> float:
    """Share of the model's time that a target's layers take: how its stair goes on down to no width at all."""
    treads = stair.treads
    first = stair.steps[0]
    saved = 1 - treads[0]
    return max(saved * stair.n / (stair.n - first.width), 0.0)


def _fitted(layers: Mapping[str, LayerTime], wanted: Mapping[tuple[bool, str], float]) -> tuple[LayerTime, ...]:
    """Times of layers whose sums over each target come to what is wanted, near to their operations.

    Proportional fitting: nothing becomes negative, and of layers that one target narrows the shares stay as their
    operations are. Where the sums contradict each other they meet in the middle.
    """
    of: dict[tuple[bool, str], list[str]] = {}
    for name, layer in layers.items():
        for key in [*((False, one) for one in layer.groups), *((True, one) for one in layer.attentions)]:
            of.setdefault(key, []).append(name)
    seconds = {name: layer.seconds for name, layer in layers.items()}
    total, aim = sum(seconds[name] for names in of.values() for name in names), sum(wanted.values())
    seconds = {name: one * aim / total for name, one in seconds.items()} if total else seconds
    for _ in range(SWEEPS):
        for key, names in of.items():
            now = sum(seconds[name] for name in names)
            if now > 0:
                factor = (max(wanted.get(key, 0.0), 1e-12) / now) ** DAMPED
                for name in names:
                    seconds[name] *= factor
    return tuple(LayerTime(seconds[name], layer.groups, layer.attentions) for name, layer in layers.items())
