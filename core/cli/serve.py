"""The command that opens the dashboard."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click

from core.cli.command import command
from core.workspace import Workspace


@command(
    "secateur  # the dashboard with the samples",
    "secateur dashboard my_workload.py  # it stands beside the samples",
    "secateur dashboard ~/models  # what lies in this folder is offered under Yours",
    "secateur --port 0 --no-browser  # a free port; only the address is printed",
)
@click.argument("models", nargs=-1)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="Port on localhost; 0 takes a free one.",
)
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
def dashboard(models: tuple[str, ...], port: int, no_browser: bool, workspace: Path, as_json: bool) -> None:
    """Open the dashboard on localhost.

    MODELS are workload files to have in it beside the samples; of a folder, the models in it are offered under Yours.
    """
    from core.workload.loading import canonical_ref

    opened = Workspace(workspace)  # what is wrong with it is better said here than on a page
    folders = [model for model in models if Path(model).expanduser().is_dir()]
    named = [canonical_ref(model) for model in models if model not in folders]
    if named:
        opened.check_writable()  # what a model is made of is kept there
    asked = {
        "models": named,
        "folders": [str(Path(folder).expanduser().resolve()) for folder in folders],
        "workspace": str(opened.folder),
        "port": port,
        "browser": not no_browser,
        "as_json": as_json,
    }
    # a process of its own, by name: core must not import the dashboard
    command = [sys.executable, "-P", "-m", "dashboard", json.dumps(asked)]
    if os.name == "posix":
        os.execv(sys.executable, command)  # signals then reach the server itself
    sys.exit(subprocess.call(command))
