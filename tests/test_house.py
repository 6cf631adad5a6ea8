"""The house rules that a tool can check; the same command for a contributor and for CI."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.beside import TOOLS

ROOT = Path(__file__).parents[1]


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


@pytest.mark.process
def test_the_plain_tests_are_a_third_of_all_and_collected_without_torch(request):
    words = [sys.executable, "-m", "pytest", "-m", "plain", "--collect-only", "-n0", "-q"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    n_plain = sum(int(line.rpartition(": ")[2]) for line in done.stdout.splitlines() if line.startswith("tests/"))
    assert n_plain > 1000
    if request.session.testscollected > 3000:  # all of them
        assert n_plain >= request.session.testscollected / 3
