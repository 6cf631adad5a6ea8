"""Models that one could deliver, side by side: dense, pruned, recovered, quantized; metric, bytes and speed."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core import numbers
from core.delivery.card.facts import NOT_MEASURED
from core.jobs.known.variants import KnownVariant, known_variants
from core.plans.plan import SparsityPlan
from core.profiling import profile_words
from core.profiling.report import Timing
from core.reports.flat import flat_rows
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard.frame import workbench
from dashboard.frame.sharing import take_away
from dashboard.frame.tables.table import wrapped

NOT_TIMED = "not timed"
Setting = tuple[str, int, int]  # engine, examples in a batch, threads
PRUNED = {"masked": "pruned, masked", "shrunk": "pruned, shrunk"}
NOTE = (
    "Each number is the one measured on the most examples, with its 95 % interval. Bytes are of the weights as one "
    "file: safetensors, or what the quantization wrote. Times are those of a profile, or of a bundle's card, each in "
    "turn with the dense model; a quantized model is timed where a bundle holds it as onnx-int8, on its card."
)


def draw(ref: str, found: Description, plan: SparsityPlan | None) -> None:
    """A row per model; a choice of the setting that was timed, if any was."""
    st.subheader("Side by side")
    variants = known_variants(workbench.runs(), found, plan)
    settings = settings_of(variants)
    setting = None
    if settings:
        setting = st.selectbox("Speed at", settings, format_func=setting_text, key=f"speed-at-{ref}", width=320)
    wrapped(variants_frame(found.scale, variants, setting), "Models side by side", hide_index=True)
    st.caption(NOTE)
    name = take_away.file_name(ref, "models")
    take_away.table(lambda: flat_rows(variants, unit=found.scale.unit), name, "variants-table")


def settings_of(variants: Sequence[KnownVariant]) -> list[Setting]:
    """Settings at which any of the models was timed, each once, in the order of the profile."""
    return list(dict.fromkeys(_setting(timing) for variant in variants for timing in variant.timings))


def setting_text(setting: Setting) -> str:
    """`eager, batch of 64, 2 threads`."""
    engine, batch, threads = setting
    return f"{engine}, batch of {batch:,}, {numbers.threads_text(threads)}"


def variants_frame(scale: Scale, variants: Sequence[KnownVariant], setting: Setting | None) -> pd.DataFrame:
    """A row per model; what nobody measured says so.

    Args:
        scale: of the metric.
        variants: the dense one first.
        setting: whose times are shown; `None` if nothing was timed.
    """
    dense = variants[0].n_bytes
    return pd.DataFrame(
        {
            "model": [name_of(variant) for variant in variants],
            "bytes on disk": [
                NOT_MEASURED if one.n_bytes is None else numbers.bytes_text(one.n_bytes) for one in variants
            ],
            "of dense": [numbers.share_text(v.n_bytes / dense) if v.n_bytes and dense else "" for v in variants],
            scale.name: [_metric(scale, variant) for variant in variants],
            "drop": [_drop(scale, variant) for variant in variants],
            "milliseconds": [_milliseconds(variant, setting) for variant in variants],
            "times as fast": [_ratio(variant, setting) for variant in variants],
        }
    )


def name_of(variant: KnownVariant) -> str:
    """`pruned, shrunk`; `recovered in run 3f2a, round 2: 75 % gone`; `quantized, int8 weight, of the dense model`."""
    if variant.kind == "recovered":
        return f"recovered in run {variant.run}, {_round(variant)}"
    if variant.kind == "quantized":
        of = f"recovered {_round(variant)}" if variant.of == "recovered" else f"the {variant.of} model"
        return f"quantized, int{variant.bits} {variant.scheme}, of {of}"
    return PRUNED.get(variant.kind, variant.kind)


def _round(variant: KnownVariant) -> str:
    return f"round {variant.iteration}: {numbers.share_text(variant.sparsity or 0.0)} gone"


def _metric(scale: Scale, variant: KnownVariant) -> str:
    if variant.metric is not None:
        return numbers.metric_with_interval(scale, variant.metric)
    return f"{variant.state}: {variant.reason}" if variant.reason else NOT_MEASURED


def _drop(scale: Scale, variant: KnownVariant) -> str:
    if variant.drop is None:
        return "" if variant.kind == "dense" else NOT_MEASURED
    text = numbers.drop_with_interval(scale, variant.drop)
    if variant.state == "no effect":  # which is not the same as a model that bears the cut
        return f"no effect: {variant.reason}"
    return f"{text}, from recovered" if variant.drop_from == "recovered" else text


def _milliseconds(variant: KnownVariant, setting: Setting | None) -> str:
    timed = [timing for timing in variant.timings if _setting(timing) == setting]
    return profile_words.timing_text(timed[0]) if timed else NOT_TIMED


def _ratio(variant: KnownVariant, setting: Setting | None) -> str:
    found = [ratio for ratio in variant.ratios if (ratio.engine, ratio.batch, ratio.threads) == setting]
    if not found:
        return "" if variant.kind == "dense" else NOT_TIMED
    ratio = found[0]
    return f"{numbers.ratio_text(ratio.value)} {profile_words.ratio_interval(ratio)}, n = {ratio.n}: {ratio.verdict}"


def _setting(timing: Timing) -> Setting:
    return timing.engine, timing.batch, timing.threads
