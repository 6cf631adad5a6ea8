"""Models of every width for a device that is not here, with the script that measures them there and the empty table."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from core.drafted import as_if_made_here, draft_beside, scratch
from core.engines.adapters.installed import installed
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable
from core.errors import SecateurError
from core.profiling.shipped.turns import InTurns, expected_of
from core.profiling.stairs import on_device
from core.profiling.stairs.measure import Narrowed
from core.profiling.stairs.report import Width
from core.workload.workload import Workload

ENGINES = tuple(on_device.TOOLS)


def export_costs(
    workload: Workload,
    engine: str,
    folder: Path,
    python: str | None = None,
    say: Callable[[str], None] = lambda said: None,
) -> list[str]:
    """Write models of one width each, `models.json`, `measure.py` and `costs.csv`, whose times are to be filled in.

    Each file is run by the engine here and compared with torch. The folder is made beside its place and moved there
    once it is whole.

    Args:
        workload: the model.
        engine: of `ENGINES`.
        folder: must not exist, or be empty.
        python: an interpreter that has the engine; `None`: ours.
        say: told how far it is.

    Returns:
        Why models are missing, a line each: the engine cannot hold one, or gives other outputs than torch.

    Raises:
        SecateurError: no such engine, or not installed; the folder holds something or cannot be made; nothing can be
            narrowed; or the engine cannot hold the dense model, or gives other outputs than torch.
    """
    if engine not in ENGINES:
        raise SecateurError(f"{engine} has no benchmark tool of its own for a device; choose of {', '.join(ENGINES)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SecateurError(f"{folder} holds something already; choose a folder that does not, or empty it first")
    narrowed = Narrowed(workload)
    widths = narrowed.widths()
    if not widths:
        raise SecateurError(f"{workload.name} has no coupled group and no attention whose width could change")
    try:
        installed(ADAPTERS[engine], python)
    except EngineUnavailable as error:
        raise SecateurError(
            f"{engine} is to write the models: {error}; an interpreter that has it may be named: --python {engine}=PATH"
        ) from None
    with _placed(folder) as draft:
        return _exported(narrowed, workload, engine, widths, draft, python, say)


@contextmanager
def _placed(folder: Path) -> Iterator[Path]:
    """A draft beside a folder, moved there once the block is done: half of it would look like all of it."""
    made = [path for path in (folder.parent, *folder.parent.parents) if not path.exists()]
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_beside(folder, folder=True)
        yield draft
        as_if_made_here(draft)
        if folder.exists():
            folder.rmdir()  # empty, as was looked for; of what came in the meantime nothing is removed
        draft.replace(folder)
    except OSError as error:
        raise SecateurError(f"cannot write {folder}: {error.strerror}; choose another folder") from None
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        for path in made if not folder.exists() else ():
            with suppress(OSError):
                path.rmdir()


def _exported(
    narrowed: Narrowed, workload: Workload, engine: str, widths: tuple[Width, ...], folder: Path,
    python: str | None, say: Callable[[str], None],
) -> list[str]:  # fmt: skip
    inputs = tuple(x[:1].cpu() for x in workload.evaluation.tensors[:-1])  # the last are the labels
    models = folder / "models"
    models.mkdir()
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for at, one in enumerate((None, *widths)):
        say(f"{at} of {len(widths)} models")
        try:
            rows.append(_row(narrowed, workload, engine, one, inputs, models, f"{at:04d}", python))
        except (EngineUnavailable, SecateurError) as error:
            if one is None:
                raise SecateurError(f"{engine} cannot hold the model: {error}") from None
            refused.append(f"{one.target} at {one.width}: {error}")
    made = {"engine": engine, "device": "my device", "shapes": _shapes(inputs), "rows": rows}
    (folder / "models.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(on_device.__file__, folder / "measure.py")
    on_device.write(folder / "costs.csv", rows, {row["file"]: [] for row in rows}, "my device")
    return refused


def _row(
    narrowed: Narrowed, workload: Workload, engine: str, one: Width | None, inputs: tuple[torch.Tensor, ...],
    models: Path, name: str, python: str | None,
) -> dict[str, Any]:  # fmt: skip
    model = (workload.model if one is None else narrowed.model(narrowed.plan([one]))).eval()
    with scratch() as work, InTurns(engine, Path(work, "files"), python=python) as turns:
        written, _ = turns.put(name, expected_of(model, inputs, Path(work, "source")))
        (models / name).mkdir()
        for path in written.files:  # under their own names, by which one may name the other
            shutil.copyfile(path, models / name / path.name)
    file = f"{name}/{written.files[0].name}"
    if one is None:
        return {"target": "dense", "granularity": "", "width": "", "file": file}
    return {"target": one.target, "granularity": one.granularity, "width": one.width, "file": file}


def _shapes(inputs: tuple[torch.Tensor, ...]) -> dict[str, str]:
    """As the tools that ask for shapes want them: with the batch, and for ncnn without it and the other way round."""
    return {
        "shape": ",".join(f"[{','.join(map(str, x.shape))}]" for x in inputs),
        "ncnn_shape": ",".join(f"[{','.join(map(str, reversed(x.shape[1:])))}]" for x in inputs),
    }
