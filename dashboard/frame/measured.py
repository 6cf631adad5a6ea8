"""A measured number on screen: never without its interval and sample size."""

from streamlit.delta_generator import DeltaGenerator

from core import numbers
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from dashboard.frame.markup import unbroken


def metric(place: DeltaGenerator, label: str, scale: Scale, estimate: Estimate) -> None:
    """A model's metric, large, and below it the 95 % interval and n."""
    box = place.container(gap=None)
    box.metric(label, numbers.metric_text(scale, estimate.value))
    box.caption(unbroken(numbers.metric_interval(scale, estimate)))


def drop(place: DeltaGenerator, label: str, scale: Scale, estimate: Estimate) -> None:
    """A paired drop, large, and below it the 95 % interval and n."""
    box = place.container(gap=None)
    box.metric(f"{label}, {numbers.drop_unit(scale)}", numbers.drop_text(scale, estimate.value))
    box.caption(unbroken(f"{numbers.drop_interval(scale, estimate)}, n = {estimate.n:,}, paired"))
