"""The manual as the tests read it: pages, their blocks, their headings. No torch."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("recipes/*.md")])
ALL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
# of commands, messages, measurements, comparisons and trials
MADE = {"cli.md", "errors.md", "benchmarks.md", "architectures.md", "real-models.md"}
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word behind the fence; empty where there is none.
        runs: whether the second word says so.
        text: what stands between the fences.
    """

    language: str
    runs: bool
    text: str


def text_of(page: Path) -> str:
    """The page as it lies."""
    return page.read_text(encoding="utf-8")


def blocks_of(text: str) -> list[Block]:
    """Fenced blocks in order."""
    found = [(match["info"].split(), match["text"]) for match in FENCE.finditer(text)]
    return [Block(info[0] if info else "", "run" in info[1:], block) for info, block in found]


def prose_of(text: str) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", text)


def anchors_of(text: str) -> set[str]:
    """Anchors as GitHub makes them of headings: small letters, hyphens for spaces, no punctuation, twins numbered."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose_of(text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        plain = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        number = 0
        while (anchor := f"{plain}-{number}" if number else plain) in found:
            number += 1
        found.add(anchor)
    return found
