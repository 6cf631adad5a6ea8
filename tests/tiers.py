"""Four tiers of tests by what they need; each is a marker, and what it cost is told at the end of a run.

- plain: imports no torch: plans, wording, figures, the solver, the words of the command line. `pytest -m plain` is for
  while one works.
- model: measures, cuts or trains a small model in this process.
- process: starts processes of its own: workers, fresh readers of a bundle, the installed command.
- browser: drives a Chromium.

A test is plain unless its module, what that imports, or a fixture imports torch; then it is a model test. A marker says
what cannot be read from imports: `pytestmark`, or at a test, which wins. In a run of the plain tests only there is no
torch to import, and modules that need it are not even collected; beside other tests, a plain one that imports it fails
all the same, and one that starts a process. A model test that starts a process is named at the end, to be marked.
"""

import ast
import builtins
import dis
import functools
import os
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import core
from tests import warm

ROOT = Path(__file__).parents[1]
UNMARKED = "a process, unmarked"
BUDGETS = {"plain": 45, "model": 420, "process": 420, "browser": 180}  # seconds of CPU; told, not asserted
GIVE_A_MODEL = {"net_file", "slow_file", "trained"}  # who takes the file of a workload means to have it loaded
_ONLY_PLAIN = pytest.StashKey[bool]()
_TIER = pytest.StashKey[str]()
_LAST = pytest.StashKey[float]()
_STARTED: list[str] = []  # programs that this process started as processes of their own
sys.addaudithook(lambda event, args: _STARTED.append(str(args[0])) if event == "subprocess.Popen" else None)


# which tier


def _path_of(module: str) -> Path | None:
    """The file of a module of this repository."""
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _named(module: str, names: list[str]) -> list[str]:
    """Modules that `from module import names` may import; `core` knows where its names live."""
    if module == "core":
        return ["core", *(core._HOMES.get(name, f"core.{name}") for name in names)]
    return [module, *(f"{module}.{name}" for name in names)]


def _imports(node: ast.AST) -> Iterator[str]:
    """Modules imported by the statements of a file that run when it is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from _named(child.module or "", [alias.name for alias in child.names])
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif isinstance(child, ast.stmt | ast.ExceptHandler) and not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef
        ):
            yield from _imports(child)


@functools.cache
def _imported_by(path: Path) -> frozenset[str]:
    return frozenset(_imports(ast.parse(path.read_bytes())))


@functools.cache
def _needs_torch(*modules: str) -> bool:
    """Whether importing these modules imports torch."""
    seen, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module.split(".")[0] == "torch":
            return True
        if module in seen:
            continue
        seen.add(module)
        if path := _path_of(module):
            todo += _imported_by(path)
            todo += [module.rpartition(".")[0]] if "." in module else []
    return False


@functools.cache
def _file_needs_torch(path: Path) -> bool:
    """Whether a test file, or a conftest above it, needs torch."""
    above = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT / "tests")]
    return any(_needs_torch(*sorted(_imported_by(p))) for p in (path, *above) if p.is_file())


@functools.cache
def _code_needs_torch(code: types.CodeType) -> bool:
    """Whether a function's own import statements import torch."""
    found: list[str] = []
    names: list[str] = []
    for step in reversed(list(dis.get_instructions(code))):
        if step.opname == "IMPORT_FROM":
            names.append(step.argval)
        elif step.opname == "IMPORT_NAME":
            found += _named(step.argval, names)
            names = []
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return bool(found and _needs_torch(*found)) or any(map(_code_needs_torch, inner))


def _functions_of(item: pytest.Item) -> Iterator[Any]:
    """The test's function, and those of its fixtures."""
    yield getattr(item, "function", None)
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        yield definitions[-1].func


def tier_of(item: pytest.Item) -> str:
    """The tier of a test."""
    if mark := next((mark.name for mark in item.iter_markers() if mark.name in BUDGETS), None):
        return mark
    if item.path.is_relative_to(ROOT / "tests" / "browser"):
        return "browser"
    if GIVE_A_MODEL & set(getattr(item, "fixturenames", ())):
        return "model"
    codes = [getattr(function, "__code__", None) for function in _functions_of(item)]
    torch = _file_needs_torch(item.path) or any(_code_needs_torch(code) for code in codes if code)
    return "model" if torch else "plain"


# hooks of the processes that run tests


_WHY = "a plain test does without torch: mark this one `model`, see tests/tiers.py"


class _NoTorch:
    """Finds no torch, and says why."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "torch":
            raise ImportError(_WHY)


_import = builtins.__import__


def _import_without_torch(
    name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
) -> Any:
    """What `import` does in a plain test beside others, in a process that knows torch already.

    Arguments are called as those of `__import__`: compiled modules call it by name.
    """
    if level == 0 and _needs_torch(*_named(name, list(fromlist or ()))):
        raise ImportError(_WHY)
    return _import(name, globals, locals, fromlist, level)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ONLY_PLAIN] = config.option.markexpr == "plain"
    if config.stash[_ONLY_PLAIN]:
        sys.meta_path.insert(0, _NoTorch)
    config.pluginmanager.register(_Costs(config), "tiers-costs")
    warm.install()


def pytest_unconfigure() -> None:
    warm.stop()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A run of the plain tests only leaves out what cannot hold one."""
    if not config.stash[_ONLY_PLAIN] or not collection_path.name.startswith("test_"):
        return None
    return True if collection_path.parent.name == "browser" or _file_needs_torch(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.stash[_TIER] = tier = tier_of(item)
        if item.get_closest_marker(tier) is None:
            item.add_marker(tier)
        if tier == "browser":
            item.add_marker(pytest.mark.timeout(900))  # all screens, on a machine that others use too
    # one worker starts at the front: the browser keeps to it, and is not what everybody waits for at the end
    items.sort(key=lambda item: item.stash[_TIER] != "browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    tier, before = item.stash[_TIER], len(_STARTED)
    if tier == "plain":
        builtins.__import__ = _import_without_torch
    try:
        result = yield
    finally:
        builtins.__import__ = _import
    if tier == "plain" and len(_STARTED) > before:
        pytest.fail(f"started {_STARTED[before:]}: mark it `process`", pytrace=False)
    if tier == "model" and len(_STARTED) > before:
        item.stash[_TIER] = UNMARKED
    return result


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it waited for."""
    return sum(os.times()[:4]) + sum(warm.SPENT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    item.stash[_LAST] = _cpu()
    warm.is_on = item.get_closest_marker("cold") is None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A report carries the tier, and the CPU of its phase."""
    report: Any = yield
    now = _cpu()
    report.tier, report.cpu = item.stash[_TIER], now - item.stash[_LAST]
    item.stash[_LAST] = now
    return report


# what the run says of them


@dataclass
class _Cost:
    n: int = 0
    cpu: float = 0.0
    wall: float = 0.0


@dataclass(eq=False)
class _Costs:
    """Adds up what reports say, in the process that prints."""

    config: pytest.Config
    of: dict[str, _Cost] = field(default_factory=lambda: {tier: _Cost() for tier in BUDGETS})
    unmarked: list[str] = field(default_factory=list)
    workers: float = 0.0  # seconds of CPU of whole workers

    def pytest_runtest_logreport(self, report: Any) -> None:
        if tier := getattr(report, "tier", None):
            if tier == UNMARKED:
                self.unmarked += [report.nodeid] * (report.when == "call")
                tier = "process"
            cost = self.of[tier]
            cost.n += report.when == "call" or (report.when == "setup" and not report.passed)
            cost.cpu += report.cpu
            cost.wall += report.duration

    def pytest_sessionfinish(self) -> None:
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["cpu"] = _cpu()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.workers += (getattr(node, "workeroutput", None) or {}).get("cpu", 0.0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not any(cost.n for cost in self.of.values()):
            return
        terminalreporter.section("tiers")
        terminalreporter.write_line(f"{'':12}{'tests':>6}{'CPU s':>8}{'wall s':>8}{'budget, CPU s':>15}")
        for tier, cost in self.of.items():
            if cost.n:
                over = " over" if cost.cpu > BUDGETS[tier] else ""
                terminalreporter.write_line(
                    f"{tier:12}{cost.n:6}{cost.cpu:8.0f}{cost.wall:8.0f}{BUDGETS[tier]:15}{over}"
                )
        for test in self.unmarked:
            terminalreporter.write_line(f"starts a process, mark it `process`: {test}")
        whole = (self.workers or _cpu()) - sum(cost.cpu for cost in self.of.values())
        terminalreporter.write_line(
            f"{'beside them':12}{'':6}{whole:8.0f}  imports, collection, what outlived its test"
        )


# workers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many workers as cores, at most 8 of 1 GB each; none where files or tests were named: they start at once."""
    named = config.invocation_params.args and all("::" in a or a.endswith(".py") for a in config.args)
    if named or config.option.usepdb:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8)
