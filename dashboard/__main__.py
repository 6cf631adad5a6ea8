"""Starts the dashboard: `python -m dashboard WORKSPACE PORT BROWSER [WORKLOAD …]`, as `secateur dashboard` calls it.

Streamlit reads `.streamlit/config.toml` from the working directory; started elsewhere its safety settings would be
gone, so they are passed here.
"""

import os
import socket
import sys
from pathlib import Path

from core.jobs.launch import start_describe
from core.jobs.runs import RunStore
from core.workload.loading import sample_names
from core.workspace import Workspace
from dashboard.theme import STREAMLIT_THEME

ADDRESS = "127.0.0.1"
ALLOWED_HOSTS = ("localhost", ADDRESS)  # else a page elsewhere could reach us by DNS rebinding
SETTINGS = {
    "server.address": ADDRESS,
    "server.fileWatcherType": "none",
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.enableStaticServing": "false",
    "server.maxUploadSize": "5",  # plans only
    "server.disconnectedSessionTTL": "30",
    "client.showErrorDetails": "type",
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
            sys.exit(f"secateur: port {wanted} is taken; `secateur --port 0` takes a free one")
        return int(probe.getsockname()[1])


def main() -> None:
    """Have the models described, then serve until stopped."""
    folder, wanted, browser, *refs = sys.argv[1:]
    port = free_port(int(wanted))
    runs = RunStore(Workspace(folder))
    known = runs.descriptions()
    # a file may have changed since; the samples change only with Secateur itself
    missing = [ref for ref in sample_names() if ref not in known]
    if missing or refs:
        start_describe(runs, [*refs, *missing])
    os.environ["SECATEUR_WORKSPACE"] = str(runs.workspace.folder)
    print(
        f"Secateur: http://localhost:{port}  (workspace {runs.workspace.folder}; Ctrl-C stops the dashboard)",
        flush=True,
    )

    from streamlit.web import cli

    settings = {**SETTINGS, **STREAMLIT_THEME, "server.port": str(port), "server.headless": str(browser == "0").lower()}
    entry = Path(__file__).with_name("server.py")
    sys.argv = ["streamlit", "run", str(entry), *(f"--{name}={value}" for name, value in settings.items())]
    sys.argv += [f"--server.allowedHosts={host}" for host in ALLOWED_HOSTS]  # a list option is given once per entry
    cli.main(prog_name="streamlit")


if __name__ == "__main__":
    main()
