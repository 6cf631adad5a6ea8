"""What can be downloaded, and at which address: a visitor names a run and a file that it wrote, never a path."""

from pathlib import Path
from urllib.parse import quote

from core.delivery.manifest import MANIFEST
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.strangers import was_merged

ZIP_ROUTE, FILE_ROUTE, QUANTIZED_ROUTE = "/bundles/{run}.zip", "/bundles/{run}/{file:path}", "/quantized/{run}"


def zip_url(run: str) -> str:
    """Of the zip of a bundle; relative, so that it holds wherever the dashboard is served."""
    return f"bundles/{run}.zip"


def file_url(run: str, name: str) -> str:
    """Of one file of a bundle."""
    return f"bundles/{run}/{quote(name)}"


def quantized_url(run: str) -> str:
    """Of a quantized model."""
    return f"quantized/{run}"


def served_folder(runs: RunStore, run: Run) -> Path | None:
    """The folder of a finished export whose files are served.

    `None` of other runs, and of a merged one whose bundle does not lie in this workspace: the path was written
    elsewhere, and may name any folder of this machine.
    """
    folder = runs.bundle_folder(run)
    if folder is None or not was_merged(runs.workspace, run.id):
        return folder
    home = runs.workspace.subfolder("bundles").resolve()
    return folder if folder.resolve() != home and folder.resolve().is_relative_to(home) else None


def bundle_archive(runs: RunStore, run: Run) -> Path | None:
    """The zip of a finished export, there or not; `None` where `served_folder` is."""
    folder = served_folder(runs, run)
    return folder.with_name(f"{folder.name}.zip") if folder is not None else None


def bundle_files(run: Run) -> tuple[str, ...]:
    """Names of a bundle's files, with folders between slashes, the manifest first."""
    return (MANIFEST, *(run.result or {})["manifest"]["files"])


def file_of_bundle(runs: RunStore, run: Run, name: str) -> Path | None:
    """A file of a finished export; `None` if its manifest does not list it, or it lies outside the bundle.

    The manifest of a merged workspace was written elsewhere, so what it lists is not trusted either.
    """
    folder = served_folder(runs, run)
    if folder is None or name not in bundle_files(run):
        return None
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) else None
