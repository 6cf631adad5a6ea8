"""The house rules that a tool can check; the same command for a contributor and for CI."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.beside import TOOLS
from tests.imports import MODULES, ROOT, needs, of

# From ground to roof: a room knows what is before it, never what is behind it.
FLOORS = {
    "core": (
        "offline",
        "errors",
        "bounded",
        "processes",
        "drafted",
        "numbers",
        "typed",
        "shown",
        "workspace",
        "workload",
        "plans",
        "pruning",
        "sensitivity",
        "certificates",
        "quantization",
        "engines",
        "profiling",
        "delivery",
        "tuning",
        "recovery",
        "graph",
        "jobs",
        "tracking",
        "reports",
        "api",
        "cli",
    ),
    # The hall of a room is on no floor: plain values lie there, which its chambers read, and what joins the chambers.
    "core.workload": ("layers", "identity", "metrics", "inputs", "programs", "sources"),
    "core.plans": ("costs", "solver"),
    "core.pruning": ("coupling", "criteria", "repair"),
    "core.sensitivity": ("statistics", "forwards", "search", "measuring", "checking", "inside", "maps"),
    "core.engines": ("runners", "adapters"),
    "core.profiling": ("shipped", "held", "pays", "stairs", "frontier"),
    "core.delivery": ("packed", "quantized", "formats", "card", "bundles"),
    "core.recovery": ("training", "tickets", "reproduction"),
    "core.jobs": ("known", "checking", "merging", "places", "cluster", "works"),
    "core.cli": ("tables", "looking", "measuring", "tuning", "training", "judging", "delivering"),
    "dashboard": ("frame", "figures", "tuner", "maps", "graph", "serving", "start", "screens"),
    "dashboard.screens": ("model", "map", "tune", "recover", "deliver"),
}
MOST_MODULES, MOST_LINES = 15, 400
ROOMS = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


@pytest.mark.process
@pytest.mark.parametrize("tool", TOOLS)
def test_the_code_is_clean(tool, said_by):
    code, said = said_by(tool)
    assert code == 0, said


@pytest.mark.process
def test_the_top_level_holds_what_the_contributing_page_names():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    named = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "core",
        "dashboard",
        "docs",
        "findings",
        "sample_models",
        "tests",
    }
    assert {name for name in top if not name.startswith(".")} <= named


def test_nothing_reads_or_writes_a_pickle():
    words = ("import pickle", "torch.load(", "torch.save(", "allow_pickle=True", "joblib", "cloudpickle")
    for package in ("core", "dashboard", "sample_models"):
        for path in (ROOT / package).rglob("*.py"):
            found = [word for word in words if word in path.read_text()]
            assert not found, f"{path} has {found}"


def chamber(room, module):
    """Which part of a room a module belongs to; `None` outside, and in the hall where only folders are on a floor."""
    inner = module.removeprefix(room + ".").partition(".")[0] if module.startswith(room + ".") else ""
    return inner if inner in FLOORS[room] else None


def climbing(room):
    """Imports of a room that run up: who, and what."""
    floors = FLOORS[room]
    for name in of(room):
        here = chamber(room, name)
        for module in needs(name):
            there = chamber(room, module)
            if here and there and floors.index(there) > floors.index(here):
                yield f"{name} imports {module}"


@pytest.mark.parametrize("room", FLOORS)
def test_imports_only_run_down(room):
    assert not list(climbing(room))


@pytest.mark.parametrize("room", FLOORS)
def test_every_chamber_is_on_a_floor(room):
    there = {name.removeprefix(room + ".").partition(".")[0] for name in of(room) if name != room}
    halls = () if room == "core" else [name for name in there if f"{room}.{name}" not in ROOMS]
    assert there - set(halls) == set(FLOORS[room])


def test_nothing_below_reads_the_hall_of_the_whole_house():
    assert not [name for name in of("core") if {"core", "core.cli"} & needs(name)]


def test_no_two_modules_need_each_other():
    try:
        TopologicalSorter({name: needs(name) for name in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_an_import_that_runs_up_is_seen(tmp_path, monkeypatch):
    (tmp_path / "plan.py").write_text("def late():\n    from core.jobs.runs import RunStore\n")
    monkeypatch.setitem(MODULES, "core.plans.plan", tmp_path / "plan.py")
    assert list(climbing("core")) == ["core.plans.plan imports core.jobs.runs"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_can_be_taken_in_at_a_glance(room):
    modules = [name for name in of(room) if name.rpartition(".")[0] == room and name not in ROOMS]
    assert len(modules) <= MOST_MODULES


def test_no_module_is_longer_than_a_reader_can_hold():
    lengths = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_lives_in_it_and_what_it_never_knows(room):
    said = ast.get_docstring(ast.parse(MODULES[room].read_text(encoding="utf-8"))) or ""
    assert len(said.split("\n")) >= 3


def test_every_path_that_the_contributing_page_names_is_there():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:core|dashboard|tests|docs|sample_models)/[\w/.-]+)`", page))
    assert len(named) > 40
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


@pytest.mark.process
def test_the_plain_tests_are_a_third_of_all_and_collected_without_torch(request):
    words = [sys.executable, "-m", "pytest", "-m", "plain", "--collect-only", "-n0", "-q"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    n_plain = sum(int(line.rpartition(": ")[2]) for line in done.stdout.splitlines() if line.startswith("tests/"))
    assert n_plain > 1000
    if request.session.testscollected > 3000:  # all of them
        assert n_plain >= request.session.testscollected / 3
