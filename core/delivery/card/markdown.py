"""A card as Markdown."""

from core.delivery.card.facts import Card, Table


def markdown(card: Card) -> str:
    """The card as GitHub's and Hugging Face's Markdown show it; names from a model cannot break out of a table."""
    parts = [f"# {_plain(card.title)}", *map(_plain, card.summary)]
    parts += ["## Side by side", _table(card.variants)]
    if card.cuts.rows:
        parts += ["## What was cut", _table(card.cuts)]
    if card.pays:
        parts += ["## Where it pays", _table(card.pays)]
    if card.classes:
        parts += ["## By class", _table(card.classes)]
    parts += ["## Files", _table(card.files)]
    if card.refused:
        parts.append("\n".join(f"- no {name}: {_plain(why)}" for name, why in card.refused))
    parts += ["## Made with", _table(Table(("what", "which"), card.made))]
    if card.command:
        parts += ["Again:", f"```\n{card.command}\n```"]
    parts += ["## How to read it", "\n".join(f"- {_plain(note)}" for note in card.notes)]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    rows = (table.columns, ("---",) * len(table.columns))
    body = [[_cell(cell) for cell in row] for row in table.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (*rows, *body))


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text without the signs that Markdown would read, and on one line."""
    text = " ".join(text.split())
    for sign in "\\`*_<>[":
        text = text.replace(sign, "\\" + sign)
    return text
