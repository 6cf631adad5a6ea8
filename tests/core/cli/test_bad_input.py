"""What is compared, named and sent, given what it cannot take: one clear line, and nothing is lost."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from core.jobs.run import Kind
from core.jobs.runs import RunStore
from core.plans.plan import Cut
from core.reports.gathered import SHOWN
from core.sensitivity.report import CellResult, Estimate
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur
from tests.core.reports.conftest import ACCURACY, DENSE, MADE_WITH, measured

pytestmark = pytest.mark.usefixtures("own_folder")

MARKUP = "<b>x</b> **bold** [red]r[/red] `c` $x$ |a| &amp;"


@pytest.fixture
def runs(own_folder):
    return RunStore(Workspace(".secateur"))


@pytest.fixture
def swept(runs):
    """Makes a finished sweep of these cells, which nobody measured."""

    def make(*cells, model="net.py", seed=0, scale=ACCURACY):
        asked = {"sparsities": [0.5, 0.9], "weights": True, "heads": False, "layers": "", "seed": seed, "mode": "exact"}
        run, _ = runs.submit("sweep", model, asked)
        runs.set_cells(run.id, cells or [measured("fc", 0.5, 0.02)])
        result = {"scale": scale, "dense": DENSE, "n": 200, "model": "abc", "preview": None, "tolerance": 0.01}
        runs.update(run.id, state="finished", result=result, made_with=MADE_WITH)
        return runs.get(run.id)

    return make


@pytest.mark.parametrize(
    "words",
    [
        ("report", "3f2a"), ("compare", "3f2a", "91bc"), ("runs",), ("runs", "--star", "3f2a"), ("stop", "3f2a"),
        ("runs", "--rename", "3f2a", "x"), ("resume", "3f2a"), ("cancel", "3f2a"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_without_a_workspace_there_is_none_and_none_is_made(words, tmp_path):
    assert "there is no workspace at" in refused(*words)
    assert not (tmp_path / "cwd" / ".secateur").exists()


@pytest.mark.parametrize(
    "words", [("report", "3f2a"), ("compare", "3f2a", "91bc"), ("stop", "3f2a"), ("runs", "--note", "3f2a", "x")]
)
def test_of_an_empty_workspace_no_run_is_found(words, runs):
    assert "no run '3f2a' in" in refused(*words)


@pytest.mark.parametrize("kind", [kind for kind in get_args(Kind) if kind != "sweep"])
def test_a_run_of_another_kind_is_no_map_and_says_which_it_is(kind, runs, swept):
    run, _ = runs.submit(kind, "net.py", {})
    assert f"is no sweep that has measured anything (of kind {kind})" in refused("compare", swept().id, run.id)
    said = "has measured nothing yet" if kind in SHOWN else f"is of kind {kind}; `secateur show"
    assert said in refused("report", run.id)


@pytest.mark.parametrize(
    ("state", "said", "mend"),
    [
        ("queued", "(waiting)", "wait for it"),
        ("failed", "(failed)", "lets it go on"),
        ("cancelled", "(cancelled)", "lets it go on"),
    ],
)
def test_a_sweep_without_a_result_says_how_it_stands_and_what_helps(state, said, mend, runs, swept):
    run, _ = runs.submit("sweep", "net.py", {"sparsities": [0.5]})
    runs.update(run.id, state=state)
    line = refused("report", run.id)
    assert said in line
    assert mend in line
    assert said in refused("compare", swept().id, run.id)


def test_an_ended_run_that_is_stopped_is_as_it_was(runs, swept):
    run = swept()
    assert "finished" in secateur("stop", run.id).stdout
    assert runs.get(run.id) == run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rename", "RUN", "x" * 10_000), "at most 80 letters, this one has 10000"),
        (("--note", "RUN", "x" * 10_000), "at most 2,000 letters, this one has 10,000"),
        (("--rename", "RUN", "a\x1b[31mred"), "holds '\\x1b', which cannot be shown"),
        (("--rename", "RUN", "abc\u202egnp"), "holds '\\u202e', which cannot be shown"),
        (("--note", "RUN", "a\x00b"), "holds '\\x00', which cannot be shown"),
        (("--note", "RUN", "a\udcffb"), "holds '\\udcff', which cannot be shown"),
        (("--rename", "RUN", "taken"), "is called 'taken' already"),
        (("--star", "nothing"), "no run 'nothing'"),
    ],
    ids=["long", "long note", "escape", "turning", "nul", "no letter", "taken", "unknown"],
)
def test_where_one_change_is_refused_none_is_made(words, said, runs, swept):
    other, run = swept(), swept(seed=1)
    secateur("runs", "--rename", other.id, "taken")
    before = runs.get(run.id)
    changes = [run.id if word == "RUN" else word for word in words]
    assert said in refused("runs", "--star", run.id, "--note", run.id, "new", *changes)
    assert runs.get(run.id) == before


def test_several_runs_are_renamed_in_one_command(runs, swept):
    first, second = swept(), swept(seed=1)
    found = document_of("runs", "--rename", first.id, "one", "--rename", second.id, "two", "--note", first.id, "a\nb")
    assert {run["id"]: run["name"] for run in found} == {first.id: "one", second.id: "two"}
    assert runs.get("one").note == "a\nb"


def test_two_runs_of_one_name_are_told_to_be_so(runs, swept):
    for run in (swept(), swept(seed=1)):  # no command makes such
        runs.update(run.id, name="same")
    assert "2 runs are called 'same'" in refused("report", "same")


def test_markup_in_names_and_notes_is_text_on_the_page_and_in_tables(runs, swept):
    run = swept(model="/home/me/<b>[red]*net*.py")
    secateur("runs", "--rename", run.id, MARKUP, "--note", run.id, MARKUP)
    assert secateur("report", MARKUP, "--out", "a.html").exit_code == 0
    page = Path("a.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "<title>Pruning &lt;b&gt;" in page
    told = secateur("runs").stdout
    assert told.count("<b>x</b> **bold** [red]r[/red]") == 2  # name, note
    assert "<b>[red]*net*.py" in told


def test_a_run_named_twice_is_shown_once_and_never_compared_with_itself(swept):
    run = swept()
    assert document_of("report", run.id, run.id, "--out", "a.html")["runs"] == [run.id]
    assert "name another to set beside it" in refused("compare", run.id, run.id)


def test_two_models_are_told_apart_in_the_title_and_two_metrics_are_not_compared(swept):
    one, other = swept(), swept(model="/home/me/other.py", seed=1, scale={**ACCURACY, "name": "f1"})
    assert "drops of two metrics do not compare" in refused("compare", one.id, other.id)
    secateur("report", one.id, other.id, "--out", "a.html")
    page = Path("a.html").read_text(encoding="utf-8")
    assert "<title>Pruning net.py and other.py</title>" in page
    assert "Not compared: run" in page
    assert "drops of two metrics do not compare" in page


def test_what_is_no_number_is_no_number_on_the_page_and_in_the_comparison(swept):
    nan, far = Estimate(*(float("nan"),) * 3, 5), Estimate(float("inf"), 0.0, float("inf"), 5)
    cells = (
        CellResult(Cut("fc", "weight", 0.5), 5, 10, "measured", nan, nan),
        CellResult(Cut("fc", "weight", 0.9), 5, 10, "failed", reason="its scores are NaN"),
        CellResult(Cut("out", "weight", 0.9), 5, 10, "measured", far, far),
    )
    bad, good = swept(*cells), swept(seed=1)
    assert secateur("report", bad.id, "--out", "a.html").exit_code == 0
    assert secateur("compare", bad.id, good.id).exit_code == 0


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_no_layer_one_and_a_thousand_are_a_page_and_a_list(n, runs, swept):
    run = swept(*[measured(f"layers.{i}", 0.5, 0.01) for i in range(n)], seed=2)
    runs.set_cells(run.id, []) if n == 0 else None
    assert secateur("report", run.id, "--out", "a.html").exit_code == 0
    other = swept(seed=1)
    told = secateur("compare", run.id, other.id).stdout
    assert told.count("layers.") == n
    assert "Not compared: a run does not say which examples it measured" in told


def test_a_page_of_many_runs_has_a_file_name_that_a_disk_takes(swept):
    ids = [swept(seed=i).id for i in range(9)]
    assert document_of("report", *ids)["file"].endswith("-and-5-more.html")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("none/a.html", "No such file or directory"),
        ("a.html/b.html", "Not a directory"),
        ("folder", "is a directory"),
        ("/dev/full", "No space left on device"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_page_that_cannot_be_written_says_why_and_leaves_what_was_there(out, said, swept, tmp_path):
    run = swept()
    (tmp_path / "cwd" / "folder").mkdir()
    (tmp_path / "cwd" / "a.html").write_text("the last one")
    before = sorted(os.listdir("."))
    assert said in refused("report", run.id, "--out", out)
    assert sorted(os.listdir(".")) == before
    assert Path("a.html").read_text() == "the last one"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes over a file that is read-only, whatever its rights say")
def test_a_file_that_may_not_be_written_is_not_replaced(swept, tmp_path):
    kept = tmp_path / "cwd" / "a.html"
    kept.write_text("locked")
    kept.chmod(0o444)
    assert "Permission denied" in refused("report", swept().id, "--out", "a.html")
    assert kept.read_text() == "locked"


@pytest.mark.process
def test_on_a_full_disk_the_page_of_before_stays(swept, tmp_path):
    run = swept(*[measured(f"layers.{i}", 0.5, 0.01) for i in range(600)])
    (tmp_path / "cwd" / "a.html").write_text("the last one")
    done = subprocess.run(
        [sys.executable, "-c", "from core.cli import main; main()", "report", run.id, "--out", "a.html"],
        capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        # bytes that a file may have: more than what reading the workspace takes, less than the page
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot write a.html: File too large" in done.stderr
    assert Path("a.html").read_text() == "the last one"
    assert not list((tmp_path / "cwd").glob(".*.part"))


def test_what_was_written_over_a_link_goes_where_the_link_leads(swept, tmp_path):
    (tmp_path / "there.html").write_text("the last one")
    os.symlink(tmp_path / "there.html", "a.html")
    secateur("report", swept().id, "--out", "a.html")
    assert os.path.islink("a.html")
    assert "<!doctype html>" in (tmp_path / "there.html").read_text()


@pytest.mark.parametrize(
    ("text", "said"), [("{", "the plan is not JSON"), (None, "No such file"), (json.dumps([1]), "plan")]
)
def test_a_plan_that_is_none_is_refused(text, said, swept, tmp_path):
    if text is not None:
        (tmp_path / "cwd" / "plan.json").write_text(text)
    assert said in refused("report", swept().id, "--plan", "plan.json")
