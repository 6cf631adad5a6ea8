"""Starts the dashboard: `python -m dashboard '{"workspace": …}'`, as `secateur dashboard` calls it.

Streamlit reads `.streamlit/config.toml` from the working directory; started elsewhere its safety settings would be
gone, so they are passed here.
"""

import json
import os
import socket
import sys
from pathlib import Path

from core.jobs.launch import start_describe
from core.jobs.runs import RunStore
from core.jobs.strangers import confirm
from core.workload.loading import sample_names
from core.workspace import Workspace
from dashboard.frame.nearby import FOLDERS
from dashboard.frame.theme import STREAMLIT_THEME
from dashboard.serving.addresses import ADDRESS, ALLOWED_HOSTS

SETTINGS = {
    "server.address": ADDRESS,
    "server.fileWatcherType": "none",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.maxUploadSize": "5",  # plans only
    "server.disconnectedSessionTTL": "30",
    "server.showEmailPrompt": "false",  # Streamlit would wait at the terminal for an address
    "logger.hideWelcomeMessage": "true",
    "client.showErrorDetails": "type",
    "client.showErrorLinks": "false",  # they lead to search pages elsewhere
    "client.toolbarMode": "viewer",
    "browser.gatherUsageStats": "false",
    "runner.magicEnabled": "false",
}


def free_port(wanted: int) -> int:
    """`wanted`, if nobody listens there; a free one if it is 0. Ends the program if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, wanted))
        except OSError:
            print(f"secateur: port {wanted} is taken; `secateur --port 0` takes a free one", file=sys.stderr)
            sys.exit(2)
        return int(probe.getsockname()[1])


def main() -> None:
    """Have the models described, then serve until stopped.

    The argument is a JSON object: `workspace` (folder), `port` (0 for a free one), `browser` (open one?), `models`
    (workload files to read), `folders` (whose models are offered) and `as_json` (say the address as JSON).
    """
    asked = json.loads(sys.argv[1])
    port = free_port(asked["port"])
    runs = RunStore(Workspace(asked["workspace"]))
    known = runs.descriptions()
    # a file may have changed since; the samples change only with Secateur itself
    missing = [ref for ref in sample_names() if ref not in known]
    start_describe(runs, missing if not runs.workspace.read_only else [])
    for ref in asked["models"]:  # a process each: one that crashes takes no other down
        confirm(runs.workspace, ref)
        start_describe(runs, [ref])
    os.environ["SECATEUR_WORKSPACE"] = str(runs.workspace.folder)
    os.environ[FOLDERS] = os.pathsep.join(asked["folders"])
    address, folder = f"http://localhost:{port}", str(runs.workspace.folder)
    if asked["as_json"]:
        print(json.dumps({"address": address, "workspace": folder}), flush=True)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever the server has to say is not the answer
    else:
        print(f"Secateur: {address}  (workspace {folder}; Ctrl-C stops the dashboard)", flush=True)

    from streamlit.web import cli

    settings = {
        **SETTINGS,
        **STREAMLIT_THEME,
        "server.port": str(port),
        "server.headless": str(not asked["browser"]).lower(),
    }
    entry = Path(__file__).parent / "serving" / "server.py"
    sys.argv = ["streamlit", "run", str(entry), *(f"--{name}={value}" for name, value in settings.items())]
    sys.argv += [f"--server.allowedHosts={host}" for host in ALLOWED_HOSTS]  # a list option is given once per entry
    cli.main(prog_name="streamlit")


if __name__ == "__main__":
    main()
