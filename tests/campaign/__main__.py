"""Attack work of every kind and count what became of it.

`python -m tests.campaign [--seed S] [--kills N] [--faults N] [--kinds exact,recover] [--families kills,disks]`

Every fault is drawn from the seed; moments of kills are drawn too, and where in a run they fall is up to the machine.
It ends with a table and with exit code 1 if a promise of docs/promises.md was not kept. The table so far is printed
after each kind of work, and when it is interrupted or terminated.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: forks of a process with threads would hang

import torch

import core.delivery.bundles.verify
import core.jobs.works.registry  # noqa: F401 - what workers import, before they are forked
from core.drafted import named_after_me
from tests import warm
from tests.campaign.commands import commands
from tests.campaign.damage import databases, delivered, rounds
from tests.campaign.disks import disks
from tests.campaign.formats import formats
from tests.campaign.inputs import inputs
from tests.campaign.kills import kills, signals
from tests.campaign.mounts import clear_dead, mounts
from tests.campaign.outcomes import Outcomes
from tests.campaign.together import helpers, plans, servers
from tests.campaign.works import KINDS, world

FAMILIES = (
    "kills", "signals", "disks", "mounts", "inputs", "commands", "damage", "formats", "helpers", "plans", "servers",
)  # fmt: skip
HELPED = ("exact", "full passes", "race")  # kinds of work that `secateur work` takes a part of
SLOW = 0.02  # seconds of a forward pass of the model that is helped with
SHARES = {"export": 0.25, "merge": 0.5, "recover": 1.0}  # of an even part: what takes long is attacked less often
IN_MEMORY = Path("/dev/shm")  # whoever is killed there has written as much as on a disk, without waiting for one
WITHOUT_FILE = ("merge",)  # reads no workload file, and takes no signals of a worker


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kills", type=int, default=60, help="of workers, over all kinds of work; and as many of what is beside"
    )
    parser.add_argument("--faults", type=int, default=60, help="other faults over all kinds of work")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of work, separated by commas")
    parser.add_argument("--families", default=",".join(FAMILIES), help="of faults, separated by commas")
    parser.add_argument("--folder", help="where workspaces are made; by default in memory, where there is such a place")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm.install()
    signal.signal(signal.SIGINT, _ended)  # what is started in the background would ignore it
    signal.signal(signal.SIGTERM, _ended)
    kinds, families = tuple(options.kinds.split(",")), tuple(options.families.split(","))
    rng, outcomes, begun = random.Random(options.seed), Outcomes(), time.monotonic()
    place = Path(options.folder or (IN_MEMORY if IN_MEMORY.is_dir() else tempfile.gettempdir())).resolve()
    clear_dead(place)
    with tempfile.TemporaryDirectory(prefix=f"secateur-campaign-{named_after_me()}-", dir=place) as folder:
        found = world(Path(folder), kinds)
        print(f"{time.monotonic() - begun:.0f} s: each kind of work done twice, alike", flush=True)
        try:
            for kind in kinds:
                share = SHARES.get(kind, 1.0) / len(kinds)
                if "kills" in families:
                    kills(found, kind, max(1, round(options.kills * share)), rng, outcomes)
                each = max(1, round(options.faults * share / 3))
                if "disks" in families:
                    disks(found, kind, each, rng, outcomes)
                if "mounts" in families:
                    mounts(found, kind, each, rng, outcomes)
                if "commands" in families:
                    commands(found, kind, max(1, round(options.kills * share / 2)), rng, outcomes)
                if kind not in WITHOUT_FILE and "signals" in families:
                    signals(found, kind, each, rng, outcomes)
                if kind not in WITHOUT_FILE and "inputs" in families:
                    inputs(found, kind, each, rng, outcomes)
                print(f"\n{time.monotonic() - begun:.0f} s, with {kind}:\n{outcomes.table()}", flush=True)
            each = max(1, options.faults // 8)
            if "damage" in families:
                for kind, attack in (("exact", databases), ("recover", rounds), ("export", delivered)):
                    if kind in kinds:
                        attack(found, each, rng, outcomes)
            if "formats" in families:
                formats(found, max(1, each // 2), rng, outcomes)
            if "plans" in families:
                plans(found, max(1, options.kills // 6), rng, outcomes)
            if "servers" in families and "exact" in kinds:
                servers(found, max(1, options.kills // 20), rng, outcomes)
            helped = tuple(kind for kind in kinds if kind in HELPED)
            if "helpers" in families and helped:
                slow = world(Path(folder) / "slow", helped, SLOW)
                for kind in helped:
                    helpers(slow, kind, max(1, options.kills // 12), rng, outcomes)
                    print(f"\n{time.monotonic() - begun:.0f} s, with helped {kind}:\n{outcomes.table()}", flush=True)
        finally:
            warm.stop()
            print(outcomes.table(), "", outcomes.spoken(), sep="\n")
    print(f"\n{time.monotonic() - begun:.0f} s; {len(outcomes.failures)} not as promised")
    for failure in outcomes.failures:
        print(f"  {failure}")
    sys.exit(1 if outcomes.failures else 0)


def _ended(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
