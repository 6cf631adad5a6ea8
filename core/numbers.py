"""Numbers as people read them: percent signs, points, signs, counts. It knows nothing of what is counted."""

import math
from typing import Protocol

MINUS = "\N{MINUS SIGN}"


class Unit(Protocol):
    """What a number counts: a metric's scale, say."""

    @property
    def name(self) -> str:
        """Of what is counted, e.g. `"accuracy"`."""

    @property
    def unit(self) -> str:
        """`"fraction"` is shown as percent, and its differences as points."""


class Interval(Protocol):
    """A number from `n` examples with its 95 % interval."""

    @property
    def value(self) -> float:
        """In the unit of what is counted."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""

    @property
    def n(self) -> int:
        """Examples."""


def metric_text(scale: Unit, value: float) -> str:
    """A metric with its unit: `92.68 %` for a fraction, else `4.931 nats`; a small one keeps its digits: `0.00213`."""
    if scale.unit == "fraction":
        return f"{100 * value:.2f} %"
    return _number(value, 3).replace("-", MINUS) + ("" if scale.unit == scale.name else f" {scale.unit}")


def drop_text(scale: Unit, value: float, digits: int | None = None) -> str:
    """A drop with its sign, in points for a fraction: `+1.25` is 1.25 points worse, `−0.10` is better.

    `digits` after the point: by default 2 for points, 3 otherwise. A small drop of another metric keeps its digits.
    """
    if scale.unit == "fraction":
        places = 2 if digits is None else digits
        text = f"{100 * value:+.{places}f}"
        return f"{0:.{places}f}" if float(text) == 0 else text.replace("-", MINUS)
    text = _number(value, 3 if digits is None else digits)
    return text if value == 0 else f"{'+' if value > 0 else ''}{text}".replace("-", MINUS)


def short_drop_text(scale: Unit, value: float) -> str:
    """A drop as cells of a table say it: one digit after the point for points, two otherwise."""
    return drop_text(scale, value, 1 if scale.unit == "fraction" else 2)


def _number(value: float, places: int) -> str:
    """`places` digits after the point; where that would leave fewer than two significant ones, two of those."""
    if value != 0 and abs(value) < 10.0 ** (1 - places):
        places = min(12, 1 - math.floor(math.log10(abs(value))))
    elif abs(value) >= 1000:
        places = max(0, places - 2)
    return f"{value:,.{places}f}"


def exact_text(scale: Unit, value: float, is_drop: bool = False) -> str:
    """A metric or a drop to six digits, to tell two apart that round to the same: `12.2134 %`, `1.25031 points`."""
    if scale.unit == "fraction":
        return f"{100 * value:.6g} {'points' if is_drop else '%'}".replace("-", MINUS)
    return f"{value:.6g}{'' if scale.unit == scale.name else f' {scale.unit}'}".replace("-", MINUS)


def drop_unit(scale: Unit) -> str:
    """The unit of a drop: points of a percentage, or the metric's own."""
    return "points" if scale.unit == "fraction" else scale.unit


def metric_interval(scale: Unit, estimate: Interval) -> str:
    """`[92.15, 93.17], n = 10,000`."""
    low, high = (metric_text(scale, bound).split(" ")[0] for bound in (estimate.low, estimate.high))
    return f"[{low}, {high}], n = {estimate.n:,}"


def metric_with_interval(scale: Unit, estimate: Interval) -> str:
    """`92.68 % [92.15, 93.17], n = 10,000`."""
    return f"{metric_text(scale, estimate.value)} {metric_interval(scale, estimate)}"


def drop_interval(scale: Unit, estimate: Interval) -> str:
    """`[+0.60, +1.95]`."""
    return f"[{drop_text(scale, estimate.low)}, {drop_text(scale, estimate.high)}]"


def drop_with_interval(scale: Unit, estimate: Interval) -> str:
    """`+1.25 points [+0.60, +1.95], n = 2,000`."""
    drop = f"{drop_text(scale, estimate.value)} {drop_unit(scale)}"
    return f"{drop} {drop_interval(scale, estimate)}, n = {estimate.n:,}"


def share_text(fraction: float) -> str:
    """A fraction as a percentage: `5 %`, `0.3 %`. Only nothing is 0 % and only everything 100 %."""
    percent = 100 * fraction
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.5 <= percent < 100:
        return "> 99 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == round(percent) else f"{percent:.1f} %"


def sparsity_text(sparsity: float) -> str:
    """A sparsity as a percentage without needless digits: `95 %`, `12.5 %`, `99.999 %`."""
    return f"{100 * sparsity:.10g} %"


def shape_text(shape: tuple[int, ...]) -> str:
    """`32 × 16 × 3 × 3`."""
    return " × ".join(map(str, shape))


def seconds_text(seconds: float) -> str:
    """`18 s`, `2 min 05 s`, `1 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def limit_text(scale: Unit, tolerance: float) -> str:
    """A tolerance with its unit: `1.00 points`."""
    return f"{drop_text(scale, tolerance).lstrip('+')} {drop_unit(scale)}"


def apart_text(largest: float) -> str:
    """How far two models' outputs are apart, in parts of the largest."""
    return "the same bits" if largest == 0 else f"at most {largest:.1g} apart (relative)"


def bytes_text(n: float | None) -> str:
    """`1.86 MB`, in powers of 1000; `–` for what was not measured."""
    return "–" if n is None else f"{n:,.0f} B" if n < 1000 else f"{_with_prefix(n)}B"


def flops_text(flops: float | None) -> str:
    """`64.1 MFLOP`; `–` for what was not counted."""
    return "–" if flops is None else f"{_with_prefix(flops)}FLOP"


def _with_prefix(value: float) -> str:
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:,.3g} T" if value < 999.5 else f"{value:,.0f} T"


def milliseconds_text(seconds: float) -> str:
    """Three digits, without the unit: `12.6`, `0.00123`, `−0.4`."""
    value = 1000 * seconds
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}".replace("-", MINUS)


def ratio_text(value: float) -> str:
    """How many times as fast: `1.04 ×`."""
    return f"{value:.2f} ×"


def threads_text(n: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{n} thread{'s' * (n > 1)}"


def count_text(n: int, one: str, many: str | None = None) -> str:
    """`1 run`, `2 runs`, `1,200 batches`.

    Args:
        n: of them, 0 or more.
        one: what one is called.
        many: what several are; without it `one` with an s.
    """
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
