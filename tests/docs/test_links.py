"""Links and anchors of the manual resolve, every page is listed, and says whom it is for."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ALL, DOCS, MADE, PAGES, ROOT, anchors_of, prose_of, text_of

README_BYTES = 9 * 1024
PAGE_BYTES = 12 * 1024
PICTURE_BYTES = 1_000_000
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links_of(page):
    """Targets of relative links and pictures; code is no link."""
    return [link for link in LINK.findall(re.sub(r"`[^`]*`", "", prose_of(text_of(page)))) if "://" not in link]


def test_anchors_are_those_of_github():
    text = "# A b, c!\n## A solver's plan (of `x.y`)\n```\n# no heading\n```\n## Twice\n## Twice\n## [Link](x.md) – é_1"
    assert anchors_of(text) == {"a-b-c", "a-solvers-plan-of-xy", "twice", "twice-1", "link--é_1"}


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_anchors_resolve(page):
    missing = []
    for link in links_of(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(text_of(target))):
            missing.append(link)
    assert not missing


@pytest.mark.parametrize("index", ["README.md", "llms.txt"])
def test_every_page_is_listed_once(index):
    text = text_of(DOCS / index)
    listed = [link for link in LINK.findall(text) if not link.startswith(("..", "http")) and link.endswith(".md")]
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES if page.name != index)


def test_llms_txt_is_of_that_convention():
    title, empty, *rest = text_of(DOCS / "llms.txt").split("\n")
    assert (title, empty) == ("# Secateur", "")
    assert rest[0].startswith("> ")
    listed = [line for line in rest if line.startswith("- ")]
    assert all(re.fullmatch(r"- \[[^\]]+\]\([\w./-]+\): .+", line) for line in listed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_begins_with_its_title_and_whom_it_is_for(page):
    title, empty, first = text_of(page).split("\n")[:3]
    assert title.startswith("# ")
    assert empty == ""
    assert first.startswith("For "), first


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= README_BYTES


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in MADE], ids=lambda page: page.name)
def test_a_page_is_one_sitting(page):
    assert len(page.read_bytes()) <= PAGE_BYTES


def test_pictures_are_few_small_and_all_shown():
    shown = {(page.parent / link).resolve() for page in ALL for link in links_of(page) if link.endswith(".png")}
    there = {path.resolve() for folder in (ROOT / ".github", DOCS / "pictures") for path in folder.glob("*.png")}
    assert shown == there
    assert sum(Path(path).stat().st_size for path in there) < PICTURE_BYTES


def test_the_readme_says_what_ci_does():
    """`.ci/run` is what a newcomer does, who reads these two lines."""
    text = text_of(ROOT / "README.md")
    assert "```\npython -m pip install -e . && secateur\n```" in text
    assert '```\npython -m pip install -e ".[test]" && pytest\n```' in text
