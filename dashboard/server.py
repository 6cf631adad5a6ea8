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

HERE = Path(__file__).parent
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


async def plotly_script(request: Request) -> Response:
    """Plotly's JavaScript, out of the Python package: nothing is fetched from the internet."""
    return Response(get_plotlyjs().encode(), media_type="text/javascript", headers=FOREVER)


async def bundle_zip(request: Request) -> Response:
    """The zip of an export, by the id of its run: a visitor names a run, never a path."""
    try:
        run = RunStore(Workspace(os.environ["SECATEUR_WORKSPACE"])).get(request.path_params["run"])
    except SecateurError as error:
        return PlainTextResponse(str(error), status_code=404)
    archive = Path(f"{run.result['folder']}.zip") if run.kind == "export" and run.result else None
    if archive is None or not archive.is_file():
        return PlainTextResponse("This bundle is not on disk any more; export it again.", status_code=404)
    return FileResponse(archive, media_type="application/zip", filename=archive.name)


app = st.App(
    HERE / "app.py",
    routes=[Route("/assets/plotly.min.js", plotly_script), Route("/bundles/{run}.zip", bundle_zip)],
)
