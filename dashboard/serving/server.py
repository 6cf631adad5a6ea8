"""The server: the Streamlit app, Plotly's script, the manual, and downloads that never pass through memory."""

import os
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from plotly.offline import get_plotlyjs
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.workspace import Workspace
from dashboard.frame.plotly_live import PLOTLY_URL
from dashboard.graph.component import DAGRE, DAGRE_URL
from dashboard.serving import manual
from dashboard.serving.addresses import ALLOWED_HOSTS
from dashboard.serving.downloads import FILE_ROUTE, QUANTIZED_ROUTE, ZIP_ROUTE, bundle_archive, file_of_bundle

DASHBOARD = Path(__file__).parents[1]
SCRIPTS = Path(__file__).parent / "scripts"  # of others, each with its licence beside it
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
MANUAL_HEADERS = {  # a page of text: it runs nothing, asks nobody else for anything, and is framed by no one
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _is_ours(request: Request) -> bool:
    """Streamlit checks the host of its own connections only; a page elsewhere must not reach ours by DNS rebinding."""
    return request.url.hostname in ALLOWED_HOSTS


def plotly_script(request: Request) -> Response:
    """Plotly's JavaScript, out of the Python package: nothing is fetched from the internet."""
    if not _is_ours(request):
        return PlainTextResponse("unknown host", status_code=403)
    return Response(get_plotlyjs().encode(), media_type="text/javascript", headers=FOREVER)


def dagre_script(request: Request) -> Response:
    """The layout of networks, out of our own package."""
    if not _is_ours(request):
        return PlainTextResponse("unknown host", status_code=403)
    return FileResponse(SCRIPTS / DAGRE, media_type="text/javascript", headers=FOREVER)


def manual_page(request: Request) -> Response:
    """A page of the manual, or a file that one shows: a visitor names it, and only what the manual has is found."""
    if not _is_ours(request):
        return PlainTextResponse("unknown host", status_code=403)
    folder, name = manual.folder(), request.path_params["name"]
    if folder is None:
        return PlainTextResponse("The manual is not installed; install Secateur again.", status_code=404)
    known = manual.Manual(folder)
    if name in known.files:
        path = known.files[name]
        return FileResponse(path, media_type=manual.KINDS[path.suffix], headers=MANUAL_HEADERS)

    from dashboard.serving import manual_page as pages  # Markdown and templates, which no screen needs

    if name in known.pages:
        return HTMLResponse(pages.page(known, name), headers=MANUAL_HEADERS)
    return HTMLResponse(pages.not_found(known, name), status_code=404, headers=MANUAL_HEADERS)


def bundle_zip(request: Request) -> Response:
    """The zip of an export, by the id of its run: a visitor names a run, never a path."""
    return _download(request, bundle_archive)


def bundle_file(request: Request) -> Response:
    """One file of a bundle, by the id of the run and a name that its manifest lists."""
    name = request.path_params["file"]
    return _download(request, lambda runs, run: file_of_bundle(runs, run, name))


def quantized_model(request: Request) -> Response:
    """The file that a run of quantizing wrote, by the id of the run."""
    return _download(request, lambda runs, run: runs.quantized_file(run))


def _download(request: Request, path_of: Callable[[RunStore, Run], Path | None]) -> Response:
    """A file read from disk piece by piece, always to be saved: a page out of a bundle must not run as one of ours."""
    if not _is_ours(request):
        return PlainTextResponse("unknown host", status_code=403)
    runs = RunStore(Workspace(os.environ["SECATEUR_WORKSPACE"]))
    try:
        run = runs.get(request.path_params["run"])
    except SecateurError as error:
        return PlainTextResponse(str(error), status_code=404)
    path = path_of(runs, run) if run.id == request.path_params["run"] and run.state == "finished" else None
    if path is None or not path.is_file():
        return PlainTextResponse("This file is not on disk any more; write it again.", status_code=404)
    kind = "application/zip" if path.suffix == ".zip" else "application/octet-stream"
    return FileResponse(path, media_type=kind, filename=path.name)


ROUTES = [
    Route(f"/{PLOTLY_URL}", plotly_script),
    Route(f"/{DAGRE_URL}", dagre_script),
    Route(manual.ROUTE, manual_page),
    Route("/manual", lambda request: RedirectResponse("manual/")),  # relative: holds below any base path
    Route(ZIP_ROUTE, bundle_zip),
    Route(FILE_ROUTE, bundle_file),
    Route(QUANTIZED_ROUTE, quantized_model),
]
app = st.App(DASHBOARD / "app.py", routes=ROUTES)
