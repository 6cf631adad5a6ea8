"""A command that is interrupted says what became of its run, on one line."""

import os
import signal
import time

import pytest

from core.cli import following, main
from core.cli.failure import Interrupted
from core.jobs.runs import RunStore
from core.workspace import Workspace
from tests.core.cli.running import secateur


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path))


def interrupted(times, then):
    left = [times]

    def wait(store, run, news):
        if left[0]:
            left[0] -= 1
            os.kill(os.getpid(), then)
            signal.pause()
        return store.get(run.id)

    return wait


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_twice_it_says_what_becomes_of_the_run(runs, monkeypatch, sent):
    run, _ = runs.submit("sweep", "w", {})
    monkeypatch.setattr(following, "_wait", interrupted(2, sent))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=f"run {run.id} stops .* `secateur resume {run.id}` goes on") as ended:
        following.follow(runs, run, True, False, False)
    assert ended.value.exit_code == 130
    assert runs.get(run.id).state == "cancelled"
    assert signal.getsignal(signal.SIGTERM) == before


def test_interrupted_while_it_says_its_last_word_it_says_it_all_the_same(tmp_path, monkeypatch, capsys):
    Workspace(tmp_path)
    monkeypatch.setattr(RunStore, "list", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    show = Interrupted.show
    monkeypatch.setattr(Interrupted, "show", lambda self: (os.kill(os.getpid(), signal.SIGINT), show(self)))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        main(["runs", "--workspace", str(tmp_path)])
    assert ended.value.code == 130
    assert "secateur: interrupted; " in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before


def test_a_command_that_follows_nothing_says_a_word_as_well(tmp_path, monkeypatch, capsys):
    Workspace(tmp_path)
    monkeypatch.setattr(RunStore, "list", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit) as ended:
        main(["runs", "--workspace", str(tmp_path)])
    assert ended.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_command_that_is_terminated_before_it_follows_anything_says_a_word_too(tmp_path, monkeypatch, capsys):
    Workspace(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def terminated(*a):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    monkeypatch.setattr(RunStore, "list", terminated)
    with pytest.raises(SystemExit) as ended:
        main(["runs", "--workspace", str(tmp_path)])
    assert ended.value.code == 130
    assert capsys.readouterr().err == (
        "secateur: interrupted; what is under way `secateur runs` lists, and `secateur stop` stops\n"
    )
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.cold
@pytest.mark.process
def test_a_run_whose_model_hangs_is_ended_by_a_second_stop_and_goes_on_when_it_is_mended(net_file, runs):
    here = ("--workspace", runs.workspace.folder)
    text = net_file.read_text(encoding="utf-8")
    net_file.write_text(text.replace("import time\n", "import time\ntime.sleep(1000)\n", 1), encoding="utf-8")
    assert secateur("sweep", net_file, "--sparsities", "0.5", "--detach", *here).exit_code == 0
    (run,) = runs.list("sweep")
    end = time.monotonic() + 60
    while runs.get(run.id).phase != "loading the model":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "is stopping." in secateur("stop", run.id, *here).stdout
    said = secateur("stop", run.id, *here).stdout
    assert f"Run {run.id} is stopped: it did not stop by itself, so its process was ended." in said
    net_file.write_text(text, encoding="utf-8")
    assert secateur("resume", run.id, *here).exit_code == 0
    assert runs.get(run.id).state == "finished"
