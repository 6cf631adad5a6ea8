"""The plan book on the command line."""

import json
from pathlib import Path

import pytest

from core import Cut, SparsityPlan
from core.jobs.known.plan_book import PlanBook
from core.plans.prediction import Prediction
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

pytestmark = pytest.mark.usefixtures("own_folder")

HALF, MOST = (SparsityPlan((Cut("fc1", "weight", sparsity),)) for sparsity in (0.5, 0.9))


@pytest.fixture
def book():
    return PlanBook(Workspace(".secateur"))


def applied(net_file, plan, *options):
    Path("plan.json").write_text(plan.to_json())
    return document_of("apply", net_file, "plan.json", *options)["run"]


def test_an_applied_plan_is_kept_as_coming_from_a_file(net_file):
    run = applied(net_file, HALF)
    (one,) = document_of("plans", net_file)
    (measured,) = one["measured"]
    assert (one["id"], one["made_by"], one["parent"], one["prediction"]) == (HALF.fingerprint()[:8], "file", None, None)
    assert (measured["run"], measured["form"], measured["drop"]) == (run["id"], "masked", run["result"]["drop"])
    assert SparsityPlan.from_document(one["plan"]) == HALF


def test_the_table_has_predicted_beside_measured_and_the_gap(net_file, book):
    document_of("targets", net_file)
    ref = str(net_file)
    first = book.keep(ref, HALF, "uniform", prediction=Prediction(1, 0.9, 0.8, 1, 0.1, 0.05, 0.15))
    guess = Prediction(1, 0.9, 0.8, 1, -0.9, -0.95, -0.85, ("why",))
    book.keep(ref, MOST, "solver", first.id, guess)
    text = secateur("plans", net_file).stdout
    header, of_most, of_half, *_ = text.splitlines()
    assert " ".join(header.split()) == "plan name made by parent cuts removed predicted form measured gap note"
    assert of_half.split() == [first.id, "uniform", "1", "33", "%", "+10.00", "[+5.00,", "+15.00]", "not", "measured"]
    assert of_most.split()[:8] == [MOST.fingerprint()[:8], "solver", first.id, "1", "60", "%", "−90.00", "[−95.00,"]
    drop = applied(net_file, MOST)["result"]["drop"]["value"]
    (one,) = document_of("plans", net_file)[0]["measured"]
    assert one["gap"] == pytest.approx(drop + 0.9)
    assert one["inside"] is False
    line = secateur("plans", net_file).stdout.splitlines()[1]
    assert f" {100 * (drop + 0.9):+.2f}  worse" in line
    assert "−85.00]?" in line
    assert "n = 40" in line
    assert "Drops in points" in text


def test_a_plan_is_measured_shrunk_and_shown_in_both_forms(net_file):
    plan = SparsityPlan((Cut("fc1", "channel", 0.5),))
    Path("plan.json").write_text(plan.to_json())
    text = secateur("apply", net_file, "plan.json", "--form", "shrunk").stdout
    assert "paired, 95 % interval" in text
    assert "shrunk   43 of 83 parameters stay (52 %)" in text
    assert "equals the masked model" in text
    forms = [line.split() for line in secateur("plans", net_file).stdout.splitlines()[1:3]]
    assert ["masked" in forms[0], "shrunk" in forms[1]] == [True, True]
    assert "measure, shrunk" in secateur("runs").stdout


def test_plans_are_named_and_noted_and_found_by_their_name(net_file):
    applied(net_file, HALF)
    plan_id = HALF.fingerprint()[:8]
    assert secateur("plans", net_file, "--rename", plan_id[:4], "small one").stdout == (
        f"Plan {plan_id} is called “small one” now.\n"
    )
    (changed,) = document_of("plans", net_file, "--note", "small one", "for the\nphone")
    assert (changed["name"], changed["note"]) == ("small one", "for the\nphone")
    assert "for the phone" in secateur("plans", net_file).stdout
    assert SparsityPlan.from_json(secateur("plan", net_file, "--from", "small one").stdout) == HALF
    assert "has no name now" in secateur("plans", net_file, "--rename", plan_id, "").stdout


def test_what_a_person_wrote_is_shown_as_written(net_file, book):
    document_of("targets", net_file)
    one = book.keep(str(net_file), HALF, "hand")
    book.rename(str(net_file), one.id, "a[bold]b[/x]")
    book.write_note(str(net_file), one.id, "[red] " + "long " * 100)
    (line,) = [line for line in secateur("plans", net_file).stdout.splitlines() if line.startswith(one.id)]
    assert "a[bold]b[/x]" in line
    assert "[red] long long" in line
    assert line.endswith("long …")
    assert "a[bold]b[/x]" in secateur("diff", net_file, "a[bold]b[/x]", one.id).stdout


def test_a_kept_plan_is_printed_as_a_plan_file_and_nothing_is_added_to_it(net_file):
    applied(net_file, HALF)
    assert "leave out --uniform, --criterion" in refused(
        "plan", net_file, "--from", HALF.fingerprint()[:8], "--uniform", "0.5", "--criterion", "magnitude"
    )
    assert "no plan 'x'" in refused("plan", net_file, "--from", "x")


def test_a_plan_that_was_measured_is_not_forgotten_and_another_is(net_file, book):
    run = applied(net_file, HALF)
    book.keep(str(net_file), MOST, "hand")
    assert f"was measured by run {run['id']}" in refused("plans", net_file, "--forget", HALF.fingerprint()[:8])
    text = secateur("plans", net_file, "--forget", MOST.fingerprint()[:8]).stdout
    assert text == f"Plan {MOST.fingerprint()[:8]} is forgotten.\n"
    assert len(document_of("plans", net_file)) == 1


def test_two_plans_are_compared_by_id_name_or_file(net_file, book):
    document_of("targets", net_file)
    book.keep(str(net_file), HALF, "hand")
    book.rename(str(net_file), HALF.fingerprint(), "half")
    other = SparsityPlan((Cut("fc2", "weight", 0.25), Cut("fc1", "weight", 0.75)))
    Path("other.json").write_text(other.to_json())
    Path("bare").write_text(other.to_json())
    done = secateur("diff", net_file, "half", "other.json").stdout.splitlines()
    assert [line.split() for line in done[:3]] == [
        ["target", "half", "other.json"], ["fc1", "50", "%", "75", "%"], ["fc2", "stays", "25", "%"],
    ]  # fmt: skip
    assert "half removes 24 of 72 cuttable weights (33 %)" in done
    assert "other.json removes 42 of 72 cuttable weights (58 %)" in done
    for word in ("./bare", "bare", Path("other.json").resolve()):
        document = document_of("diff", net_file, HALF.fingerprint()[:6], word)
        assert [one["target"] for one in document["differences"]] == ["fc1", "fc2"]
        assert (document["before"]["n_removed"], document["after"]["n_removed"]) == (24, 42)
    assert "half and half cut the same." in secateur("diff", net_file, "half", "half").stdout


@pytest.mark.plain
def test_plans_of_a_model_that_was_never_read_are_compared_without_totals(net_file, book):
    book.keep(str(net_file), HALF, "hand")
    document = document_of("diff", net_file, HALF.fingerprint()[:8], HALF.fingerprint()[:8])
    assert document == {"differences": [], "before": None, "after": None}
    assert "not measured" in secateur("plans", net_file).stdout


@pytest.mark.plain
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("diff", "nothing", "nothing"), "no plan 'nothing' of"),
        (("diff", "nothing.json", "x"), "cannot read the plan nothing.json"),
        (("plans", "--rename", "x", "y"), "no plan 'x'"),
        (("plans", "--note", "x", "y"), "no plan 'x'"),
        (("plans", "--forget", "x"), "no plan 'x'"),
        (("plans", "--rename", "x"), "requires 2 arguments"),
    ],
)
def test_what_is_not_there_is_refused(net_file, book, words, message):
    assert message in refused(words[0], net_file, *words[1:])


@pytest.mark.plain
@pytest.mark.parametrize("words", [("plans",), ("diff", "a", "b"), ("plan", "--from", "a")])
def test_no_workspace_is_made_by_looking(net_file, words):
    assert "there is no workspace at" in refused(words[0], net_file, *words[1:])
    assert not Path(".secateur").exists()


@pytest.mark.plain
def test_an_empty_book_says_how_a_plan_gets_there(net_file, book):
    assert f"No plans of {net_file} yet. `secateur apply" in secateur("plans", net_file).stdout
    assert json.loads(secateur("plans", net_file, "--json").stdout) == []
