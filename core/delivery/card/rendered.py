"""The files of a card, as a manifest and a plan give them."""

from collections.abc import Mapping
from typing import Any

from core.delivery.card.facts import card_of
from core.delivery.card.markdown import markdown
from core.delivery.card.page import page
from core.delivery.manifest import CARD, PAGE
from core.plans.plan import SparsityPlan


def rendered(manifest: Mapping[str, Any], plan: SparsityPlan) -> dict[str, str]:
    """By file name the card's text, which tells of every file but itself.

    Args:
        manifest: of version 2.
        plan: that the bundle was cut by.
    """
    files = {name: entry for name, entry in manifest["files"].items() if name not in (CARD, PAGE)}
    told = {**manifest, "files": files}
    card = card_of(told, plan)
    return {CARD: markdown(card), PAGE: page(card, told)}
