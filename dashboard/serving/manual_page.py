"""A page of the manual as HTML: no script, no network; light and dark as the reader's system is."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token
from markupsafe import Markup

from dashboard.frame.theme import GREEN, STREAMLIT_THEME
from dashboard.serving.manual import Manual, relative

TEMPLATES = Environment(
    loader=PackageLoader("dashboard.serving", "templates"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
COMMENT = re.compile(r"\s*<!--.*?-->\s*", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A line of the list of pages, or of the sections of the page on show."""

    title: str
    address: str
    is_here: bool = False
    sections: Sequence["Entry"] = ()


def page(manual: Manual, name: str) -> str:
    """A page, with all pages beside it and its sections below its name.

    Args:
        manual: the pages.
        name: one of them.
    """
    markdown = parser()
    tokens = markdown.parse(manual.text(name))
    sections = tuple(Entry(title, f"#{anchor}") for level, title, anchor in _anchored(tokens) if level == "h2")
    _lead(tokens, manual, name)
    body = markdown.renderer.render(tokens, markdown.options, {})
    return _framed(manual, name, manual.title(name), body, sections)


def not_found(manual: Manual, name: str) -> str:
    """What is shown for a name that no page has."""
    return _framed(manual, name, "There is no such page", "<h1>There is no such page</h1><p>The list has them all.</p>")


def _framed(manual: Manual, name: str, title: str, body: str, sections: Sequence[Entry] = ()) -> str:
    pages = [
        Entry(manual.title(one), relative(one, name), one == name, sections if one == name else ())
        for one in manual.pages
    ]
    colours = {"green": GREEN} | {key.removeprefix("theme."): value for key, value in STREAMLIT_THEME.items()}
    return TEMPLATES.get_template("manual.html.jinja").render(
        title=title, body=Markup(body), pages=pages, colours=colours
    )


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it: `What "95 %" means` → `what-95--means`."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def parser() -> MarkdownIt:
    """What reads a page: tables as on GitHub; comments are left out, other HTML is shown as it is written."""
    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for kind in ("html_block", "html_inline"):
        made.renderer.rules[kind] = _shown_html  # type: ignore[attr-defined]
    return made


def _shown_html(tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    return "" if COMMENT.fullmatch(tokens[at].content) else escapeHtml(tokens[at].content)


def _anchored(tokens: Sequence[Token]) -> list[tuple[str, str, str]]:
    """Give every heading its anchor. Returns level, text and anchor of each."""
    found: list[tuple[str, str, str]] = []
    taken: dict[str, int] = {}
    for opening, inside in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(part.content for part in inside.children or () if part.type in ("text", "code_inline"))
            plain = slug(text)
            again = taken[plain] = taken.get(plain, -1) + 1
            opening.attrs["id"] = f"{plain}-{again}" if again else plain
            found.append((opening.tag, text, str(opening.attrs["id"])))
    return found


def _lead(tokens: Iterable[Token], manual: Manual, name: str) -> None:
    """Point links and pictures at what is served; a file that is not served is named, not linked."""
    for token in tokens:
        _lead(token.children or (), manual, name)
        for attribute in ("href", "src"):
            if attribute in token.attrs:
                written = str(token.attrs[attribute])
                address = manual.address(name, written)
                if address is not None:
                    token.attrs[attribute] = address
                else:
                    del token.attrs[attribute]
                    token.attrs["title"] = f"in the repository: {written}"
