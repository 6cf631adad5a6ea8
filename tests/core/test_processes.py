"""A process stays the same one whatever happens to the clock."""

import os
import subprocess
import sys

import psutil
import pytest

from core.drafted import named_after_me, scratch, still_lives
from core.processes import is_gone, started


@pytest.fixture
def stepped(monkeypatch):
    """The clock is set on by ten seconds: what psutil says of when processes began moves with it."""
    before = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: before(self) + 10.0)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="elsewhere systems keep the moment itself")
def test_a_step_of_the_clock_makes_nobody_look_dead(stepped, tmp_path, monkeypatch):
    mine = started(os.getpid())
    assert not is_gone(os.getpid(), mine)
    assert still_lives(named_after_me())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as outer, scratch():
        assert outer.is_dir()


def test_rows_of_older_builds_tell_it_by_psutils_moment():
    assert not is_gone(os.getpid(), psutil.Process().create_time())


@pytest.mark.process
def test_another_process_of_the_same_number_and_one_that_ended_are_gone():
    assert is_gone(os.getpid(), started(os.getpid()) - 500)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = started(child.pid)
    assert not is_gone(child.pid, began)
    child.communicate(b"\n")
    assert is_gone(child.pid, began)


@pytest.mark.process
def test_a_killed_process_that_nobody_has_waited_for_yet_lives_no_more():
    code = "from core.drafted import named_after_me; print(named_after_me(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        name = child.stdout.readline().decode().strip()
        assert still_lives(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        assert not still_lives(name)
