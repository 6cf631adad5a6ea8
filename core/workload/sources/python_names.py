"""`py:` and `lightning:`: what a user's own package makes. This runs it; only ever for what a person has named."""

import importlib
import inspect
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import SecateurError
from core.workload.inputs.drawn import examples_from
from core.workload.inputs.given import workload_of
from core.workload.metrics.by_name import METRICS
from core.workload.sources.folder import file_shapes
from core.workload.sources.reference import Reference
from core.workload.workload import Workload

LOADERS = ("test_dataloader", "val_dataloader")


def build(reference: Reference) -> Any:
    """What the function returns, or the model with its weights and the data of its module.

    Raises:
        SecateurError: there is no such name, or it gives something else.
    """
    if reference.kind == "py":
        return imported(reference.place)()
    return _lightning(reference)


def imported(place: str) -> Any:
    """What is called `package.module:name`.

    Raises:
        SecateurError: there is none.
    """
    module, _, name = place.partition(":")
    package = module.partition(".")[0]
    if package in ("core", "dashboard", "sample_models"):
        raise SecateurError(
            f"your package {package!r} has the name of one of Secateur, which is imported first; rename yours, or "
            "import it in a workload file that lies inside of it"
        )
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise SecateurError(
            f"{module} could not be imported: {error}; install what it needs, or mend the name"
        ) from None
    if not callable(found):
        raise SecateurError(f"{module} has no function or class {name!r}; mend the name")
    return found


def _lightning(reference: Reference) -> Workload:
    cls = imported(reference.place)
    if not (inspect.isclass(cls) and issubclass(cls, nn.Module)):
        raise SecateurError(f"{reference.place} must be a class of modules; for a function take py:")
    model = _made(cls, reference.place)
    path = reference.options["weights"]
    load_weights(model, path)
    data = _made(imported(reference.options["data"]), reference.options["data"])
    loader = _loader(data, reference.options["data"])
    metric = reference.options.get("metric")
    if metric is None:
        labels = examples_from(_loader(data, reference.options["data"])).labels
        if labels.dim() != 1 or labels.is_floating_point():
            raise SecateurError(f"labels {tuple(labels.shape)} of {labels.dtype} say no metric; name one: --metric "
                                f"{', '.join(METRICS)}")  # fmt: skip
        metric = "accuracy"
    found = workload_of(model.eval(), loader, metric, name=cls.__name__)
    notes = (
        f"model: {reference.place}, weights of {path}",
        f"data: {len(found.evaluation):,} examples of {reference.options['data']}",
        f"metric: {metric}",
    )
    return replace(found, notes=(*found.notes, *notes))


def load_weights(model: nn.Module, file: str) -> None:
    """Put the tensors of a safetensors file into a model, all of them, after a look at its header.

    Raises:
        SecateurError: it is no safetensors, or names and shapes are others.
    """
    from pathlib import Path

    path = Path(file)
    shapes, _ = file_shapes(path)
    state = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    own = {name: tuple(tensor.shape) for name, tensor in state.items()}
    # of tensors that are one, safetensors keeps one
    there = {_place(tensor) for name, tensor in state.items() if name in shapes}
    tied = {name for name, tensor in state.items() if name not in shapes and _place(tensor) in there}
    odd = sorted(name for name in {*own, *shapes} - tied if own.get(name) != shapes.get(name))
    if odd:
        name = odd[0]
        raise SecateurError(
            f"{path.name} does not fit the model in {len(odd)} tensor(s): {name} is {shapes.get(name, 'missing')} in "
            f"the file and {own.get(name, 'missing')} in the model; give the weights of this model"
        )
    model.load_state_dict(load_file(path), strict=not tied)


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _made(cls: Any, place: str) -> Any:
    try:
        inspect.signature(cls).bind()
    except (TypeError, ValueError) as error:
        raise SecateurError(
            f"{place} cannot be made without arguments ({error}); write a function that makes it, and name that: "
            "py:package.module:function"
        ) from None
    return cls()


def _loader(data: Any, place: str) -> Iterable[Any]:
    for step in ("prepare_data", "setup"):
        method = getattr(data, step, None)
        if callable(method):
            method("test") if inspect.signature(method).parameters else method()
    for name in LOADERS:
        method = getattr(data, name, None)
        try:
            found = method() if callable(method) else None
        except Exception as error:  # a module without the one may have the other
            if name == LOADERS[-1]:
                raise SecateurError(f"{name}() of {place} raised {type(error).__name__}: {error}") from error
            continue
        if isinstance(found, Iterable):
            return found
    raise SecateurError(f"{place} has neither {' nor '.join(LOADERS)} that gives batches of (inputs, labels)")
