"""From a profile to what plans need of it: the dense model's time, and what single cuts save. No torch."""

from core.plans.costs.savings import Saved, SavedTime
from core.profiling.report import ProfileReport, Saving
from core.workload.description import Description


def saved_time(
    report: ProfileReport, found: Description, batch: int | None = None, threads: int | None = None
) -> SavedTime | None:
    """What a profile measured at one setting, run eagerly; `None` if it measured no savings there.

    Args:
        report: of the model.
        found: the same model; tells coupled groups from attentions.
        batch, threads: of the setting; by default the first that has savings.
    """
    chosen = [
        saving for saving in report.savings if batch in (None, saving.batch) and threads in (None, saving.threads)
    ]
    if not chosen:
        return None
    setting = (chosen[0].batch, chosen[0].threads)
    dense = next(
        (
            timing.median
            for timing in report.timings
            if timing.variant == report.sizes[0].variant
            and timing.engine == "eager"
            and (timing.batch, timing.threads) == setting
        ),
        None,
    )
    if dense is None:
        return None
    groups = {target.name for target in found.channel_targets}
    attentions = {target.layer for target in found.head_targets}
    channels: dict[str, list[Saving]] = {}
    heads: dict[str, list[Saving]] = {}
    for saving in sorted(chosen, key=lambda one: one.sparsity):
        if (saving.batch, saving.threads) == setting:
            if saving.target in groups:
                channels.setdefault(saving.target, []).append(saving)
            elif saving.target in attentions:
                heads.setdefault(saving.target, []).append(saving)
    by_channel, by_head = (
        {name: tuple(Saved(one.sparsity, one.seconds, one.low, one.high) for one in some) for name, some in of.items()}
        for of in (channels, heads)
    )
    return SavedTime(dense, by_channel, by_head)
