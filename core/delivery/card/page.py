"""A card as one HTML page: no script, no network, charts inside; light and dark as the reader's system is."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from core import numbers
from core.delivery.card.chart import Bar, bars
from core.delivery.card.facts import Card
from core.sensitivity.report import Estimate
from core.workload.scale import Scale

TEMPLATES = Environment(
    loader=PackageLoader("core.delivery.card", "templates"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(card: Card, manifest: Mapping[str, Any]) -> str:
    """The card as HTML.

    Args:
        card: what it says.
        manifest: that the card was made of; the charts are drawn of its numbers.
    """
    scale = Scale.from_json(manifest["measured"]["metric"])
    charts = [
        (title, Markup(bars(title, rows, alike=number > 1)))  # the first two are of variants, by their colours
        for number, (title, rows) in enumerate(_charts(manifest, scale))
    ]
    return TEMPLATES.get_template("card.html.jinja").render(card=card, charts=charts)


def _charts(manifest: Mapping[str, Any], scale: Scale) -> list[tuple[str, list[Bar]]]:
    rows: Sequence[Mapping[str, Any]] = manifest["variants"]
    metrics = []
    for one in rows:
        found = Estimate(**one["metric"]) if one["metric"] else None
        metrics.append(
            Bar(one["name"], found.value, numbers.metric_text(scale, found.value), found.low, found.high)
            if found
            else Bar(one["name"], None, "not measured")
        )
    sizes = [Bar(one["name"], one["bytes"], numbers.bytes_text(one["bytes"])) for one in rows]
    charts = [(f"{scale.name}, with 95 % intervals", metrics), ("Bytes on disk", sizes)]
    known = [(str(one["class"]), Estimate(**one["drop"])) for one in manifest.get("classes") or () if one["drop"]]
    if known:
        drops = [Bar(name, d.value, numbers.drop_text(scale, d.value), d.low, d.high) for name, d in known]
        charts.append((f"Drop by class, {numbers.drop_unit(scale)}, with 95 % intervals", drops))
    return charts
