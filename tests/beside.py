"""ruff and mypy run beside the tests: started when a run begins, judged by `test_house.py`, which comes last."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = {"ruff check": ["ruff", "check"], "ruff format": ["ruff", "format", "--check"], "mypy": ["mypy"]}
_SH = 'exec 2>/dev/null; "$@" >"$OUT" 2>&1; echo $? >"$OUT.part"; mv "$OUT.part" "$OUT.code"'


_FOLDER = pytest.StashKey[Path]()  # where what the tools say is kept, the same for all workers of a run


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.workerinput["tools"] if _is_worker(config) else tempfile.mkdtemp(prefix="secateur-tools-")
    config.stash[_FOLDER] = Path(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["tools"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _is_worker(config):
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """The first worker starts the tools that are asked for, with less right to the processor than the tests."""
    config = session.config
    if config.option.collectonly or os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return
    asked = {item.callspec.params["tool"] for item in session.items if "said_by" in getattr(item, "fixturenames", ())}
    for tool in TOOLS:
        if tool in asked:
            command = ["nice", "sh", "-c", _SH, "sh", sys.executable, "-m", *TOOLS[tool]]
            env = {**os.environ, "OUT": str(config.stash[_FOLDER] / tool)}
            process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True)
            process.returncode = 0  # nobody waits for it here: this worker may end before the one that judges it


@pytest.fixture(scope="session")
def said_by(pytestconfig: pytest.Config):
    """Gives the exit code of a tool and what it said, when it is done."""

    def wait(tool: str) -> tuple[int, str]:
        out = pytestconfig.stash[_FOLDER] / tool
        code = out.with_name(f"{tool}.code")
        while not code.exists():
            time.sleep(0.05)
        return int(code.read_text()), out.read_text()

    return wait
