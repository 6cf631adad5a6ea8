"""The manual as the dashboard serves it: what a page looks like, and that no link of the real one leads nowhere."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.serving import manual, server
from dashboard.serving.manual import Manual
from dashboard.serving.manual_page import COMMENT, page, parser, slug

ROOT = Path(__file__).parents[3]
PAGES = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
HOST = "http://localhost:8765"


class Html(HTMLParser):
    """What a page links to, shows and can be linked at."""

    def __init__(self, text):
        super().__init__()
        self.links, self.pictures, self.anchors, self.tags, self.here = [], [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.add(tag)
        self.links += [found["href"]] if "href" in found else []
        self.pictures += [found["src"]] if "src" in found else []
        self.anchors += [found["id"]] if "id" in found else []
        self.here += [found["href"]] if "aria-current" in found else []


@pytest.fixture(scope="module")
def client():
    return TestClient(Starlette(routes=server.ROUTES), base_url=HOST, follow_redirects=False)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write a manual of a few pages, which is served in place of the real one."""
    monkeypatch.setattr(manual, "PLACES", (tmp_path / "none", tmp_path / "docs"))

    def write(**pages):
        for name, text in {
            "README": "# Index\n\n[b](b.md), then [a](a.md)\n",
            "a": "# A\n",
            "b": "# B\n",
            **pages,
        }.items():
            path = tmp_path / "docs" / f"{name.replace('__', '/')}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Manual(tmp_path / "docs")

    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    (tmp_path / "docs" / "pictures" / "map.png").write_bytes(b"\x89PNG")
    (tmp_path / "docs" / "secret.py").write_text("not served")
    (tmp_path / "outside.png").write_text("not served")
    return write


def body(text):
    return text.partition("<main>")[2].partition("</main>")[0].strip()


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("Two *words*.", "<p>Two <em>words</em>.</p>"),
        ("```sh\nls < a & b\n```", '<pre><code class="language-sh">ls &lt; a &amp; b\n</code></pre>'),
        ("## What `n` is", '<h2 id="what-n-is">What <code>n</code> is</h2>'),
        ("[b](b.md#x-y)", '<p><a href="b#x-y">b</a></p>'),
        ("[index](README.md)", '<p><a href="./">index</a></p>'),
        ("[own](#x)", '<p><a href="#x">own</a></p>'),
        ("[web](https://arxiv.org/abs/1)", '<p><a href="https://arxiv.org/abs/1">web</a></p>'),
        ("[first](../README.md#x)", '<p><a title="in the repository: ../README.md#x">first</a></p>'),
        ("[code](../core/api.py)", '<p><a title="in the repository: ../core/api.py">code</a></p>'),
        ("![the map](pictures/map.png)", '<p><img src="pictures/map.png" alt="the map" /></p>'),
        ("<!-- runnable -->\nText <!-- and more --> here", "Text  here"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[bad](javascript:alert(1))", "<p>[bad](javascript:alert(1))</p>"),
    ],
)
def test_markdown_becomes_the_html_that_it_is_on_the_repositorys_pages(small, markdown, html):
    assert html in body(page(small(a=markdown), "a"))


def test_a_table_keeps_its_columns_and_how_they_are_aligned(small):
    html = page(small(a="| mark | n |\n| --- | ---: |\n| · | 1,000 |"), "a")
    assert "<th>mark</th>" in html
    assert '<td style="text-align:right">1,000</td>' in html


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Two words", "two-words"),
        ('What "95 %" means', "what-95--means"),
        ("`--out FILE`: where it goes", "--out-file-where-it-goes"),
        ("snake_case, Größe & more", "snake_case-größe--more"),
    ],
)
def test_anchors_are_those_of_github(heading, anchor):
    assert slug(heading.replace("`", "")) == anchor


def test_the_second_heading_of_the_same_words_is_numbered(small):
    assert Html(page(small(a="# A\n## Same\n## Same\n### Same"), "a")).anchors == ["a", "same", "same-1", "same-2"]


def test_the_list_names_every_page_in_the_order_of_the_index_and_marks_the_one_on_show(small):
    html = Html(page(small(c="# C\n## Part"), "c"))
    assert html.links == ["./", "b", "a", "c", "#part"]
    assert html.here == ["c"]


def test_a_page_in_a_folder_leads_back_up(small):
    known = small(more__deep="# Deep\n\n[b](../b.md) ![map](../pictures/map.png) [x](../../pyproject.toml)")
    html = Html(page(known, "more/deep"))
    assert html.links == ["../", "../b", "../a", "../more/deep", "../b"]
    assert html.pictures == ["../pictures/map.png"]


def test_pages_and_pictures_are_served_and_may_run_nothing(small, client):
    small()
    index = client.get("/manual")
    assert urljoin(f"{HOST}/manual", index.headers["location"]) == f"{HOST}/manual/"
    for path, kind in (("", "text/html"), ("a", "text/html"), ("pictures/map.png", "image/png")):
        answer = client.get(f"/manual/{path}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind), path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "script" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["c", "a.md", "README.md", "more/c", "a/"])
def test_a_name_that_no_page_has_is_not_found_and_all_pages_are_listed(small, client, name):
    small()
    answer = client.get(f"/manual/{name}")
    assert answer.status_code == 404
    links = [urljoin(str(answer.url), link) for link in Html(answer.text).links]
    assert links == [f"{HOST}/manual/{page}" for page in ("", "b", "a")]


@pytest.mark.parametrize("name", ["secret.py", "pictures", "..%2Foutside.png", "pictures/..%2F..%2Foutside.png", "%00"])
def test_a_visitor_names_a_page_and_never_a_path(small, client, name):
    small()
    answer = client.get(f"/manual/{name}")
    assert answer.status_code == 404
    assert "not served" not in answer.text


def test_a_page_elsewhere_cannot_read_it_by_dns_rebinding(small, client):
    small()
    for path in ("", "a", "pictures/map.png"):
        assert client.get(f"/manual/{path}", headers={"Host": "evil.example"}).status_code == 403


def test_without_a_manual_it_says_so(client, monkeypatch, tmp_path):
    monkeypatch.setattr(manual, "PLACES", (tmp_path,))
    assert client.get("/manual/").status_code == 404
    assert "install Secateur again" in client.get("/manual/").text


@pytest.mark.parametrize("source", PAGES)
def test_every_link_and_picture_of_the_manual_leads_to_something_that_is_served(client, source):
    name = "" if source == "README.md" else source.removesuffix(".md")
    answer = client.get(f"/manual/{name}")
    assert answer.status_code == 200
    html = Html(answer.text)
    assert "h1" in html.tags
    assert len(set(html.anchors)) == len(html.anchors)
    for link in [*html.links, *html.pictures]:
        address, anchor = urldefrag(urljoin(str(answer.url), link))
        if address.startswith(f"{HOST}/manual"):
            status, anchors = reached(client, address)
            assert status == 200, link
            assert not anchor or anchor in anchors, link
        else:
            assert link in html.links, f"{link} would be fetched from elsewhere"


@cache
def reached(client, address):
    """Status of an address of the real manual, and the anchors there."""
    answer = client.get(address)
    return answer.status_code, Html(answer.text).anchors if "html" in answer.headers["content-type"] else []


@pytest.mark.parametrize("source", PAGES)
def test_no_page_has_html_which_would_be_shown_as_it_is_written(source):
    tokens = parser().parse((ROOT / "docs" / source).read_text(encoding="utf-8"))
    parts = [part for token in tokens for part in (token, *(token.children or ()))]
    written = [part.content for part in parts if part.type in ("html_block", "html_inline")]
    assert [text for text in written if not COMMENT.fullmatch(text)] == []
