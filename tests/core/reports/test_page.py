"""The page that is sent: whole in itself, safe to open, and honest."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.jobs.known.plan_book import PlanBook
from core.jobs.labels import label_run
from core.reports.gathered import gather
from core.reports.page import page
from core.sensitivity.report import CellResult
from tests.core.reports.conftest import measured

NASTY = "<script>alert(1)</script>&\"'"


class Reader(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def page_of(runs, *which, plan=None):
    return page(gather(runs, [run.id for run in which], plan), 1_760_000_000.0)


def svgs(text):
    return [ElementTree.fromstring(one) for one in re.findall("<svg.*?</svg>", text, re.DOTALL)]


def test_nothing_is_loaded_from_anywhere_and_nothing_runs(runs, swept):
    text = page_of(runs, swept(measured("fc", 0.5, 0.02)))
    read = Reader(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "a", "base"} & {tag for tag, _ in read.tags}
    assert not [name for _, attrs in read.tags for name in attrs if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [a["content"] for tag, a in read.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_names_and_notes_are_text_and_never_markup(runs, swept):
    failed = CellResult(Cut(NASTY, "weight", 0.9), 5, 10, "failed", reason=f"why {NASTY}")
    run = swept(measured(NASTY, 0.5, 0.02), failed, model=f"/home/somebody/{NASTY}.py")
    label_run(runs, run.id, name=NASTY, note=NASTY)
    text = page_of(runs, run)
    assert "<script" not in text
    assert "".join(Reader(text).words).count(NASTY) >= 4  # model, name, reason, note


def test_no_folder_of_this_machine_is_told(runs, swept):
    failed = CellResult(Cut("fc", "weight", 0.9), 5, 10, "failed", reason="see /home/somebody/net.py, line 3")
    text = page_of(runs, swept(measured("fc", 0.5, 0.02), failed, model="/home/somebody/net.py"))
    assert "/home" not in text
    assert "secateur sweep net.py --sparsities 0.5,0.9 --no-heads" in text


def test_every_cell_says_its_drop_with_interval_and_n(runs, swept):
    (_, sheet) = svgs(page_of(runs, swept(measured("fc", 0.5, 0.02), measured("fc", 0.9, 0.003))))
    told = [node.text for node in sheet.iter() if node.tag.endswith("title")]
    assert sorted(told) == ["+0.30 [\N{MINUS SIGN}0.20, +0.80], n 200", "+2.00 [+1.50, +2.50], n 200"]
    shown = [node.text for node in sheet.iter() if node.tag.endswith("text")]
    assert "+2.0" in shown
    assert "+0.3·" in shown


def test_what_was_not_measured_is_blank_and_counted(runs, swept):
    waiting = CellResult(Cut("fc", "weight", 0.9), 5, 10)
    text = page_of(runs, swept(measured("fc", 0.5, 0.02), waiting))
    assert "1 of 2 cells are not measured yet, and blank." in text
    (_, sheet) = svgs(text)
    assert "0.0" not in [node.text for node in sheet.iter()]


def test_several_runs_stand_beside_each_other(runs, swept):
    text = page_of(runs, swept(measured("fc", 0.5, 0.02)), swept(measured("fc", 0.5, 0.03), seed=1))
    assert len(svgs(text)) == 4  # a key and a sheet each
    assert text.count("secateur sweep net.py") == 2


def test_how_it_was_measured_is_told_and_what_nobody_recorded_is_said_to_be_so(runs, swept):
    text = page_of(runs, swept(measured("fc", 0.5, 0.02)))
    assert "a processor, 4 cores, Linux x86_64, on cpu" in text
    assert "secateur 0.1.0, torch 2.13.0, Python 3.11.7" in text
    assert "not recorded: an older build made this run" in page_of(
        runs, swept(measured("fc", 0.5, 0.02), seed=1, made_with=None)
    )


def test_a_plan_that_nobody_measured_has_no_outcome(runs, swept):
    run = swept(measured("fc", 0.5, 0.02))
    PlanBook(runs.workspace).keep("net.py", SparsityPlan((Cut("fc", "weight", 0.5),)), "hand")
    (kept,) = PlanBook(runs.workspace).all("net.py")
    text = page_of(runs, run, plan=kept.id)
    assert "50 % removed" in text
    assert "what it costs is not known" in text


@pytest.mark.parametrize("kind", ["profile", "pairs"])
def test_a_run_that_it_cannot_show_is_refused_with_who_can(runs, kind):
    run, _ = runs.submit(kind, "net.py", {})
    with pytest.raises(SecateurError, match=f"is of kind {kind}; `secateur show {run.id}` prints it"):
        gather(runs, [run.id])


def test_a_sweep_that_has_measured_nothing_is_refused(runs):
    run, _ = runs.submit("sweep", "net.py", {"sparsities": [0.5]})
    with pytest.raises(SecateurError, match="has measured nothing yet"):
        gather(runs, [run.id])


def test_a_map_of_300_rows_and_20_sparsities_stays_below_a_megabyte_and_a_half(runs, swept):
    cells = [
        measured(f"model.layers.{row // 6}.mlp.block_{row % 6}.down_proj", (column + 1) / 21, row * column / 60_000)
        for row in range(300)
        for column in range(20)
    ]
    text = page_of(runs, swept(*cells))
    assert len(text.encode()) < 1_500_000
    assert len(svgs(text)) == 2
