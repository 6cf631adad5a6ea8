"""A workload of a model and its data as they are: what `core.sweep(model, loader, metric="accuracy")` measures."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from core.errors import SecateurError
from core.workload.identity.unwrapped import unwrapped
from core.workload.inputs.drawn import examples_from
from core.workload.metric import Metric
from core.workload.metrics.by_name import metric_named
from core.workload.workload import Workload

DIMS = {
    "classes": (1,),
    "tokens": (2,),
    "pixels": (3,),
    "labels": (2,),
    "relevance": (2,),
    "binary": (1, 2),
    "number": (1, 2),
}
OWN = ("labels", "inputs", "limit", "batched", "name")  # besides fields of a workload
BATCH = 250  # as in `Workload`


def workload_of(
    model: nn.Module,
    data: Any,
    metric: str | Metric,
    *,
    labels: str | Tensor | None = None,
    inputs: Sequence[str] | None = None,
    limit: int | None = None,
    batched: bool | None = None,
    name: str | None = None,
    batch_size: int | None = None,
    **fields: Any,
) -> Workload:
    """A workload, checked, of a model, data of any kind, and a metric or its name.

    Args:
        model: trained.
        data: evaluation data; this and `labels`, `inputs`, `limit`, `batched` as in `examples_from`.
        metric: or its name; see `metric_named`.
        name: how it is called on screen; the class of the model unless told otherwise.
        batch_size: examples per forward pass; that of a DataLoader unless told otherwise.
        **fields: others of `Workload`.

    Raises:
        SecateurError: as `examples_from`, `metric_named` and `Workload.check`.
    """
    if not isinstance(model, nn.Module):
        raise SecateurError(
            f"expected a model, a torch.nn.Module, and its data; got {type(model).__name__}. A sample or a workload "
            "file is named by a string, alone"
        )
    known = {one.name for one in dataclasses.fields(Workload)}
    for one in sorted(fields.keys() - known | fields.keys() & {"evaluation"}):
        named = sorted(known - {"name", "model", "evaluation", "metric", "origin", "n_ignored"})
        near = difflib.get_close_matches(one, [*OWN, *named], 1, 0.7)
        mend = f"did you mean {near[0]}?" if near else f"there are {', '.join((*OWN, *named))}"
        raise SecateurError(f"core.workload_of takes no {one}=: {mend}")
    chosen = metric_named(metric, _class_names(model, fields.get("class_names", ())))
    kind = chosen.reading.kind if chosen.reading is not None else ""
    examples = examples_from(
        data, labels=labels, inputs=inputs, limit=limit, batched=batched, label_dims=DIMS.get(kind, ())
    )
    size = getattr(data, "batch_size", None)
    found = Workload(
        name or type(model).__name__, model, examples, chosen,
        batch_size=batch_size if batch_size is not None else size if isinstance(size, int) else BATCH, **fields,
    )  # fmt: skip
    found.check()
    return found


def _class_names(model: nn.Module, given: Sequence[str]) -> tuple[str, ...]:
    """As given, or those of a model of transformers."""
    named = getattr(getattr(unwrapped(model), "config", None), "id2label", None)
    if given or not isinstance(named, dict):
        return tuple(given)
    return tuple(str(named[i]) for i in sorted(named))
