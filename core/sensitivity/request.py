"""What a sweep is asked to do. All that changes its answer is a field; no torch."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from core.errors import SecateurError
from core.plans.checked import checked_align, checked_pattern, checked_sparsity
from core.plans.criteria import DEFAULT_CRITERION, checked_criterion
from core.plans.patterns import parse_pattern
from core.plans.repairs import checked_repair
from core.sensitivity.search.ray_address import checked_address
from core.sensitivity.search.shard import checked_shard

DEFAULT_SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
Samples = int | Literal["all"] | None
Mode = Literal["exact", "race", "tolerance"]
MODES: tuple[Mode, ...] = ("exact", "race", "tolerance")
Rule = Literal["census", "calibrated", "sampling"]
RULES: tuple[Rule, ...] = ("census", "calibrated", "sampling")


@dataclass(frozen=True)
class SweepRequest:
    """Which cells to measure, on how much data.

    Attributes:
        workload: a sample's name or the path of a workload file.
        sparsities: fractions removed, each in [0, 1); kept sorted and distinct, without 0, which is no cut.
            Empty: heads, blocks or patterns only.
        layers: regular expression, searched in the names of targets; empty matches all.
        heads: also remove every attention head, one at a time.
        blocks: also skip every block of a stack, one at a time.
        samples: evaluation examples from the first on; `"all"`; or `None` for the workload's own default.
        criteria: by which weights and channels are chosen; kept distinct. Heads and blocks go whole, by none.
        seed: of the order in which examples are drawn, and for criteria that draw random numbers.
        device: where the model runs, e.g. `"cpu"`, `"cuda"`.
        mode: `"exact"`: every cell on all examples. `"race"`: every cell until its interval is narrower than `width`
            or it is decided against `tolerance`. `"tolerance"`: only what it takes to find, for each target, the
            largest sparsity within `tolerance`.
        tolerance: the drop that is accepted, in the metric's unit; `None` for `default_tolerance`.
        width: at which a race calls an interval narrow enough, in the metric's unit; `None` for never.
        replay: compute of a cut only what it changes, where that gives the same bits. `None`: if it saves more than
            tracing the model costs.
        threads: cells measured at a time; `None` for one per core.
        memory: gigabytes (10^9 bytes) of dense values and rankings that may be kept, beside the model, one batch on its
            way through it, and the tensors that are being cut; `None` for a quarter of what is free.
        dry_run: try every target once, on few examples, and tell what the sweep would cost.
        preview: estimate every cell from gradients on calibration data first. Changes no measured number.
        channels: also remove the channels and neurons of every coupled group, at the same sparsities.
        align: the number of channels that stay is a multiple of this.
        weights: remove single weights of every layer.
        patterns: in which every layer's weights are also cut, as `"2:4"` or `"4x4"`; kept distinct. Tiles at every
            sparsity, `"N:M"` at the one that it has.
        repair: what makes up for each cut before it is measured, a name in `core.plans.repairs`; `None` for raw cuts.
        rule: in which order a race or a search reads examples. `"census"`: those that the dense model is least sure of
            all, of the rest a random sample; needs one pass of the dense model over all of them, and a metric that
            tells how sure it is (see `core.workload.metrics.margins`), else it is as `"sampling"`: all at random. Of a
            metric against the dense model's own outputs it also uses that no example can gain, so that a cell which is
            beyond shows it on few.
            `"calibrated"`: by how sure the dense model is of those that were not read what becomes of them is forecast,
            and a cell is decided by that; cheaper, and without a guarantee (see `core.sensitivity.search.calibrated`).
        shard: `"2/8"`: only the second of eight parts of the cells, whole targets each, see `search.shard`; the parts
            are measured on several machines, merged, and asked for without it. `None`: all.
        ray: the cluster of Ray whose actors measure cells, `threads` of them: `"local"`, `"auto"` or `"HOST:PORT"`.
            `None`: the worker does. Changes no measured number.
    """

    workload: str
    sparsities: tuple[float, ...] = DEFAULT_SPARSITIES
    layers: str = ""
    heads: bool = True
    samples: Samples = None
    criteria: tuple[str, ...] = (DEFAULT_CRITERION,)
    seed: int = 0
    device: str = "cpu"
    mode: Mode = "exact"
    tolerance: float | None = None
    width: float | None = None
    replay: bool | None = None
    threads: int | None = None
    memory: float | None = None
    dry_run: bool = False
    blocks: bool = False
    preview: bool = True
    channels: bool = False
    align: int = 1
    weights: bool = True
    patterns: tuple[str, ...] = ()
    repair: str | None = None
    rule: Rule = "census"
    shard: str | None = None
    ray: str | None = None

    def __post_init__(self) -> None:
        checked_repair(self.repair)
        given: Any = self.sparsities
        if isinstance(given, Real | str):
            raise SecateurError(f"sparsities must be several fractions such as (0.5, 0.9), got {given!r}")
        ordered = tuple(sorted({checked_sparsity(sparsity) for sparsity in given} - {0.0}))
        object.__setattr__(self, "sparsities", ordered)
        object.__setattr__(self, "criteria", checked_criteria(self.criteria))
        wanted: Any = self.patterns
        if isinstance(wanted, str):
            raise SecateurError(f"patterns must be several such as ('2:4', '4x4'), got {wanted!r}")
        patterns = {text: parse_pattern(text) for text in wanted}
        object.__setattr__(self, "patterns", tuple(patterns))
        tiles = [text for text, pattern in patterns.items() if pattern.is_tiles]
        if tiles and not ordered:
            raise SecateurError(f"a fraction of the tiles of {tiles[0]} goes: give at least one sparsity")
        fractional = bool(ordered) and (self.weights or self.channels)
        if not fractional and not self.heads and not self.blocks and not patterns:
            raise SecateurError(
                "nothing to sweep: give weights or channels with at least one sparsity, or heads, blocks or patterns"
            )
        check_samples(self.samples)
        if self.mode not in MODES:
            raise SecateurError(f"mode must be one of {', '.join(MODES)}; got {self.mode!r}")
        if self.rule not in RULES:
            raise SecateurError(f"rule must be one of {', '.join(RULES)}; got {self.rule!r}")
        if self.rule != "census" and self.mode == "exact":
            raise SecateurError("rule is which examples a race or a tolerance search reads; mode 'exact' reads all")
        if self.rule == "calibrated" and self.width is not None and self.tolerance is None:
            raise SecateurError(
                "rule 'calibrated' forecasts on which side of a drop a cell lies: give a race a tolerance too, or take "
                "rule 'census'"
            )
        checked_align(self.align)
        if self.width is not None and self.mode != "race":
            raise SecateurError(f"width is when a race stops a cell; mode {self.mode!r} does not ask for it")
        for name in ("tolerance", "width", "threads", "memory"):
            _check_number(name, getattr(self, name))
        check_kinds(self)
        checked_pattern(self.layers)
        if self.shard is not None:
            checked_shard(self.shard)
        if self.ray is not None:
            checked_address(self.ray)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "SweepRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON; of a time when there was one criterion, too."""
        fields = dict(fields)
        one = fields.pop("criterion", DEFAULT_CRITERION)
        fields.setdefault("criteria", (one,))
        if fields.get("mode", "exact") != "exact":
            fields.setdefault("rule", "sampling")  # of a run that began before there was another
        lists = {name: tuple(fields.get(name, ())) for name in ("sparsities", "patterns", "criteria")}
        return cls(**{**fields, **lists})


def checked_criteria(criteria: Any) -> tuple[str, ...]:
    """Names of criteria, each once.

    Raises:
        SecateurError: none is given, or one that there is not.
    """
    if isinstance(criteria, str):
        raise SecateurError(f"criteria must be several such as ('magnitude', 'wanda'), got {criteria!r}")
    found = tuple(dict.fromkeys(checked_criterion(name) for name in criteria))
    if not found:
        raise SecateurError("give at least one criterion, such as magnitude; `secateur criteria` lists them")
    return found


def _check_number(name: str, value: Any) -> None:
    if value is None:
        return
    least = 1 if name == "threads" else 0
    kind: Any = int if name == "threads" else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < math.inf:
        what = "a whole number of at least 1" if name == "threads" else "a number of at least 0"
        raise SecateurError(f"{name} must be {what}, or None for the default; got {value!r}")


def check_kinds(request: Any) -> None:
    """Refuse what a script gives in another kind: "no" for False, a list of names for a pattern, a seed in quotes.

    Raises:
        SecateurError: it says which and what it must be.
    """
    for name in ("heads", "blocks", "channels", "weights", "preview", "dry_run"):
        if not isinstance(given := getattr(request, name, False), bool):
            raise SecateurError(f"{name} must be True or False, got {given!r}")
    if (replay := getattr(request, "replay", None)) is not None and not isinstance(replay, bool):
        raise SecateurError(f"replay must be True, False or None, got {replay!r}")
    if not isinstance(request.layers, str):
        raise SecateurError(f"layers must be a regular expression such as 'conv|fc', got {request.layers!r}")
    if isinstance(request.seed, bool) or not isinstance(request.seed, int):
        raise SecateurError(f"seed must be a whole number, got {request.seed!r}")
    if not isinstance(request.device, str):
        raise SecateurError(f"device must be a name such as 'cpu' or 'cuda:0', got {request.device!r}")


def check_samples(samples: Any) -> None:
    """Refuse a number of examples from which no interval can be made.

    Raises:
        SecateurError: not `None`, `"all"`, or a whole number of at least 2.
    """
    if samples is None or samples == "all":
        return
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 2:
        raise SecateurError(f"samples must be a whole number of at least 2, or 'all'; got {samples!r}")
