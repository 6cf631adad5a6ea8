"""What is true of every form of the dashboard, read from its code."""

import ast
from pathlib import Path

import dashboard

FILES = sorted(Path(dashboard.__file__).parent.rglob("*.py"))


def forms():
    """Every `st.form(…)`: where it stands, and its arguments by name."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "form":
                yield f"{path.name}:{node.lineno}", {one.arg: ast.unparse(one.value) for one in node.keywords}


def test_enter_in_a_field_of_a_form_starts_nothing():
    found = dict(forms())
    assert found
    assert {place: one.get("enter_to_submit") for place, one in found.items()} == dict.fromkeys(found, "False")
