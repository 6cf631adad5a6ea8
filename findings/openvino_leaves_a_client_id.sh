#!/usr/bin/env bash
# openvino 2026.4.1 (with openvino-telemetry 2025.2.0, which it installs): `import openvino` alone leaves a client id in the
# home folder, and DO_NOT_TRACK does not keep it from that.
#
# Expected: an import writes nothing; a person who set DO_NOT_TRACK=1 is given no id.
# Observed: ~/intel/openvino_ga_cid and ~/intel/stats appear, with and without DO_NOT_TRACK=1. With the package
#           openvino_telemetry kept out of sys.modules nothing is written, and reading, compiling and saving work.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openvino==2026.4.1 openvino-telemetry==2025.2.0
files() { # what an import leaves in a new home, with the given environment
    home=$(mktemp -d "$work/home.XXXX")
    env -i HOME="$home" TMPDIR="$home" PATH="$PATH" "${@:2}" "$work/venv/bin/python" -I -c "$1" >&2
    sleep 2
    (cd "$home" && find . -type f | sort)
}
plain=$(files "import openvino")
asked=$(files "import openvino" DO_NOT_TRACK=1)
without=$(files "import sys; sys.modules['openvino_telemetry'] = None; import openvino; openvino.Core()")
printf 'left by an import:\n%s\nwith DO_NOT_TRACK=1:\n%s\nwithout openvino_telemetry:\n%s\n' \
    "${plain:-nothing}" "${asked:-nothing}" "${without:-nothing}"
grep -q openvino_ga_cid <<<"$plain" && grep -q openvino_ga_cid <<<"$asked" && [ -z "$without" ]
