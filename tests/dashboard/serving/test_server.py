"""The server as `secateur` starts it: what it says, what it serves, whom it refuses."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.workspace import Workspace
from dashboard.frame.plotly_live import PLOTLY_URL
from dashboard.graph.component import DAGRE, DAGRE_URL
from dashboard.serving.downloads import bundle_files, file_of_bundle, file_url, quantized_url
from dashboard.serving.server import SCRIPTS
from tests.dashboard.conftest import APP, HALF

pytestmark = pytest.mark.process

SECATEUR = Path(sys.executable).with_name("secateur")


@pytest.fixture
def serve(workspace):
    """Start `secateur` with more words; its address once it answers."""
    servers = []

    def start(*words: str) -> str:
        # BROWSER: where no --no-browser is given, "open" the page with a command that does nothing
        command = [SECATEUR, "--port", "0", "--workspace", workspace[0].workspace.folder, "--json", *words]
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "BROWSER": "true"},
        )  # fmt: skip
        servers.append(server)
        address = json.loads(server.stdout.readline())["address"]
        for _ in range(200):
            try:
                if urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read() == b"ok":
                    return address
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        raise AssertionError("the server did not answer")

    yield start
    for server in servers:
        server.kill()
        server.wait()
        server.stdout.close()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def handshake(address, host, origin):
    """Status of a WebSocket handshake as a page of `origin` would attempt it."""
    port = int(address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in {
        "Host": host.format(port=port), "Origin": origin.format(port=port),
        "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    }.items():  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_it_serves_a_page_its_own_plotly_and_a_finished_bundle_and_nothing_else(serve, workspace):
    runs, ref = workspace
    run, _ = runs.submit("export", *plan_submission(ref, HALF))
    done = execute(runs, run.id)
    address = serve("--no-browser")
    assert get(address)[0] == 200
    status, script = get(f"{address}/{PLOTLY_URL}")
    assert (status, b"plotly.js v" in script[:400]) == (200, True)
    status, script = get(f"{address}/{DAGRE_URL}")
    assert (status, script) == (200, (SCRIPTS / DAGRE).read_bytes())
    status, archive = get(f"{address}/bundles/{run.id}.zip")
    assert (status, archive) == (200, Path(f"{runs.bundle_folder(done)}.zip").read_bytes())
    sweep = runs.list("sweep")[0].id
    for other in ("00000000", sweep, "..%2F..%2Fsecateur.sqlite", "%2e%2e"):
        status, body = get(f"{address}/bundles/{other}.zip")
        assert status in (400, 404), other
        assert not body.startswith((b"PK", b"SQLite"))


def test_only_pages_of_this_machine_may_connect(serve):
    address = serve("--no-browser")
    assert handshake(address, "localhost:{port}", "http://localhost:{port}") == 101
    assert handshake(address, "localhost:{port}", "http://evil.example") == 403
    assert handshake(address, "evil.example", "http://evil.example") == 403  # DNS rebinding


def test_a_page_elsewhere_gets_neither_a_bundle_nor_a_script_by_dns_rebinding(serve, workspace):
    runs, ref = workspace
    run, _ = runs.submit("export", *plan_submission(ref, HALF))
    execute(runs, run.id)
    address = serve("--no-browser")
    for path in (f"/bundles/{run.id}.zip", f"/{PLOTLY_URL}", f"/{DAGRE_URL}"):
        connection = http.client.HTTPConnection("127.0.0.1", int(address.rpartition(":")[2]), timeout=20)
        connection.request("GET", path, headers={"Host": "evil.example"})
        assert connection.getresponse().status == 403
        connection.close()
    assert get(f"{address}/bundles/{run.id[:2]}.zip")[0] == 404  # the whole id, or nothing


def test_opening_the_browser_asks_nothing_at_the_terminal(serve):
    assert get(serve())[0] == 200


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [SECATEUR, "--port", port, "--no-browser", "--workspace", workspace[0].workspace.folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"secateur: port {port} is taken; `secateur --port 0` takes a free one\n"


def test_drawing_every_screen_never_imports_torch(workspace):
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({str(APP)!r}, default_timeout=60)
app.query_params["model"] = "attentive"
app.run()
for screen in ("map", "tune", "recover", "deliver"):
    app.switch_page(f"screens/{{screen}}/screen.py").run()
    assert not app.exception
import dashboard.__main__, dashboard.serving.server
assert app.selectbox(key="model").value.endswith("attentive.py")
assert "torch" not in sys.modules
assert not {{"markdown_it", "jinja2"}} & set(sys.modules)  # the manual is read only when somebody asks for a page
print("drawn")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("drawn"), done.stderr[-2000:]


@pytest.fixture
def delivered(workspace, delivered_once):
    """Runs, and those of a finished export and a finished quantization, in a workspace that the test may change."""
    (runs, _), (folder, *ids) = workspace, delivered_once
    shutil.rmtree(runs.workspace.folder)
    shutil.copytree(folder, runs.workspace.folder)
    return runs, *map(runs.get, ids)


@pytest.fixture(scope="module")
def delivered_once(swept, tmp_path_factory):
    """Folder of a workspace with a finished export and a finished quantization, and their ids. Not to be changed."""
    runs, ref = RunStore(Workspace(shutil.copytree(swept[0], tmp_path_factory.mktemp("once") / "ws"))), swept[1]
    export, _ = runs.submit("export", *plan_submission(ref, HALF, formats=["onnx"]))
    request = {**plan_submission(ref, HALF, form="masked")[1], "scheme": "weight", "bits": 8}
    quantize, _ = runs.submit("quantize", ref, request)
    for run in (export, quantize):
        assert execute(runs, run.id).state == "finished"
    return runs.workspace.folder, export.id, quantize.id


def test_every_file_of_a_bundle_and_a_quantized_model_are_served_to_be_saved(serve, delivered):
    runs, export, quantize = delivered
    address, folder = serve("--no-browser"), runs.bundle_folder(export)
    names = bundle_files(export)
    assert sorted(names) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for name in names:
        with urllib.request.urlopen(f"{address}/{file_url(export.id, name)}", timeout=20) as answer:
            assert answer.read() == (folder / name).read_bytes(), name
            assert answer.headers["content-disposition"].startswith("attachment"), name  # a page must not run as ours
            assert int(answer.headers["content-length"]) == (folder / name).stat().st_size
    path = runs.quantized_file(quantize)
    with urllib.request.urlopen(f"{address}/{quantized_url(quantize.id)}", timeout=20) as answer:
        assert answer.read() == path.read_bytes()
        assert path.name in answer.headers["content-disposition"]


def test_nothing_but_what_a_run_wrote_is_served(serve, delivered):
    runs, export, quantize = delivered
    address, folder = serve("--no-browser"), runs.bundle_folder(export)
    (folder / "beside.txt").write_text("not exported")
    for url in (
        f"bundles/{export.id}/beside.txt", f"bundles/{export.id}/../../secateur.sqlite", f"bundles/{export.id}/",
        f"bundles/{export.id}/..%2F..%2Fsecateur.sqlite", f"bundles/{export.id}/%2Fetc%2Fpasswd",
        f"bundles/{quantize.id}/manifest.json", f"quantized/{export.id}", f"quantized/{quantize.id[:3]}",
    ):  # fmt: skip
        status, body = get(f"{address}/{url}")
        assert not body.startswith((b"SQLite", b"not exported", b"root:", b"{")), url
        assert status in (400, 404) or body.lstrip().lower().startswith(b"<!doctype html"), url  # the app's own page
    (folder / "card.md").unlink()
    assert get(f"{address}/{file_url(export.id, 'card.md')}")[0] == 404


def test_a_file_that_a_foreign_manifest_places_outside_its_bundle_is_not_served(delivered):
    runs, export, _ = delivered
    result = dict(export.result)
    manifest = dict(result["manifest"])
    manifest["files"] = {**manifest["files"], "../../secateur.sqlite": {}, "linked": {}}
    folder = runs.bundle_folder(export)
    (folder / "linked").symlink_to(runs.workspace.folder / "secateur.sqlite")
    runs.update(export.id, result={**result, "manifest": manifest})
    export = runs.get(export.id)
    assert file_of_bundle(runs, export, "../../secateur.sqlite") is None
    assert file_of_bundle(runs, export, "linked") is None
    assert file_of_bundle(runs, export, "plan.json") == (folder / "plan.json").resolve()


def test_downloads_are_refused_by_dns_rebinding(serve, delivered):
    _, export, quantize = delivered
    address = serve("--no-browser")
    for path in (file_url(export.id, "plan.json"), quantized_url(quantize.id)):
        connection = http.client.HTTPConnection("127.0.0.1", int(address.rpartition(":")[2]), timeout=20)
        connection.request("GET", f"/{path}", headers={"Host": "evil.example"})
        assert connection.getresponse().status == 403
        connection.close()
