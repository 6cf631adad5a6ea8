#!/usr/bin/env bash
# ray 2.60.0: after `ray.shutdown()` a process cannot start another Ray of its own with another RAY_AUTH_TOKEN.
#
# Expected: `ray.init(address="local")` starts a new instance that takes the token which the environment has then, driver
#           and all; nothing that is said of RAY_AUTH_TOKEN says that it is read once for ever.
# Observed: the driver goes on with the token that it read first, the processes that it starts have the new one, and
#           after some 20 s it ends: "Failed to start GCS", InvalidAuthToken, token missing or incorrect, see to
#           RAY_AUTH_TOKEN. With the first token again it starts.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q ray==2.60.0
mkdir "$work/home"
env -i HOME="$work/home" PATH="$PATH" RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token \
    "$work/venv/bin/python" -I - "$work" <<'DRIVER'
import os
import sys

import ray


def started(token):
    os.environ["RAY_AUTH_TOKEN"] = token
    try:
        ray.init(address="local", include_dashboard=False, num_cpus=1, _temp_dir=f"{sys.argv[1]}/ray")
    except Exception as error:
        found = " … ".join(line.strip() for line in str(error).splitlines() if "GCS" in line or "Token" in line)
    else:
        found = "started"
    ray.shutdown()
    print(f"{token[:1]}…: {found}", flush=True)
    return found


first, other, again = (started(token * 64) for token in "aba")
sys.exit(not (first == again == "started" and "Failed to start GCS" in other and "InvalidAuthToken" in other))
DRIVER
