"""The measuring: one target narrowed by surgery, the rest as it is, a handful of models in turn with the dense one."""

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from core.drafted import scratch
from core.engines.adapters.source import Source
from core.engines.engine import EngineUnavailable, reason_of
from core.errors import SecateurError
from core.plans.plan import STRUCTURED, Cut, SparsityPlan
from core.profiling.paired import median_interval, quartiles
from core.profiling.shipped.turns import Expected, InTurns, expected
from core.profiling.stairs.report import EngineStairs, Whole, Width
from core.profiling.stairs.request import StairsRequest
from core.profiling.stairs.widths import drawn_whole, widths_of
from core.pruning.masks import MaskMaker
from core.pruning.shrink import shrunk_by
from core.pruning.structure import EXAMPLES, Structure, find_structure
from core.pruning.uniform import uniform_plan
from core.sensitivity.report import Estimate
from core.workload.workload import Workload

HANDFUL = 6  # models that have turns with the dense one: each holds a process and its files
DENSE = "dense"
WHOLES, EVEN = 4, 4  # plans that are timed as a whole, of each kind; the others' widths are multiples of this
SEED = 0
GUESSED_SECONDS = 5.0  # of writing, loading and timing a model, until the first handful tells


class Narrowed:
    """Makes models of which one target, or several, are narrower; the weights that stay are of no account here.

    Args:
        workload: its model is not modified.
    """

    def __init__(self, workload: Workload) -> None:
        self._model = workload.model
        self._few = tuple(tensor[:EXAMPLES].clone() for tensor in workload.evaluation.inputs)
        self.structure: Structure = find_structure(self._model, self._few)
        self._maker = MaskMaker(self._model, self.structure.targets, self.structure.groups)
        self._groups = {one.name: one for one in self.structure.targets if one.granularity == "channel"}
        self._heads = {path: sum(t.layer == path for t in self.structure.targets if t.granularity == "head")
                       for path in self.structure.heads}  # fmt: skip

    def widths(self) -> tuple[Width, ...]:
        """All that is to be measured, target by target."""
        found = [
            Width(name, "channel", group.n_units or 0, width)
            for name, group in self._groups.items()
            for width in widths_of(group.n_units or 0, group.n_parts)
        ]
        for path, n in self._heads.items():
            found += [Width(path, "head", n, width) for width in range(1, n) if self._of_heads(path, n, width)]
        return tuple(found)

    def n_models(self) -> int:
        """How many models each engine is given; 0 where nothing can be narrowed."""
        every = self.widths()
        return len(every) + len(random_wholes(every, SEED)) if every else 0

    def plan(self, widths: Sequence[Width]) -> SparsityPlan:
        """What leaves these widths, one of each target."""
        cuts: list[Cut] = []
        for one in widths:
            if one.granularity == "channel":
                cuts.append(Cut(one.target, "channel", (one.n - one.width) / one.n, "magnitude"))
            else:
                cuts += self._of_heads(one.target, one.n, one.width)
        return SparsityPlan(tuple(cuts))

    def model(self, plan: SparsityPlan) -> nn.Module:
        """What a plan takes out makes the model smaller for good; which channels go is of no account for its time."""
        cuts = (c if c.criterion is None else replace(c, criterion="magnitude") for c in plan.cuts)
        plan = SparsityPlan(tuple(cut for cut in cuts if cut.granularity in STRUCTURED))
        return shrunk_by(self._model, plan, self.structure, self._maker, self._few)

    def _of_heads(self, path: str, n: int, width: int) -> tuple[Cut, ...]:
        """Cuts that leave so many heads; none where heads that share keys cannot be left so many."""
        try:
            whole = f"^{re.escape(path)}:"
            cuts = uniform_plan(self._model, self.structure, heads=(n - width) / n, layers=whole).cuts
        except SecateurError:
            return ()
        each = n // max(1, sum(t.layer == path for t in self.structure.targets if t.granularity == "kv_group") or n)
        gone = sum(each if cut.granularity == "kv_group" else 1 for cut in cuts)
        return cuts if gone == n - width else ()


@dataclass(frozen=True)
class Measuring:
    """What all engines are given.

    Attributes:
        narrowed: makes the models.
        inputs: of one batch, on the CPU.
        dense: the model as it is.
        request: threads, rounds.
        check: raises `Cancelled` to stop.
        say: told what is being done.
    """

    narrowed: Narrowed
    inputs: tuple[Tensor, ...]
    dense: nn.Module
    request: StairsRequest
    check: Callable[[], None]
    say: Callable[[str], None]


def measured(asked: Measuring, begun: EngineStairs) -> Iterator[EngineStairs]:
    """What an engine makes of all widths, told again after every handful.

    Args:
        asked: the models.
        begun: the engine's name, and what an earlier start has measured of it.

    Raises:
        SecateurError: torch itself cannot run the dense model on such a batch.
    """
    request, name = asked.request, begun.engine
    engine = InTurns(name, Path(), request.threads, dict(request.pythons).get(name), asked.check)
    try:
        now = replace(begun, version=engine.version())
    except EngineUnavailable as error:
        yield replace(begun, reason=str(error), finished=True)
        return
    every = asked.narrowed.widths()
    known = {(one.granularity, one.target, one.width) for one in begun.widths}
    missing = [one for one in every if (one.granularity, one.target, one.width) not in known]
    timed_whole = [(one.channels, one.heads) for one in begun.wholes]
    wholes = [
        one for one in random_wholes(every, SEED) if (_named(one, "channel"), _named(one, "head")) not in timed_whole
    ]
    order = {(one.granularity, one.target, one.width): at for at, one in enumerate(every)}
    seconds = [begun.seconds] * (len(known) // HANDFUL) if begun.seconds else []
    work: list[tuple[bool, list[tuple[Width, ...]]]] = [
        (False, [(one,) for one in some]) for some in _handfuls(missing)
    ]
    work += [(True, wholes[at : at + WHOLES]) for at in range(0, len(wholes), WHOLES)]
    started, to_do, done = time.monotonic(), len(missing) + len(wholes), 0
    minutes = max(1, round(to_do * GUESSED_SECONDS / 60))
    targets = len({(one.granularity, one.target) for one in every})
    asked.say(f"{engine.adapter.title}: {to_do} models of {targets} targets, some {minutes} min")
    for is_whole, some in work:
        dense, found = timed(asked, name, list(map(asked.narrowed.plan, some)), list(map(_label, some)))
        if isinstance(dense, str):  # its process may have died of something that is over
            dense, found = timed(asked, name, list(map(asked.narrowed.plan, some)), list(map(_label, some)))
        if isinstance(dense, str):
            if not now.seconds:
                yield replace(now, reason=dense, finished=True)
                return
            found = [dense] * len(some)  # what was measured stays, and the rest may go well
        else:
            seconds.append(dense)
        widths, whole = list(now.widths), list(now.wholes)
        for one, made in zip(some, found, strict=True):
            if not is_whole:
                widths.append(replace(one[0], reason=made) if isinstance(made, str) else replace(one[0], ratio=made))
            elif not isinstance(made, str):
                whole.append(Whole(_named(one, "channel"), _named(one, "head"), made))
        widths.sort(key=lambda one: order.get((one.granularity, one.target, one.width), -1))
        now = replace(
            now, seconds=quartiles(seconds)[1] if seconds else now.seconds, widths=tuple(widths), wholes=tuple(whole)
        )
        done += len(some)
        rest = (time.monotonic() - started) / done * (to_do - done)
        asked.say(f"{engine.adapter.title}: {done} of {to_do} models, about {max(1, round(rest / 60))} min to go")
        yield now
    yield replace(now, finished=True)


def random_wholes(every: Sequence[Width], seed: int) -> list[tuple[Width, ...]]:
    """Plans that narrow everything at once, by which predictions are set right: `WHOLES` of any widths, as many of even
    ones."""
    draw = random.Random(seed)
    drawn = [drawn_whole(every, multiple, draw) for multiple in (1, EVEN) for _ in range(WHOLES)]
    return [one for one in drawn if one]


def _named(chosen: Sequence[Width], kind: str) -> dict[str, int]:
    return {one.target: one.width for one in chosen if one.granularity == kind}


def _label(chosen: Sequence[Width]) -> str:
    one = chosen[0]
    return f"{one.target} at {one.width} of {one.n}" if len(chosen) == 1 else f"{len(chosen)} targets at once"


def _handfuls(widths: Sequence[Width]) -> list[list[Width]]:
    """Widths target by target, as equally many at a time as can be, `HANDFUL` at most."""
    of: dict[tuple[str, str], list[Width]] = {}
    for one in widths:
        of.setdefault((one.granularity, one.target), []).append(one)
    found = []
    for own in of.values():
        parts = -(-len(own) // HANDFUL)
        found += [own[at::parts] for at in range(parts)]
    return found


def timed(
    asked: Measuring, name: str, plans: Sequence[SparsityPlan], labels: Sequence[str]
) -> tuple[float | str, list[Estimate | str]]:
    """Smaller models of a handful of plans in an engine, in turn with the dense one.

    Args:
        asked: the models, threads and rounds.
        name: of the engine.
        plans: of channels and heads.
        labels: of each plan, for a person who waits.

    Returns:
        Seconds of the dense model, or why there are none; and of each plan its time / the dense one's, or why it
        has none.

    Raises:
        SecateurError: torch itself fails on such a batch.
    """
    request = asked.request
    with scratch() as folder:
        engine = InTurns(name, Path(folder, "engine"), request.threads, dict(request.pythons).get(name), asked.check)
        reasons: dict[str, str] = {}
        with torch.no_grad(), engine:
            try:
                engine.put(DENSE, _expected(asked, asked.dense, Path(folder, DENSE)), "float32", True)
            except EngineUnavailable as error:
                return str(error), []
            for at, (plan, label) in enumerate(zip(plans, labels, strict=True)):
                asked.check()
                asked.say(f"{engine.adapter.title}: {label}")
                try:
                    engine.put(str(at), _expected(asked, _narrow(asked, plan), Path(folder, f"{at}")))
                except EngineUnavailable as error:
                    reasons[str(at)] = str(error)
            times, died = engine.times(request.rounds, request.seconds)
    reasons |= died
    dense = times.get(DENSE)
    if not dense:
        return reasons.get(DENSE, "its dense model was not timed"), []
    return quartiles(dense)[1], [
        reasons[label] if label in reasons else _ratio(times[label], dense) for label in map(str, range(len(plans)))
    ]


def _ratio(seconds: Sequence[float], dense: Sequence[float]) -> Estimate:
    found = median_interval([a / b for a, b in zip(seconds, dense, strict=True)])
    assert found is not None, "a request has rounds enough"
    return found


def _narrow(asked: Measuring, plan: SparsityPlan) -> nn.Module:
    try:
        return asked.narrowed.model(plan)
    except SecateurError as error:  # one width that cannot be made is no reason to lose all others
        raise EngineUnavailable(str(error)) from None


def _expected(asked: Measuring, model: nn.Module, folder: Path) -> Expected:
    try:
        return expected(Source(model.eval(), asked.inputs, None, folder))
    except Exception as error:
        size = len(asked.inputs[0])
        raise SecateurError(f"torch fails on a batch of {size} ({reason_of(error)}); choose another --batch") from error
