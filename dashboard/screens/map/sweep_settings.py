"""What the form of a sweep begins with: the settings of the last sweep of the model, and what was wanted since."""

from dataclasses import dataclass, replace

from core.plans.criteria import DEFAULT_CRITERION
from core.sensitivity.request import DEFAULT_SPARSITIES, Mode, Rule, SweepRequest
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.start import wishes


@dataclass(frozen=True)
class Settings:
    """Of the fields, one by one.

    Attributes:
        source: what they come from; another one has the fields filled in anew.
        removes: granularities and patterns.
        samples: that were asked for; `None` for what is usual.
        tolerance: in the metric's unit; `None` for the usual one.
        ray: address of the cluster; `None` for a process of its own.
    """

    source: str = ""
    mode: Mode = "exact"
    removes: tuple[str, ...] = ("weight", "head")
    align: int = 1
    sparsities: tuple[float, ...] = DEFAULT_SPARSITIES
    layers: str = ""
    samples: int | None = None
    criteria: tuple[str, ...] = (DEFAULT_CRITERION,)
    repair: str | None = None
    tolerance: float | None = None
    rule: Rule = "census"
    ray: str | None = None


def first_settings(ref: str, found: Description) -> Settings:
    """Those of the last sweep; what somebody said to want since then goes before them."""
    last = next((run for run in workbench.sweeps(ref) if not run.request.get("dry_run")), None)
    settings = Settings() if last is None else _of(SweepRequest.from_json(dict(last.request)), last.id, found)
    wish = wishes.chosen(ref)
    if wish is None or (last is not None and last.created > wishes.chosen_at(ref)):
        return settings
    return replace(
        settings, source=f"{settings.source}-{wish.name}-{wishes.chosen_at(ref)}", mode=wish.mode,
        removes=tuple(wishes.removed(wish, found)), align=wishes.alignment(wish, found),
        repair=wishes.repair_of(wish, found),
    )  # fmt: skip


def _of(request: SweepRequest, run: str, found: Description) -> Settings:
    swept = {"weight": request.weights, "channel": request.channels, "head": request.heads, "block": request.blocks}
    samples = request.samples
    return Settings(
        run, request.mode, (*(name for name, is_swept in swept.items() if is_swept), *request.patterns), request.align,
        request.sparsities or DEFAULT_SPARSITIES, request.layers, found.n_open if samples == "all" else samples,
        request.criteria, request.repair, request.tolerance, request.rule,
        request.ray,
    )  # fmt: skip
