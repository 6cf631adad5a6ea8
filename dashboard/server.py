"""The server: the Streamlit app, Plotly's script, and downloads that never pass through memory."""

import os
from pathlib import Path

import streamlit as st
from plotly.offline import get_plotlyjs
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.errors import SecateurError
from core.jobs.runs import RunStore
from core.workspace import Workspace
from dashboard.addresses import ALLOWED_HOSTS
from dashboard.plotly_live import PLOTLY_URL

HERE = Path(__file__).parent
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def _is_ours(request: Request) -> bool:
    """Streamlit checks the host of its own connections only; a page elsewhere must not reach ours by DNS rebinding."""
    return request.url.hostname in ALLOWED_HOSTS


def plotly_script(request: Request) -> Response:
    """Plotly's JavaScript, out of the Python package: nothing is fetched from the internet."""
    if not _is_ours(request):
        return PlainTextResponse("unknown host", status_code=403)
    return Response(get_plotlyjs().encode(), media_type="text/javascript", headers=FOREVER)


def bundle_zip(request: Request) -> Response:
    """The zip of an export, by the id of its run: a visitor names a run, never a path."""
    if not _is_ours(request):
        return PlainTextResponse("unknown host", status_code=403)
    runs = RunStore(Workspace(os.environ["SECATEUR_WORKSPACE"]))
    try:
        run = runs.get(request.path_params["run"])
    except SecateurError as error:
        return PlainTextResponse(str(error), status_code=404)
    folder = runs.bundle_folder(run) if run.id == request.path_params["run"] else None
    archive = folder.with_name(f"{folder.name}.zip") if folder else None
    if archive is None or not archive.is_file():
        return PlainTextResponse("This bundle is not on disk any more; export it again.", status_code=404)
    return FileResponse(archive, media_type="application/zip", filename=archive.name)


app = st.App(
    HERE / "app.py",
    routes=[Route(f"/{PLOTLY_URL}", plotly_script), Route("/bundles/{run}.zip", bundle_zip)],
)
