"""`timm:name`: a model of timm with weights of a file, on a folder of pictures by class."""

import importlib
from pathlib import Path
from typing import Any

import torch

from core import offline
from core.errors import SecateurError
from core.workload.examples import Examples
from core.workload.inputs.spilled import stacked
from core.workload.metric import accuracy
from core.workload.sources.folder import file_shapes
from core.workload.sources.media import PICTURES, by_class
from core.workload.sources.python_names import load_weights
from core.workload.sources.reference import Reference
from core.workload.sources.seen_and_heard import picture
from core.workload.workload import Workload

OTHERS = ("calibration", "training", "holdout")  # data beside those that are measured on
BATCH = 64


def build(reference: Reference) -> Workload:
    """The model by its name, its weights, and pictures as its own settings say.

    Raises:
        SecateurError: timm is missing or knows no such model, or weights or classes do not fit.
    """
    weights = Path(reference.options["weights"])
    file_shapes(weights)
    table = by_class(Path(reference.options["data"]), PICTURES, "pictures")
    classes = tuple(dict.fromkeys(table.columns["label"]))
    timm = _library()
    try:
        model = timm.create_model(reference.place, pretrained=False, num_classes=len(classes))
    except RuntimeError as error:
        raise SecateurError(
            f"timm {timm.__version__} has no model {reference.place!r} ({error}); see timm.list_models()"
        ) from None
    load_weights(model, str(weights))
    settings = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**settings, is_training=False)

    def examples(path: str) -> Examples:
        found = by_class(Path(path), PICTURES, "pictures")
        odd = sorted(set(found.columns["label"]) - set(classes))
        if odd:
            raise SecateurError(f"{path} has a class {odd[0]!r}, which {table.path.name} has not; give both the same")
        files = found.columns["file"]
        pixels, on_disk = stacked((transform(picture(file)) for file in files), len(files))
        labels = torch.tensor([classes.index(label) for label in found.columns["label"]])
        return Examples(pixels, labels, on_disk=on_disk)

    others: dict[str, Any] = {role: examples(reference.options[role]) for role in OTHERS if role in reference.options}
    notes = (
        f"model: {reference.place} of timm {timm.__version__}, weights of {weights.name}",
        f"data: {table.n:,} pictures of {table.path.name}",
        "labels: folders in the order of their names, as ImageFolder numbers them ("
        + ", ".join(f"{i} = {name}" for i, name in enumerate(classes[:6])) + (" …)" if len(classes) > 6 else ")"),
        f"pictures: {settings['input_size']}, as timm says of the model",
        "metric: accuracy",
    )  # fmt: skip
    return Workload(
        reference.place, model.eval(), examples(reference.options["data"]), accuracy(), class_names=classes,
        batch_size=BATCH, notes=notes, **others,
    )  # fmt: skip


def _library() -> Any:
    offline.seal()
    try:
        importlib.import_module("timm.data")
        return importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:
        raise SecateurError(
            f"timm: needs timm and a torchvision of the same build as torch ({' '.join(str(error).split())[:160]}); "
            "install them: python -m pip install 'secateur[timm]'"
        ) from None
