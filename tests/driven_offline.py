"""One command of each kind, and a page of the dashboard; run by `test_nothing_leaves.py` in a network of its own."""

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

SECATEUR = str(Path(sys.executable).with_name("secateur"))


def secateur(*words: str) -> str:
    done = subprocess.run([SECATEUR, *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def measuring() -> None:
    """Work that measures `net.py` of the working directory."""
    secateur("models")
    secateur("sweep", "net.py", "--sparsities", "0.5")
    secateur("sweep", "net.py", "--sparsities", "0.5,0.9")
    runs = [run["id"] for run in json.loads(secateur("runs", "--kind", "sweep", "--json"))]
    secateur("compare", *runs)
    secateur("check")
    secateur("report", *runs, "--out", "sent.html")
    secateur("profile", "net.py", "--batch", "1", "--threads", "1", "--rounds", "6")
    secateur("profile", "net.py", "--widths", "--engines", "eager", "--rounds", "6", "--seconds", "0.1")
    secateur("recover", "net.py", "--rounds", "1", "--steps", "2", "--final", "0.5")
    secateur("graph", "net.py", "--out", "net.svg")
    helping()
    secateur("quantize", "net.py", "--scheme", "dynamic", "--out", "small.onnx")


def helping() -> None:
    """A worker beside a run, and the list of workers."""
    with subprocess.Popen([SECATEUR, "work"], stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert "waits for runs" in worker.stdout.readline()
            (one,) = json.loads(secateur("work", "--list", "--json"))
            secateur("pairs", "net.py")
            secateur("work", "--stop", str(one["id"]))
            assert worker.wait(60) == 0
        finally:
            worker.kill()


def writing() -> None:
    """Work that writes it in other formats, and reads these."""
    Path("plan.json").write_text(secateur("plan", "net.py", "--channels", "0.5"))
    secateur("export", "net.py", "plan.json", "out", "--form", "shrunk", "--format", "onnx,onnx-int8")
    secateur("verify", "out", "--model", "net.py")
    secateur("sweep", "net.py", "--channels", "--sparsities", "0.25,0.5")
    secateur("frontier", "net.py", "--engine", "onnx", "--budgets", "0.9,0.7", "--rounds", "6", "--seconds", "0.1")
    secateur("pays", "net.py", "plan.json", "--engines", "onnx,openvino", "--rounds", "6", "--seconds", "0.1")


def tracking(tracker: str) -> None:
    """Work whose numbers a tracker is told, each command that can, and one that goes on."""
    from core.jobs.runs import RunStore
    from core.workspace import Workspace

    Path("plan.json").write_text(secateur("plan", "net.py", "--uniform", "0.5"))
    swept = json.loads(secateur("sweep", "net.py", "--sparsities", "0.5", "--log", tracker, "--json"))["run"]["id"]
    json.loads(secateur("apply", "net.py", "plan.json", "--log", tracker, "--json"))
    words = ["--rounds", "1", "--steps", "2", "--final", "0.5", "--log", tracker, "--json"]
    json.loads(secateur("recover", "net.py", *words))
    RunStore(Workspace(".secateur")).update(swept, state="failed")
    json.loads(secateur("resume", swept, "--log", tracker, "--json"))
    assert any(path.is_file() for path in Path(".secateur/tracking", tracker).rglob("*"))


def on_ray() -> None:
    """What the worker of `sweep --ray` does, with every cell worth an actor of a Ray of this machine."""
    from core import SweepRequest
    from core.jobs.cluster import dispatch
    from core.jobs.runs import RunStore
    from core.jobs.submissions import sweep_submission
    from core.jobs.worker import execute
    from core.workspace import Workspace

    dispatch.LEAST = 0.0
    runs = RunStore(Workspace(".secateur"))
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest("net.py", (0.5, 0.9), ray="local", threads=1)))
    ended = execute(runs, run.id, later=False)
    assert ended.state == "finished", ended.error
    assert "ray" in sys.modules


def page() -> None:
    """The dashboard as it is started, and its first page drawn by the server for a visitor."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    from core.jobs.runs import RunStore
    from core.workload.loading import sample_names
    from core.workspace import Workspace

    secateur("sweep", "net.py", "--sparsities", "0.5")
    runs = RunStore(Workspace(".secateur"))
    known = next(iter(runs.descriptions().values()))
    for name in sample_names():  # else they are all read, which takes a minute and is what `sweep` has done
        runs.remember(replace(known, ref=name))
    words = [SECATEUR, "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["address"]
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read()
                    break
                except OSError:
                    time.sleep(0.1)
            urllib.request.urlopen(address, timeout=5).read()
            url = address.replace("http://", "ws://") + "/_stcore/stream"
            with connect(url, subprotocols=["streamlit"], max_size=None, origin=address) as visitor:
                asked = BackMsg()
                asked.rerun_script.query_string = ""
                visitor.send(asked.SerializeToString())
                said = ForwardMsg()
                drawn = ""
                while not said.HasField("script_finished") and said.WhichOneof("type") != "script_finished":
                    said.ParseFromString(visitor.recv(timeout=60))
                    drawn += str(said)
                assert "Nothing is running" in drawn, drawn[-2000:]
        finally:
            server.terminate()


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    {"measuring": measuring, "writing": writing, "page": page, "tracking": tracking, "ray": on_ray}[kind](*words)
    print("done")
