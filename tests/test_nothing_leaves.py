"""Nothing leaves the machine: every kind of command runs where a call to the outside would be seen."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from core.offline import SILENT
from core.tracking.registry import TRACKERS
from tests.imports import MODULES, ROOT, imports_of

HOME = "core.offline"  # the one module that may import onnxruntime
RUNNER = "core.engines.runners.onnx_runtime"
# loopback is down in a new network; then the rest is traced, by the kernel's own list of calls
IN_A_NETWORK_OF_ITS_OWN = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
os.execvp("strace", ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg",
                     "-o", sys.argv[1], *sys.argv[2:]])
"""
CALL = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|AF_INET6, )"([^"]+)"')


def imports_of_onnxruntime(text):
    """Lines that import it by a statement."""
    for node in ast.walk(ast.parse(text)):
        named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] == "onnxruntime" for name in named):
            yield node.lineno


def test_only_one_module_imports_onnx_runtime():
    found = [name for name in MODULES if any(m.split(".")[0] == "onnxruntime" for m in imports_of(name))]
    # by a statement: the one home imports it by name, after it has set the variable; a runner is a script that knows
    # nothing of ours, in a process that gets the variable with its environment
    assert found == [RUNNER]
    assert "**SILENT, **SEALED" in MODULES["core.engines.adapters.process"].read_text()
    by_name = [
        name for name, path in MODULES.items() if re.search(r"""import\w*\(f?["']onnxruntime""", path.read_text())
    ]
    assert by_name == [HOME]


def test_texts_for_fresh_processes_get_the_variable_with_their_environment():
    """A script that is a string imports what it wants; the process that runs it is started in one place."""
    scripts = [name for name, path in MODULES.items() if re.search(r"^import .*onnxruntime", path.read_text(), re.M)]
    assert scripts == ["core.delivery.formats.onnx_graph"]
    assert "**SILENT" in MODULES["core.delivery.formats.fresh"].read_text()


@pytest.mark.process
@pytest.mark.parametrize(
    "first", ["core", "core.cli", "core.jobs.worker", "dashboard.__main__", "sample_models.fashion_vit"]
)
def test_whatever_is_imported_first_the_variables_are_set(first):
    said = f"import {first}, os; print([os.environ.get(name) for name in {list(SILENT)}])"
    env = {name: value for name, value in os.environ.items() if name not in SILENT}
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.stdout.strip() == str(list(SILENT.values())), done.stderr


def traced(tmp_path, *command):
    """Runs a command in a network that has nothing but itself; what it gave, and the calls to somebody else."""
    tools = [tool for tool in ("unshare", "strace") if shutil.which(tool) is None]
    why = f"{' and '.join(tools)} not installed" if tools else None
    if not why:
        tried = subprocess.run(
            ["unshare", "-rn", "strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True
        )
        why = f"no network of its own here: {tried.stderr.strip()[:200]}" if tried.returncode else None
    if why:
        if os.environ.get("SECATEUR_REQUIRE_TRACE"):
            pytest.fail(why)
        pytest.skip(why)
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    left_out = {*SILENT, "CI", "GITHUB_ACTIONS", "TF_BUILD", "JENKINS_URL", "PYTEST_CURRENT_TEST"}
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)}
    trace = tmp_path / "trace"
    whole = ["unshare", "-rn", sys.executable, "-c", IN_A_NETWORK_OF_ITS_OWN, str(trace), *command]
    done = subprocess.run(whole, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=560)
    calls = [(int(port), host) for port, host in CALL.findall(trace.read_text())]
    # whoever asks for an address talks to port 53, which may be of a resolver on this machine
    outside = [call for call in calls if call[0] == 53 or not re.match(r"127\.|::1$|::ffff:127\.", call[1])]
    return done, outside


@pytest.mark.process
@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket().connect_ex(('192.0.2.7', 443))",
        "import socket; socket.socket(socket.AF_INET6).connect_ex(('2001:db8::7', 443))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.7', 9))",
        "import urllib.request as r; r.urlopen('http://example.org')",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import urllib.request as r; "
        'r.urlopen("http://example.org")\'])',
    ],
)
def test_the_trace_sees_a_call_to_the_outside(attempt, tmp_path):
    _, outside = traced(tmp_path, sys.executable, "-c", attempt)
    assert outside


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(600)  # each of its processes imports torch anew
@pytest.mark.parametrize("kind", ["measuring", "writing", "page"])
def test_no_command_and_no_page_calls_anybody(kind, trained, tmp_path):
    done, outside = traced(tmp_path, sys.executable, str(ROOT / "tests" / "driven_offline.py"), kind)
    assert done.stdout.endswith("done\n"), done.stdout[-2000:] + done.stderr[-4000:]
    assert not outside
    # what ONNX Runtime keeps for its statistics, whether they could be sent or not
    left = [
        path.name for path in tmp_path.rglob("*") if path.name in (".ses", "deviceid", "Microsoft", "onnxruntime.db")
    ]
    assert not left


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TRACKERS)
def test_no_tracker_calls_anybody_and_each_writes_into_the_workspace_alone(name, trained, tmp_path):
    """With the real package, where it is installed; its adapter alone: `tests/core/tracking/test_adapters.py`."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    done, outside = traced(tmp_path, sys.executable, str(ROOT / "tests" / "driven_offline.py"), "tracking", name)
    assert done.stdout.endswith("done\n"), done.stdout[-2000:] + done.stderr[-4000:]
    assert not outside
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@pytest.mark.engines
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_ray_of_this_machine_calls_nobody_and_writes_nothing_into_the_home(trained, tmp_path):
    done, outside = traced(tmp_path, sys.executable, str(ROOT / "tests" / "driven_offline.py"), "ray")
    assert done.stdout.endswith("done\n"), done.stdout[-2000:] + done.stderr[-4000:]
    assert not outside
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
