#!/usr/bin/env bash
# ray 2.60.0: `ray.init()` asks the network which cloud this machine is in although usage statistics are off and no
# dashboard was asked for.
#
# Expected: with RAY_USAGE_STATS_ENABLED=0 and include_dashboard=False a Ray of this machine alone asks nothing of the
#           network: the cloud's name is part of the usage statistics alone (ray/_common/usage/usage_lib.py).
# Observed: within seconds a request for http://169.254.169.254/metadata/instance, the metadata address of clouds, is
#           made; here by way of a proxy on the loopback, which writes down what it is asked and answers 404.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
proxy=
trap '[ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q ray==2.60.0
cat >"$work/proxy.py" <<'PROXY'
import http.server
import sys


class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.command, self.path, flush=True)
        self.send_error(404)

    do_PUT = do_POST = do_HEAD = do_CONNECT = do_GET

    def log_message(self, *of):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked)
print(server.server_port, file=open(sys.argv[1], "w"), flush=True)
server.serve_forever()
PROXY
python3 "$work/proxy.py" "$work/port" >"$work/asked" &
proxy=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
mkdir "$work/home"
env -i HOME="$work/home" PATH="$PATH" RAY_USAGE_STATS_ENABLED=0 http_proxy="http://127.0.0.1:$(cat "$work/port")" \
    no_proxy=127.0.0.1,localhost "$work/venv/bin/python" -I - "$work" >&2 <<'DRIVER'
import sys
import time

import ray

ray.init(address="local", include_dashboard=False, num_cpus=1, _temp_dir=f"{sys.argv[1]}/ray")
time.sleep(20)
ray.shutdown()
DRIVER
printf 'asked with statistics off:\n%s\n' "$(cat "$work/asked")"
grep -q '169\.254\.169\.254' "$work/asked"
