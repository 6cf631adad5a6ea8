"""Whatever can be greyed says why beside it, in words: a tooltip is found by nobody who cannot press the button."""

import ast
from pathlib import Path

import pytest

import dashboard
from dashboard.screens.recover import cutting_fields, training_fields
from dashboard.screens.tune.plan_tools import greyed_text

HOME = Path(dashboard.__file__).parent
# of each module, for every `disabled=` in it, words of the reason that stands beside what is greyed
REASONS = {
    "frame/strip.py": ["stopping after this batch"],
    "frame/workers_menu.py": ["one.text", "cores are taken."],
    "start/choice.py": ["why_not or wish.words"],
    "screens/model/costs_panel.py": ["A profile is under way."],
    "screens/tune/screen.py": ["A repair needs calibration data"],
    "screens/tune/undo_panel.py": ["The plan above is empty", "Being measured …", "This is the plan above"],
    "screens/tune/plan_tools.py": [
        "nothing to undo",
        "nothing to redo",
        "no row is known",
        "is empty",
        "none is chosen",
    ],
    "screens/tune/plan_actions.py": ["Being measured …"],
    "screens/tune/frontier_panel.py": ["This is the plan above"],
    "screens/tune/anchors_panel.py": ["Choose at least one kind of cut."],
    "screens/tune/search_panel.py": ["This is the plan above"],
    "screens/tune/measure/measure_form.py": ["NO_CUTS"],
    "screens/recover/rounds_panel.py": ["To go on from round {number}, {problem}."],
    "screens/recover/recover_form.py": ["help.refusal(str(error))"],
    "screens/recover/training_fields.py": [
        "momentum, which is SGD's",
        "what is held back, which only a patience looks at",
        "the weight of hints, of which there are none",
        "epochs, for *Steps per round*",
    ],
    "screens/recover/cutting_fields.py": [
        "as many as typed",
        "one shot is one round",
        "the initial sparsity, for the schedule begins with the first that is typed",
        "the criterion, for a plan has criteria of its own",
    ],
    "screens/deliver/certificate_panel.py": ["Certifying: "],
    "screens/deliver/bundles_panel.py": ["Its files were removed."],
    "screens/deliver/speed_panel.py": ["It is under way."],
    "screens/deliver/pays_panel.py": ["Choose at least one engine."],
    "screens/deliver/quantize_panel.py": ["takes others."],
    "screens/deliver/export_panel.py": ["For the format", "absent_text(absent)"],
    "screens/map/sweep_form.py": ["help.refusal(problem)", "NO_CALIBRATION"],
    "screens/map/cell_panel.py": ["{cell.state}: {cell.reason}"],
    "screens/map/heads_panel.py": ["None surely stays within it", '"Measured"'],
}


def greyed(source: str) -> int:
    """How many calls of a module take `disabled=`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sum(keyword.arg == "disabled" for call in calls for keyword in call.keywords)


def test_every_module_that_greys_something_is_listed_with_its_reasons():
    found = {str(path.relative_to(HOME)): greyed(path.read_text()) for path in HOME.rglob("*.py")}
    listed = {name: len(reasons) for name, reasons in REASONS.items()}
    assert {name: n for name, n in found.items() if n} == listed


@pytest.mark.parametrize("module", REASONS)
def test_each_of_the_reasons_is_in_the_module(module):
    source = (HOME / module).read_text()
    assert [reason for reason in REASONS[module] if reason not in source] == []


def test_tools_of_a_plan_say_which_of_them_are_greyed_and_why():
    nothing = greyed_text(undo=False, redo=False, limits=False, cuts=False, steps=False)
    assert nothing == (
        "Greyed: nothing to undo or redo; no row is known to stay within the tolerance; the plan is empty; "
        "steps are an engine's, and none is chosen."
    )
    assert greyed_text(undo=True, redo=False, limits=True, cuts=True, steps=None) == "Greyed: nothing to redo."
    assert greyed_text(undo=True, redo=True, limits=True, cuts=True, steps=True) == ""


def test_fields_of_a_recovery_say_which_of_them_are_greyed_and_why():
    assert training_fields.greyed_text("adamw", 0, ()) == (
        "Greyed: momentum, which is SGD's; what is held back, which only a patience looks at; "
        "the weight of hints, of which there are none."
    )
    assert training_fields.greyed_text("sgd", 2, ("fc",)) == ""
    assert cutting_fields.greyed_text(has_plan=False, is_given=False) == ""
    assert cutting_fields.greyed_text(has_plan=True, is_given=False) == (
        "Greyed: the criterion, for a plan has criteria of its own."
    )
