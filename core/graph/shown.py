"""What is told of each box and each folded group of a drawing, in numbers and in words. No torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core import numbers
from core.graph.drawn import Box, Drawing, Group
from core.graph.facts import Known, LayerFacts
from core.plans import cut_words
from core.plans.plan import WHOLE
from core.workload.scale import Scale
from core.workload.target import Granularity

FIRST = ("channel", "weight", "head", "kv_group", "block")  # by which a drawing is coloured, if nobody chooses


@dataclass(frozen=True)
class Shown:
    """What is told of a box, or of a group that is folded.

    Attributes:
        id: of the box; `group:` and the path of a group.
        label, what: its name within the group around it; class of the module, or the operation.
        path: of the module.
        limit: in [0, 1], of the most sensitive target of the chosen granularity inside; of what goes whole the share
            that is known to stay within the tolerance, each removed alone. `None` where nothing was measured.
        share: of all parameters, in [0, 1]; 0 where no weight is inside.
        gone: share of the weights inside that the plan removes; `None` where there are none.
        widths: `64 → 128`, after the plan beside it; empty where there is no weight, or where a group has several.
        milliseconds: of the dense modules inside; `None` where none is known.
        n_layers: boxes with weights inside.
        tip: lines that say all of this.
        targets: granularity and name of what lies in it.
    """

    id: str
    label: str
    what: str
    path: str
    limit: float | None
    share: float
    gone: float | None
    widths: str
    milliseconds: float | None
    n_layers: int
    tip: tuple[str, ...]
    targets: tuple[tuple[Granularity, str], ...]


def first_granularity(facts: Iterable[LayerFacts]) -> Granularity:
    """The granularity that a drawing is coloured by if nobody chooses: the first that was measured."""
    known = {one.granularity for layer in facts for one in layer.known if one.drops}
    return next((name for name in FIRST if name in known), "weight")


def shown(
    drawing: Drawing,
    facts: Sequence[LayerFacts],
    granularity: Granularity,
    scale: Scale | None = None,
    tolerance: float | None = None,
    planned: bool = False,
) -> dict[str, Shown]:
    """Everything that a drawing may show, by id: every box and every group.

    Args:
        drawing: of the network.
        facts: of `layer_facts`.
        granularity: whose limits are told.
        scale, tolerance: of the drops; `None` where nothing was measured.
        planned: whether a plan is drawn: else nothing is said of what goes.
    """
    by_box: dict[str, list[LayerFacts]] = {}
    for one in facts:
        if one.operation in drawing.held:
            by_box.setdefault(drawing.held[one.operation], []).append(one)
    limit = numbers.limit_text(scale, tolerance) if scale is not None and tolerance is not None else ""
    told = _Telling(granularity, scale, limit, planned)
    found = {box.id: told.of_box(box, by_box.get(box.id, [])) for box in drawing.boxes}
    boxes = {box.id: box for box in drawing.boxes}
    for group in drawing.groups:
        inside = [layer for name in group.boxes for layer in by_box.get(name, [])]
        targets = tuple(dict.fromkeys(target for name in group.boxes for target in boxes[name].targets))
        found[f"group:{group.path}"] = told.of_group(group, inside, targets)
    return found


@dataclass(frozen=True)
class _Telling:
    granularity: Granularity
    scale: Scale | None
    limit: str
    planned: bool

    def of_box(self, box: Box, facts: Sequence[LayerFacts]) -> Shown:
        wide = [one for one in facts if one.outputs is not None]
        widths = _widths(wide[0], self.planned) if len(wide) == 1 else ""
        head = [f"{box.path or 'model'}, {box.what}" + (f", {widths}" if widths else "")]
        head += [f"then {', '.join(dict.fromkeys(box.then))}"] if box.then else []
        return self._of(box.id, box.label, box.what, box.path, widths, facts, head, box.targets)

    def of_group(
        self, group: Group, facts: Sequence[LayerFacts], targets: tuple[tuple[Granularity, str], ...]
    ) -> Shown:
        label = group.path.removeprefix(f"{group.parent}.") if group.parent else group.path
        n = sum(one.weights > 0 for one in facts)
        head = [f"{group.path}, {group.what}: {n} layer{'s' * (n != 1)} that can be cut"]
        return self._of(f"group:{group.path}", label, group.what, group.path, "", facts, head, targets)

    def _of(
        self,
        name: str,
        label: str,
        what: str,
        path: str,
        widths: str,
        facts: Sequence[LayerFacts],
        head: Sequence[str],
        targets: tuple[tuple[Granularity, str], ...],
    ) -> Shown:
        weights = sum(one.weights for one in facts)
        share = sum(one.share for one in facts)
        gone = sum(one.weights * (1 - one.nonzero) for one in facts) / weights if weights else None
        timed = [one.milliseconds for one in facts if one.milliseconds is not None]
        known = {(one.granularity, one.target): one for layer in facts for one in layer.of(self.granularity)}
        lines = list(head)
        if weights:
            lines.append(f"{numbers.share_text(share)} of all parameters")
        if known:
            lines.append(self._limit_words(list(known.values())))
        if gone is not None and self.planned:
            lines.append(f"the plan removes {numbers.share_text(gone)} of its weights" if gone else "not in the plan")
        milliseconds = sum(timed) if timed else None
        if milliseconds is not None:
            lines.append(f"{numbers.milliseconds_text(milliseconds / 1000)} ms, dense")
        return Shown(
            name, label, what, path, limit_of(known.values()), share, gone, widths, milliseconds,
            sum(one.weights > 0 for one in facts), tuple(lines), targets,
        )  # fmt: skip

    def _limit_words(self, known: Sequence[Known]) -> str:
        name = cut_words.granularity_text(self.granularity)
        measured = [one for one in known if one.limit is not None]
        if not measured:
            return f"{name}: not measured"
        if self.granularity in WHOLE:
            within = sum(one.limit == 1 for one in measured)
            return f"{name}: {within} of {len(measured)} measured known within {self.limit}, each removed alone"
        least = min(measured, key=lambda one: one.limit or 0.0)
        of = f", {least.target}" if len(known) > 1 else ""
        text = f"{name}{of}: " + (
            f"within {self.limit} up to {numbers.sparsity_text(least.limit)}"
            if least.limit
            else f"no measured sparsity is known to be within {self.limit}"
        )
        worst = least.drops[-1]
        if self.scale is not None:
            at = numbers.sparsity_text(worst.sparsity or 0.0)
            text += f"; at {at} {numbers.drop_with_interval(self.scale, worst.drop)}"
        return text


def limit_of(known: Iterable[Known]) -> float | None:
    """As `Shown.limit`."""
    measured = [one for one in known if one.limit is not None]
    if not measured:
        return None
    if measured[0].granularity in WHOLE:
        return sum(one.limit or 0.0 for one in measured) / len(measured)
    return min(one.limit or 0.0 for one in measured)


def _widths(facts: LayerFacts, planned: bool) -> str:
    dense = f"{facts.inputs:,} → {facts.outputs:,}"
    if planned and (facts.inputs_left, facts.outputs_left) != (facts.inputs, facts.outputs):
        return f"{dense}, planned {facts.inputs_left:,} → {facts.outputs_left:,}"
    return dense
