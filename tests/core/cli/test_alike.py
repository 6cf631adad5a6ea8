"""Commands are alike: the same name means the same in each of them, and old spellings keep working, with a word."""

import json
import shlex
from collections import defaultdict
from pathlib import Path

import click
import pytest

from core import SparsityPlan
from core.cli import COMMANDS, group
from core.cli.command import Command, Renamed
from core.cli.options import FractionType, ListType
from core.cli.tolerance import PointsType
from tests.core.cli.running import document_of, refused, secateur

pytestmark = pytest.mark.usefixtures("own_folder")

COMMANDS = {name: group.get_command(click.Context(group), name) for name in COMMANDS}
MAKE_A_PLAN = ("plan", "allocate", "solve", "minimise", "refine", "undo")
START_A_RUN = (
    "sweep", "pairs", "bits", "anchors", "minimise", "refine", "undo", "tickets", "recover", "apply", "shrink",
    "frontier", "profile", "pays", "export", "quantize", "resume", "certify",
)  # fmt: skip


def options_of(name, hidden=False):
    return [p for p in COMMANDS[name].params if isinstance(p, click.Option) and (hidden or not p.hidden)]


def spellings(name):
    return {spelling for option in options_of(name) for spelling in option.opts}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_examples_and_takes_workspace_and_json(name):
    command = COMMANDS[name]
    assert isinstance(command, Command)
    assert {"--workspace", "--json"} <= spellings(name)
    done = secateur(name, "--help")
    assert done.exit_code == 0
    for line in command.examples:
        assert f"  {line}\n" in done.stdout
    assert command.examples
    # the first is how one begins; `secateur` alone is the dashboard
    assert all(line.startswith(f"secateur {name}") or name == "dashboard" for line in command.examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_understood(name):
    """Typed as it stands, up to where a model or a file would be needed."""
    for line in COMMANDS[name].examples:
        words = shlex.split(line, comments=True)[1:]
        words = words if words[:1] and not words[0].startswith("-") else ["dashboard", *words]
        assert words[0] == name
        COMMANDS[name].make_context(name, words[1:])  # raises for an option that there is not


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name):
    without = [option.opts[0] for option in options_of(name, hidden=True) if not (option.help or "").strip()]
    assert not without


def kind_of(option):
    """What somebody types: a list is of the same kind as one value of it."""
    kind = option.type
    if isinstance(kind, FractionType):
        return "float"
    if isinstance(kind, ListType):
        return "text" if kind.of is str else kind.of.__name__
    if isinstance(kind, click.Choice):
        return "text"
    if isinstance(kind, click.types.IntParamType):
        return "int"
    return "flag" if option.is_flag else {"STRING": "text", "FLOAT": "float"}.get(str(kind), str(type(kind)))


# a sweep is told whether to cut these, a plan how much of them; a worker, which runs come to, may also find out itself
OF_TWO_KINDS = {"--channels", "--heads", "--at-once"}


def test_the_same_name_takes_the_same_kind_of_value_everywhere():
    kinds = defaultdict(dict)
    for name in COMMANDS:
        for option in options_of(name):
            for spelling in option.opts:
                kinds[spelling].setdefault(kind_of(option), []).append(name)
    assert {spelling for spelling, found in kinds.items() if len(found) > 1} == OF_TWO_KINDS


# the words that begin the help of an option wherever it is; an option that is in one command only needs none
MEANING = {
    "--log": "Also tell this experiment tracker",
    "--calibration": "Of hf:, st:, timm:, pt2:: data of the same form that a criterion may look at",
    "--checkpoint": "Of timm:, lightning:: the weights",
    "--columns": "Of hf:, st:: which column is what",
    "--data": "Of hf:, st:, timm:, pt2:: what to measure on",
    "--length": "Of hf:, st:: tokens of a text at most",
    "--metric": "Of a model named by a reference",
    "--root": "Of py:, lightning:: the folder that the package lies in",
    "--task": "Of hf:: where the head of the model leaves a choice",
    "--holdout": "Of hf:, st:, timm:, pt2:: data of the same form that certificates alone are made on",
    "--training": "Of hf:, st:, timm:, pt2:: data of the same form that recovery may train on",
    "--align": "The channels that stay are a multiple of this",
    "--at-once": "{what} measured at a time",
    "--at-most": "Or, of bytes and memory, the most that may be left as a size",
    "--batch": "Examples per forward pass",
    "--cache": "Count with memory the keys and values",
    "--batch-size": "Training examples of one step",
    "--bits": "Of the weights",
    "--costs": "Milliseconds that were measured on a device of yours",
    "--criterion": "How what goes is chosen",
    "--detach": "Start it and return at once",
    "--dynamic": "Which sizes of inputs",
    "--device": "Where the model runs",
    "--engines": "Of eager, compile, ",
    "--epochs": "Of each",
    "--last": "Only the newest",
    "--even": "All layers of a kind lose the same number",
    "--granularities": "What may be cut",
    "--guard": "Nor may any group of this column lose more than that",
    "--json": "Print one JSON document and nothing else",
    "--layers": "Only targets whose name matches",
    "--left": "The most that may be left of the cost",
    "--interval": "race: stop a",
    "--memory": "Dense values",
    "--note": "Write a note beside",
    "--rename": "Give a",
    "--mode": "exact: every",
    "--engine": "Whose milliseconds",
    "--opset": "Of ONNX",
    "--optimiser": "adamw or sgd",
    "--plans": "How many",
    "--python": "Interpreters of engines",
    "--rate": "Highest learning rate",
    "--rounds": "How",
    "--rules": "JSON list",
    "--samples": "Evaluation examples",
    "--shard": "Measure the K-th of N parts alone",
    "--seconds": "Of timing",
    "--seed": "Of the order in which",
    "--skip-refused": "Leave out a format",
    "--spread": "How the cut is spread over the layers",
    "--steps": "Optimiser steps of each",
    "--threads": "Threads within one operation",
}
# these say what they mean in this command: a file or a folder, what one starts from, what is accepted
SAID_ANEW = {
    "--channels", "--confidence", "--cost", "--form", "--format", "--from", "--heads", "--list", "--model", "--out",
    "--plan",
    "--repair",
    "--replay",
    "--sparsities", "--sparsity", "--within", "--workspace",
}  # fmt: skip


def test_the_same_name_means_the_same_everywhere():
    helps = defaultdict(list)
    for name in COMMANDS:
        for option in options_of(name):
            helps[option.opts[0]].append((name, option.help))
    shared = {spelling: found for spelling, found in helps.items() if len(found) > 1}
    assert set(shared) == {*MEANING, *SAID_ANEW}
    for spelling, start in MEANING.items():
        for name, said in shared[spelling]:
            words = said.partition(" ")[2] if start.startswith("{what} ") else said
            assert words.startswith(start.removeprefix("{what} ")), f"{name} {spelling}: {said}"


def test_every_drop_is_in_points_under_one_name():
    for name in COMMANDS:
        for option in options_of(name):
            if isinstance(option.type, PointsType):
                assert option.opts[0] in ("--within", "--interval")
                assert "points of a fraction (1 is one point), else the metric's unit" in option.help
            assert "--tolerance" not in option.opts, f"{name} has a --tolerance that is not an old spelling"


@pytest.mark.parametrize("name", MAKE_A_PLAN)
def test_every_command_that_makes_a_plan_writes_it_with_out(name):
    (out,) = [option for option in options_of(name) if option.opts[0] == "--out"]
    assert out.help == "Write the plan to this file, over what is there."


@pytest.mark.parametrize("name", START_A_RUN)
def test_every_command_that_starts_a_run_can_let_it_go_on_alone(name):
    assert "--detach" in spellings(name)


def test_only_commands_that_start_a_run_take_detach():
    assert {name for name in COMMANDS if "--detach" in spellings(name)} == set(START_A_RUN)


# every old spelling with words that get far enough to be understood
OLD = {
    ("show", "--tolerance"): "--within",
    ("solve", "--tolerance"): "--within",
    ("minimise", "--tolerance"): "--within",
    ("recover", "--tolerance"): "--within",
    ("tickets", "--tolerance"): "--within",
    ("recover", "--iterations"): "--rounds",
    ("allocate", "--by"): "--spread",
    ("sweep", "--threads"): "--at-once",
    ("pairs", "--threads"): "--at-once",
    ("bits", "--threads"): "--at-once",
    ("recover", "--last"): "--last-round",
}


def test_the_old_spellings_are_these():
    found = {(name, old) for name in COMMANDS for o in options_of(name) if isinstance(o, Renamed) for old in o.old}
    assert found == set(OLD)


@pytest.mark.parametrize(("name", "old"), OLD)
@pytest.mark.parametrize("joined", [True, False])
def test_an_old_spelling_means_the_same_and_says_the_new_one(name, old, joined, capsys):
    command, new = COMMANDS[name], OLD[name, old]
    (option,) = [option for option in options_of(name) if new in option.opts]
    value = "global" if old == "--by" else "3"
    given = [f"{old}={value}"] if joined else [old, value]
    ours = [f"{new}={value}"] if joined else [new, value]
    rest = ["m", "--left", "0.5"] if name == "allocate" else ["m"]
    old_value = command.make_context(name, [*rest, *given]).params[option.name]
    assert f"secateur: {old} is spelled {new} now; the old spelling still works\n" == capsys.readouterr().err
    assert old_value == command.make_context(name, [*rest, *ours]).params[option.name]
    assert capsys.readouterr().err == ""


def test_a_value_that_looks_like_an_old_spelling_behind_two_dashes_stays(capsys):
    assert COMMANDS["recover"].make_context("recover", ["--", "--iterations"]).params["model"] == "--iterations"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "new", "old", "field"),
    [
        (("sweep", "--mode", "race"), ("--within", "2"), ("--tolerance", "0.02"), "tolerance"),
        (("sweep", "--mode", "race"), ("--interval", "5"), ("--width", "0.05"), "width"),
        (("bits", "--bits", "4"), ("--within", "2"), ("--tolerance", "0.02"), "tolerance"),
    ],
)
def test_a_drop_of_a_fraction_is_in_points_and_its_old_spelling_is_in_the_metric_s_unit_as_it_was(
    command, new, old, field, net_file
):
    words = (command[0], net_file, *command[1:], "--sparsities", "0.5", "--json")
    ours = secateur(*words, *new)
    assert ours.exit_code == 0, ours.stderr
    assert ours.stderr == ""
    theirs = secateur(*words, *old)
    assert theirs.exit_code == 0, theirs.stderr
    of_ours, of_theirs = (json.loads(done.stdout)["run"]["request"][field] for done in (ours, theirs))
    assert of_ours == of_theirs == float(old[1])
    (line,) = theirs.stderr.splitlines()
    assert line == (
        f"secateur: {old[0]} {old[1]} is in the metric's own unit; now {new[0]} says it in points: {new[0]} {new[1]} "
        f"of a fraction, {new[0]} {old[1]} of any other metric"
    )
    assert f"{new[0]} and {old[0]} say the same; give {new[0]} alone" in refused(*words[:-1], *new, *old)


@pytest.mark.model
def test_a_drop_of_a_metric_that_is_no_fraction_is_in_its_own_unit(write_file, net_text):
    text = net_text.replace("accuracy()", "cross_entropy()").replace("Workload, accuracy", "Workload, cross_entropy")
    file = write_file("net.py", text)
    done = secateur("sweep", file, "--sparsities", "0.5", "--mode", "race", "--within", "0.02", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["run"]["request"]["tolerance"] == 0.02


@pytest.mark.parametrize("drop", ["-1", "nan", "inf", "much"])
def test_what_is_no_drop_is_refused_before_anything_is_loaded(drop):
    assert "expected a drop of at least 0 in points" in refused("sweep", "no-model", f"--within={drop}")


def test_a_plan_goes_where_one_asks(net_file, monkeypatch):
    words = ("plan", net_file, "--uniform", "0.25")
    piped = secateur(*words)
    plan = SparsityPlan.from_json(piped.stdout)
    assert piped.stderr == ""  # a script may join both streams
    with monkeypatch.context() as patch:
        patch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stderr>", raising=False)
        redirected = secateur(*words)
    said = "secateur: the plan is printed as JSON, since this is no terminal; --out FILE writes it, --json prints it"
    assert (redirected.stdout, redirected.stderr) == (piped.stdout, f"{said} anywhere\n")
    asked = secateur(*words, "--json")
    assert (asked.stdout, asked.stderr) == (piped.stdout, "")
    written = secateur(*words, "--out", "a.json")
    assert SparsityPlan.read(Path("a.json")) == plan
    assert (written.stderr, written.stdout.splitlines()[-1]) == ("", "Wrote a.json.")
    assert [line.split() for line in written.stdout.splitlines()[:2]] == [
        ["target", "what", "goes", "criterion"],
        ["fc1", "25", "%", "removed", "magnitude"],
    ]
    both = secateur(*words, "--out", "b.json", "--json")
    assert (both.stdout, SparsityPlan.read(Path("b.json"))) == (piped.stdout, plan)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False)
    shown = secateur(*words)
    assert shown.stdout.splitlines()[-1] == "--out FILE writes this plan, --json prints it."
    assert "cannot write" in refused(*words, "--out", Path("none") / "a.json")


def test_a_plan_of_an_allocation_goes_where_one_asks_too(net_file):
    words = ("allocate", net_file, "--spread", "uniform", "--left", "0.5")
    document = document_of(*words)
    assert secateur(*words, "--out", "a.json").exit_code == 0
    assert json.loads(Path("a.json").read_text()) == document


def test_the_plan_of_a_profile_is_an_argument_and_its_option_still_works(net_file):
    secateur("plan", net_file, "--uniform", "0.5", "--out", "plan.json")
    quick = ("--batch", "2", "--threads", "1", "--rounds", "6", "--engines", "eager", "--json")
    done = secateur("profile", net_file, "--plan", "plan.json", *quick)
    assert done.exit_code == 0, done.stderr
    assert {size["variant"] for size in json.loads(done.stdout)["report"]["sizes"]} == {"dense", "masked"}
    assert done.stderr == (
        f"secateur: --plan is an argument now: secateur profile {net_file} plan.json; the old spelling still works\n"
    )
    assert "the plan is given twice" in refused("profile", net_file, "plan.json", "--plan", "plan.json")


@pytest.mark.parametrize("words", [("verify", "none"), ("reproduce", "none"), ("init", "mine.txt")])
def test_a_workspace_that_a_command_has_no_use_for_is_taken_and_not_made(words):
    assert "no such option" not in refused(*words, "--workspace", "w").lower()
    assert not Path("w").exists()


@pytest.mark.parametrize("name", ["solve", "minimise", "refine"])
@pytest.mark.parametrize(("flag", "kind"), [("--channels", "channel"), ("--heads", "head"), ("--blocks", "block")])
def test_what_a_sweep_takes_as_flags_is_told_where_it_is_one_list(name, flag, kind):
    assert f"no option {flag}; what may be cut is told by --granularities {kind} here" in refused(name, "m", flag)
