"""Loading a workload: what goes wrong is explained in one line."""

import importlib.metadata
import sys
import textwrap

import pytest

from core import SecateurError, load_workload
from core.workload import loading
from core.workload.description import Description, describe

pytestmark = pytest.mark.model

ONE_LAYER = """
    import torch
    from core import Examples, Workload, accuracy
    def workload():
        return Workload("one", torch.nn.Linear(2, 2), Examples(torch.eye(2), torch.tensor([0, 1])), accuracy())
"""


def test_a_file_that_defines_workload_is_loaded(write_file):
    assert load_workload(str(write_file("one.py", ONE_LAYER))).name == "one"


def test_a_description_survives_the_trip_through_json(tied_lm):
    import json

    description = describe("tied", tied_lm)
    assert Description.from_json(json.loads(json.dumps(description.to_json()))) == description
    assert (description.n_evaluation, description.sweep_examples, description.n_calibration) == (12, 12, None)
    assert description.n_parameters == 11 * 6 + 6 * 6 + 6


@pytest.mark.parametrize(
    ("ref", "mend"),
    [
        ("resnet-51", "unknown model 'resnet-51'; samples: fashion-resnet"),
        ("", "unknown model ''"),
        ("nowhere/model.py", "`secateur init model.py` writes one"),
        ("README.md", "path of a workload file ending in .py"),
    ],
)
def test_a_reference_to_nothing_names_what_there_is(ref, mend):
    with pytest.raises(SecateurError) as error:
        load_workload(ref)
    assert mend in str(error.value)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("x = 1", "must define a function workload()"),
        ("workload = 3", "must define a function workload()"),
        ("def workload(): return 3", "must return a core.Workload, got int"),
        ("def workload(): return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def workload() return 1", "raised SyntaxError"),
        ("import sys; sys.exit(0)", "raised SystemExit: 0"),
        ("def workload(): raise SystemExit('bye')", "raised SystemExit: bye"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
    ],
)
def test_a_file_that_gives_no_workload_is_explained(write_file, text, mend):
    with pytest.raises(SecateurError) as error:
        load_workload(str(write_file("bad.py", text)))
    assert mend in str(error.value)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("x = 1\ndef workload() return 1", " (line 2 of bad.py: def workload() return 1)"),
        ("def workload():\n    return open('gone.pt')", " (line 2 of bad.py: return open('gone.pt'))"),
        ("x = 1\n\nraise ValueError('no')", "no (line 3 of bad.py: raise ValueError('no'))"),
        ("import torch\ndef workload():\n    torch.zeros(2) @ torch.zeros(3)", " (line 3 of bad.py: torch.zeros(2) @"),
        ("import beside\ndef workload():\n    beside.load()", " (line 2 of beside.py: return {}['weights'])"),
    ],
)
def test_an_error_in_a_file_is_told_with_its_innermost_line_of_ones_own(write_file, text, where):
    write_file("beside.py", "def load():\n    return {}['weights']\n")
    with pytest.raises(SecateurError) as error:
        load_workload(str(write_file("bad.py", text)))
    assert where in str(error.value)


@pytest.mark.parametrize("line", ["from core.models import Net", "from core import Net", "import core.models"])
def test_a_project_with_a_package_named_core_is_told_that_the_name_is_taken(write_file, line):
    write_file("core/__init__.py", "Net = 1")
    write_file("core/models.py", "Net = 1")
    with pytest.raises(SecateurError) as error:
        load_workload(str(write_file("mine.py", line)))
    assert "Your 'core' beside this file has the name of a package of Secateur" in str(error.value)
    assert "rename yours" in str(error.value)


def test_a_file_beside_the_workload_shadows_no_package(write_file):
    write_file("json.py", "raise RuntimeError('the wrong json')")
    write_file("helper.py", "value = 2")
    file = write_file("one.py", "import json, helper\n" + textwrap.dedent(ONE_LAYER))
    assert load_workload(str(file)).name == "one"


WITH_A_NEIGHBOUR = "from beside import NAME\n" + textwrap.dedent(ONE_LAYER).replace('"one"', "NAME")


def test_a_module_beside_a_file_is_imported_anew_with_it(write_file):
    write_file("beside.py", "NAME = 'first'")
    file = str(write_file("one.py", WITH_A_NEIGHBOUR))
    assert load_workload(file).name == "first"
    write_file("beside.py", "NAME = 'the second'")
    assert load_workload(file).name == "the second"


@pytest.mark.parametrize("inside", [False, True])
def test_files_in_two_folders_have_each_their_own_neighbour(write_file, inside):
    """One worker describes several files, and half of all projects have a `model.py`."""
    text = WITH_A_NEIGHBOUR
    if inside:  # of the function: imported when it is called
        text = text.replace("from beside import NAME\n", "").replace(
            "    return", "    from beside import NAME\n    return"
        )
    files = []
    for folder in ("a", "b"):
        write_file(f"{folder}/beside.py", f"NAME = {folder!r}")
        files.append(str(write_file(f"{folder}/one.py", text)))
    assert [load_workload(file).name for file in (*files, *files)] == ["a", "b", "a", "b"]
    assert not [entry for entry in sys.path if entry.endswith("/a")]


def test_packages_of_an_environment_inside_the_folder_are_imported_once(write_file, monkeypatch):
    write_file(".venv/lib/site-packages/heavy_package.py", "import time\nMADE = time.perf_counter()")
    monkeypatch.syspath_prepend(write_file(".venv/lib/site-packages/other.py", "").parent)
    file = str(write_file("one.py", "import heavy_package\n" + textwrap.dedent(ONE_LAYER)))
    load_workload(file)
    first = sys.modules["heavy_package"]
    load_workload(file)
    assert sys.modules.pop("heavy_package") is first


def test_an_installed_workload_that_cannot_be_imported_is_explained(monkeypatch):
    point = importlib.metadata.EntryPoint("broken", "no_such_package:workload", loading.GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    with pytest.raises(SecateurError, match=r"broken.*No module named 'no_such_package'"):
        load_workload("broken")
