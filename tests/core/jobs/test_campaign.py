"""A short part of the campaign of faults; `python -m tests.campaign` is the whole."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.campaign.outcomes import Outcomes

ROOT = Path(__file__).parents[3]
SHORT = (
    "--seed 1 --kills 6 --faults 9 --kinds exact,recover,merge "
    "--families kills,signals,disks,mounts,inputs,commands,damage,formats,plans,helpers"
)


@pytest.mark.process
@pytest.mark.slow
def test_nothing_that_was_measured_is_lost_whatever_is_attacked():
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign", *SHORT.split()],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=420,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *_, line = [line for line in done.stdout.splitlines() if line.startswith("all ")]
    injected, *bad = map(int, line.split()[1:])
    assert injected >= 20  # a kill that came after the end is none
    assert bad == [0, 0, 0, 0]


def test_a_promise_that_is_not_kept_is_counted_and_told(capsys):
    outcomes = Outcomes()
    outcomes.injected("kill -9", "exact", 3)
    outcomes.bad("lost", "kill -9", "exact", "two rows")
    assert outcomes.counts["kill -9", "exact"] == Counter(injected=3, lost=1)
    assert outcomes.failures == ["lost: kill -9, exact: two rows"]
    assert outcomes.table().splitlines()[-1].split() == ["all", "3", "1", "0", "0", "0"]
    assert "two rows" in capsys.readouterr().out
