"""A quantized model in one file: dense, masked or shrunk before, and measured as it was read back."""

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from core.delivery.packed.comparison import compare_packed
from core.delivery.packed.layout import Packed
from core.delivery.packed.packing import write_packed, zstd_bytes
from core.delivery.packed.unpacking import dequantized, read_packed
from core.delivery.shrunk import shrunk_workload
from core.drafted import draft_beside
from core.engines.onnx_int8 import onnx_forward, write_quantized_onnx
from core.engines.state import unique_state
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.pruning.structure import EXAMPLES
from core.pruning.wearing import pruned_copy
from core.quantization.bits import DEFAULT_BITS, checked_scheme
from core.quantization.weights import QuantizedWeights, quantize_weights
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.model_measurement import measured_model, paired_drop
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate
from core.shown import Shown
from core.workload.scale import Scale


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk.

    Attributes:
        dense: of the dense model's weights as safetensors.
        pruned: of the pruned model's, the same way: fewer only if it was shrunk.
        pruned_zstd: of that file after plain zstd.
        packed: of the file that was written: pruned and quantized, packed or as ONNX.
    """

    dense: int
    pruned: int
    pruned_zstd: int
    packed: int

    @property
    def share(self) -> float:
        """Of the dense bytes that are left, in (0, 1] as a rule."""
        return self.packed / self.dense


@dataclass(frozen=True)
class Quantized(Shown):
    """A quantized model that was written, and what it is worth.

    Attributes:
        path: of the file.
        form: of the model that was quantized.
        scheme: as in `core.quantization.bits.SCHEMES`.
        bits: of its weights.
        scale: how to read the numbers.
        sizes: dense, pruned, packed.
        dense: the dense model's metric.
        pruned: metric and drop of the model before it was quantized; without a plan the dense model's.
        quantized: of the model that was read back from the file.
        own_drop: of the quantized model from the pruned one, paired: what quantizing alone cost.
        weights: what was quantized and what was not; `None` of an ONNX file, where ONNX Runtime decides.
        codings: tensors of a packed file by the coding that they got.
    """

    path: Path
    form: Form
    scheme: str
    bits: int
    scale: Scale
    sizes: Sizes
    dense: Estimate
    pruned: Outcome
    quantized: Outcome
    own_drop: Estimate | None
    weights: QuantizedWeights | None = field(repr=False)
    codings: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values, without tensors."""
        return {
            "path": str(self.path),
            "form": self.form,
            "scheme": self.scheme,
            "bits": self.bits,
            "metric": asdict(self.scale),
            "bytes": {**asdict(self.sizes), "share": self.sizes.share},
            "dense": asdict(self.dense),
            "pruned": asdict(self.pruned),
            "quantized": asdict(self.quantized),
            "own_drop": asdict(self.own_drop) if self.own_drop else None,
            "weights": self.weights.to_json() if self.weights else None,
            "codings": dict(self.codings),
        }


def write_quantized(
    measurement: Measurement,
    plan: SparsityPlan,
    path: Path,
    form: Form = "masked",
    bits: int = DEFAULT_BITS,
    on_phase: Callable[[str], None] = lambda phase: None,
    scheme: str = "weight",
    replaces: bool = False,
) -> Quantized:
    """Cut a model, quantize it, write it, read it back and measure what came back.

    Args:
        measurement: entered, of the workload and the examples to measure on; the model is dense before and after.
        plan: what to cut; an empty one quantizes the dense model.
        path: of the file; must not exist, unless `replaces`.
        form: `"masked"` keeps every shape, `"shrunk"` is the smaller model.
        bits: of the weights, 2 to 8; they are stored as int8, which compression shortens.
        on_phase: told what is being done.
        scheme: `"weight"`: a packed file of the weights. `"dynamic"`, `"static"`: an ONNX file, run by ONNX Runtime.
        replaces: a file that is there is removed, once the new one was measured.

    Raises:
        CannotExportError: the model cannot be exported to ONNX, or ONNX Runtime cannot quantize it.
        SecateurError: the file exists or cannot be written, the plan cannot be applied, or the file as a fresh process
            reads it holds other tensors. Then no file is left behind.
    """
    if path.exists() and not replaces:
        raise SecateurError(f"{path} exists already; choose another place, or remove it first")
    checked_scheme(scheme, bits)
    dense = unique_state(measurement.workload.model)
    on_phase("pruning")
    model = _pruned(measurement, plan, form)
    before = measured_model(measurement, model)
    state = unique_state(model)
    pruned = save(state)
    weights, codings = None, Counter[str]()
    with _whole(path, replaces) as draft:
        if scheme == "weight":
            weights = quantize_weights(model, bits)
            codings = _write_packed(model, state, weights, draft, on_phase)
            run: Callable[..., Any] = model
        else:
            on_phase("exporting and quantizing")
            few = tuple(tensor[:EXAMPLES] for tensor in measurement.inputs(0))
            write_quantized_onnx(model, few, draft, scheme, measurement.workload.calibration)
            run = onnx_forward(draft, model, few)
        on_phase("measuring what was read back")
        after = measured_model(measurement, run)
    return Quantized(
        path,
        form,
        scheme,
        bits,
        measurement.workload.metric.scale,
        Sizes(len(save(dense)), len(pruned), zstd_bytes(pruned), path.stat().st_size),
        measurement.dense(),
        before.outcome,
        after.outcome,
        paired_drop(measurement, before, after),
        weights,
        codings,
    )


@contextlib.contextmanager
def _whole(path: Path, replaces: bool) -> Iterator[Path]:
    """A draft beside the goal, moved there once the block is done; unless it `replaces`, nobody's file goes for it.

    Raises:
        SecateurError: the place cannot be written, or somebody else took it in the meantime.
    """
    drafts: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drafts = draft_beside(path, folder=True)
        draft = drafts / path.name
        yield draft
        if replaces:
            os.replace(draft, path)
        else:
            os.link(draft, path)  # fails if there is anything, where a replacing would be silent
    except FileExistsError:
        raise SecateurError(f"{path} was made by somebody else in the meantime; choose another place") from None
    except OSError as error:
        raise SecateurError(f"cannot write {path}: {error.strerror or error}; choose another place") from None
    finally:
        if drafts is not None:
            shutil.rmtree(drafts, ignore_errors=True)


def _write_packed(
    model: nn.Module,
    state: Mapping[str, Tensor],
    weights: QuantizedWeights,
    path: Path,
    on_phase: Callable[[str], None],
) -> Counter[str]:
    """Write a packed file and put into the model what is read back from it; returns how many tensors got which coding.

    Raises:
        SecateurError: it cannot be written, or a fresh process reads something else from it.
    """
    on_phase("quantizing and packing")
    tensors = with_codes(state, weights)
    written = write_packed(tensors, path)
    on_phase("reading the file in a fresh process")
    compare_packed(path, dequantized(tensors))
    _load(model, dequantized(read_packed(path)))
    return Counter(written.codings.values())


def _pruned(measurement: Measurement, plan: SparsityPlan, form: Form) -> nn.Module:
    """A model of its own, in evaluation mode."""
    if form == "shrunk":
        return shrunk_workload(measurement, plan).model
    measurement.prepare(plan)
    return pruned_copy(measurement.workload.model, measurement.maker.cut_tensors(plan)).eval()


def with_codes(state: Mapping[str, Tensor], weights: QuantizedWeights) -> dict[str, Packed]:
    """A state in which what was quantized is codes and scales."""
    return {
        name: weights.tensors[weights.names[name]] if name in weights.names else tensor
        for name, tensor in state.items()
    }


def _load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys  # tied ones are stored once
    assert not unexpected, f"the file holds {unexpected}"
