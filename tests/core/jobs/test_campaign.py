"""A short part of the campaign of faults; `python -m tests.campaign` is the whole."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from core.drafted import named_after_me
from core.processes import is_gone, started
from tests.campaign.outcomes import Outcomes

ROOT = Path(__file__).parents[3]
SHORT = (
    "--seed 1 --kills 6 --faults 9 --kinds exact,recover,merge "
    "--families kills,signals,disks,mounts,inputs,commands,damage,formats,plans,helpers"
)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_that_was_measured_is_lost_whatever_is_attacked():
    campaign = subprocess.Popen(
        [sys.executable, "-m", "tests.campaign", *SHORT.split()], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, errors = campaign.communicate(timeout=540)
    finally:
        _end(campaign)
    assert campaign.returncode == 0, out + errors
    *_, line = [line for line in out.splitlines() if line.startswith("all ")]
    injected, *bad = map(int, line.split()[1:])
    assert injected >= 15  # where nothing can be mounted and some kills come after the end, which are none
    assert bad == [0, 0, 0, 0]


def _end(campaign):
    """It unmounts what it has mounted if it is asked; of its session nobody is left."""
    if campaign.poll() is None:
        campaign.terminate()
        with suppress(subprocess.TimeoutExpired):
            campaign.communicate(timeout=30)
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == campaign.pid:
                os.kill(process.pid, signal.SIGKILL)
    campaign.wait()


LONG = """
import sys, time
from pathlib import Path
from tests.campaign.children import child
print(child(Path(sys.argv[1]), lambda: time.sleep(1000)).pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.process
def test_whoever_is_attacked_dies_with_a_campaign_that_is_killed(tmp_path):
    from tests.campaign.commands import came  # which imports torch

    campaign = subprocess.Popen(
        [sys.executable, "-c", LONG, str(tmp_path / "job")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with campaign:
        pid = int(campaign.stdout.readline())
        began = started(pid)
        assert not is_gone(pid, began)
        campaign.kill()
    assert came(lambda: is_gone(pid, began))


@pytest.mark.process
def test_what_a_killed_campaign_has_mounted_and_written_is_removed_and_that_of_the_living_is_not(tmp_path):
    from tests.campaign.mounts import clear_dead  # which imports torch

    name = "import os; from core.drafted import named_after_me; print(named_after_me(), flush=True); os._exit(9)"
    dead = subprocess.run([sys.executable, "-c", name], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    left, mine = (tmp_path / f"secateur-campaign-{who}-x1" for who in (dead, named_after_me()))
    for folder in (left, mine):
        (folder / "mounted").mkdir(parents=True)
    with suppress(OSError):  # where nothing may be mounted, the folder alone is left
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(left / "mounted")], capture_output=True)
    clear_dead(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


def test_a_promise_that_is_not_kept_is_counted_and_told(capsys):
    outcomes = Outcomes()
    outcomes.injected("kill -9", "exact", 3)
    outcomes.bad("lost", "kill -9", "exact", "two rows")
    assert outcomes.counts["kill -9", "exact"] == Counter(injected=3, lost=1)
    assert outcomes.failures == ["lost: kill -9, exact: two rows"]
    assert outcomes.table().splitlines()[-1].split() == ["all", "3", "1", "0", "0", "0"]
    assert "two rows" in capsys.readouterr().out
