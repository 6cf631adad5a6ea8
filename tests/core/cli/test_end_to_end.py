"""The installed command in processes of its own, as a person or a script calls it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.jobs.runs import RunStore
from core.workspace import Workspace

pytestmark = pytest.mark.process

SECATEUR = Path(sys.executable).with_name("secateur")


@pytest.fixture
def secateur(tmp_path, monkeypatch):
    """Calls the command in an empty folder and gives what it printed; checks that --json prints one document."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.delenv("SECATEUR_WORKSPACE", raising=False)

    def call(*words, code=0):
        done = subprocess.run(
            [SECATEUR, *map(str, words)], cwd=tmp_path / "cwd", capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        if code:
            assert len([line for line in done.stderr.splitlines() if line.strip()]) == 1, done.stderr
        return json.loads(done.stdout) if "--json" in words or words[0] == "plan" else done

    return call


@pytest.mark.slow
def test_the_template_runs_as_it_is_from_its_sweep_to_its_verified_bundle(secateur, tmp_path):
    here = tmp_path / "cwd"
    secateur("init", "mine.py")
    swept = secateur("sweep", "mine.py", "--samples", "100", "--json")
    assert swept["run"]["state"] == "finished"
    assert len(swept["report"]["cells"]) == 30
    assert swept["report"]["dense"]["value"] > 0.5  # it is trained: chance is 0.25
    assert {cell["state"] for cell in swept["report"]["cells"]} == {"measured"}
    (here / "plan.json").write_text(json.dumps(secateur("plan", "mine.py", "--uniform", "0.5")))
    applied = secateur("apply", "mine.py", "plan.json", "--json")["run"]["result"]
    assert applied["n_removed"] * 2 == applied["n_weights"]
    exported = secateur("export", "mine.py", "plan.json", "out/half", "--json")["run"]["result"]["manifest"]
    assert exported["measured"]["pruned"] == applied["pruned"]
    checked = secateur("verify", "out/half", "--model", "mine.py", "--json")
    assert checked["metric"] == pytest.approx(applied["pruned"]["value"])
    assert [run["kind"] for run in secateur("runs", "--json")] == ["export", "measure", "sweep"]
    assert sorted(path.name for path in (here / "out").iterdir()) == ["half", "half.zip"]


def test_bad_input_is_one_line_and_exit_code_2(secateur, tmp_path, net_file):
    assert set(secateur("sweep", "resnet-51", "--json", code=2)) == {"error"}
    done = secateur("sweep", net_file, "--layers", "conv", code=2)  # found by the worker, told by the command
    assert "--layers 'conv' matches no target" in done.stderr
    assert done.stdout == ""


def test_a_project_s_own_core_beside_the_file_is_explained_and_beside_the_reader_is_no_matter(
    secateur, tmp_path, net_text
):
    project = tmp_path / "cwd"
    (project / "core").mkdir()
    (project / "core" / "__init__.py").write_text("raise RuntimeError('the wrong core')")
    (project / "net.py").write_text(net_text)
    (project / "mine.py").write_text("from core.models import Net\n")
    assert secateur("sweep", "net.py", "--sparsities", "0.5", "--json")["run"]["state"] == "finished"
    done = secateur("targets", "mine.py", code=2)
    assert "Your 'core' beside this file has the name of a package of Secateur" in done.stderr


def test_help_answers_without_torch(tmp_path):
    code = (
        "import sys; from core.cli import main\ntry: main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_terminal_may_be_left(slow_file, tmp_path, how):
    """Ctrl-C stops the run and keeps what it measured; a terminal that is closed leaves the worker at work."""
    words = [SECATEUR, "sweep", slow_file, "--json", "--workspace", tmp_path / "ws"]
    follower = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )

    store = RunStore(Workspace(tmp_path / "ws"))

    end = time.monotonic() + 60
    while not any(run.done >= 2 for run in store.list()):
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(follower.pid, how)
    out, _ = follower.communicate(timeout=60)
    while store.list()[0].active:
        assert time.monotonic() < end
        time.sleep(0.01)
    (run,) = store.list()
    if how == signal.SIGINT:
        assert follower.returncode == 2
        assert json.loads(out)["run"]["state"] == run.state == "cancelled"
        assert 2 <= run.done < run.total
    else:
        assert (run.state, run.done) == ("finished", run.total)
