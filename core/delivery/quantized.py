"""A quantized model as one packed file: dense, masked or shrunk first, measured as it was read back."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from core.delivery.bundle import unique_state
from core.delivery.packing import Packed, dequantized, read_packed, write_packed, zstd_bytes
from core.delivery.shrunk import shrunk_workload
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.pruning.masks import pruned_copy
from core.quantization.weights import DEFAULT_BITS, QuantizedWeights, quantize_weights
from core.sensitivity.measurement import Measurement, Outcome
from core.sensitivity.model_measurement import MeasuredModel, measured_model, paired_drop
from core.sensitivity.report import Estimate
from core.workload.fingerprint import state_fingerprint
from core.workload.scale import Scale


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk.

    Attributes:
        dense: of the dense model's weights as safetensors.
        pruned: of the pruned model's, the same way: fewer only if it was shrunk.
        pruned_zstd: of that file after plain zstd.
        packed: of the file that was written: pruned, quantized and packed.
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
class Quantized:
    """A quantized model that was written, and what it is worth.

    Attributes:
        path: of the file.
        form: of the model that was quantized.
        bits: of its weights.
        scale: how to read the numbers.
        sizes: dense, pruned, packed.
        dense: the dense model's metric.
        pruned: metric and drop of the model before it was quantized; without a plan the dense model's.
        quantized: of the model that was read back from the file.
        own_drop: of the quantized model from the pruned one, paired: what quantizing alone cost.
        weights: what was quantized and what was not.
        codings: tensors by the coding that they got.
    """

    path: Path
    form: Form
    bits: int
    scale: Scale
    sizes: Sizes
    dense: Estimate
    pruned: Outcome
    quantized: Outcome
    own_drop: Estimate | None
    weights: QuantizedWeights = field(repr=False)
    codings: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values, without tensors."""
        return {
            "path": str(self.path),
            "form": self.form,
            "scheme": "weight",
            "bits": self.bits,
            "metric": asdict(self.scale),
            "bytes": {**asdict(self.sizes), "share": self.sizes.share},
            "dense": asdict(self.dense),
            "pruned": asdict(self.pruned),
            "quantized": asdict(self.quantized),
            "own_drop": asdict(self.own_drop) if self.own_drop else None,
            "weights": self.weights.to_json(),
            "codings": dict(self.codings),
        }


def write_quantized(
    measurement: Measurement,
    plan: SparsityPlan,
    path: Path,
    form: Form = "masked",
    bits: int = DEFAULT_BITS,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> Quantized:
    """Cut a model, quantize its weights, write them packed, read them back and measure what came back.

    Args:
        measurement: entered, of the workload and the examples to measure on; the model is dense before and after.
        plan: what to cut; an empty one quantizes the dense model.
        path: of the file; must not exist.
        form: `"masked"` keeps every shape, `"shrunk"` is the smaller model.
        bits: of the weights, 2 to 8; they are stored as int8, which compression shortens.
        on_phase: told what is being done.

    Raises:
        SecateurError: the file exists or cannot be written, the plan cannot be applied, or the file as a fresh process
            reads it holds other tensors. Then no file is left behind.
    """
    if path.exists():
        raise SecateurError(f"{path} exists already; choose another place, or remove it first")
    dense = unique_state(measurement.workload.model)
    on_phase("pruning")
    model = _pruned(measurement, plan, form)
    before = measured_model(measurement, model)
    on_phase("quantizing and packing")
    weights = quantize_weights(model, bits)
    state = unique_state(model)
    tensors = _with_codes(state, weights)
    written = write_packed(tensors, path)
    try:
        on_phase("reading the file in a fresh process")
        _compare_in_fresh_process(path, dequantized(tensors))
        on_phase("measuring what was read back")
        _load(model, dequantized(read_packed(path)))
        after: MeasuredModel = measured_model(measurement, model)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    pruned = save(state)
    return Quantized(
        path,
        form,
        bits,
        measurement.workload.metric.scale,
        Sizes(len(save(dense)), len(pruned), zstd_bytes(pruned), written.n_bytes),
        measurement.dense(),
        before.outcome,
        after.outcome,
        paired_drop(measurement, before, after),
        weights,
        Counter(written.codings.values()),
    )


def _pruned(measurement: Measurement, plan: SparsityPlan, form: Form) -> nn.Module:
    """A model of its own, in evaluation mode."""
    if form == "shrunk":
        return shrunk_workload(measurement, plan).model
    measurement.prepare(plan)
    return pruned_copy(measurement.workload.model, measurement.maker.cut_tensors(plan)).eval()


def _with_codes(state: Mapping[str, Tensor], weights: QuantizedWeights) -> dict[str, Packed]:
    return {
        name: weights.tensors[weights.names[name]] if name in weights.names else tensor
        for name, tensor in state.items()
    }


def _load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    unexpected = model.load_state_dict(state, strict=False).unexpected_keys  # tied ones are stored once
    assert not unexpected, f"the file holds {unexpected}"


def _compare_in_fresh_process(path: Path, expected: Mapping[str, Tensor]) -> None:
    command = [sys.executable, "-P", "-m", "core.delivery.packing", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip() != state_fingerprint(expected):
        what = (done.stderr.strip().splitlines() or ["its tensors differ"])[-1]
        raise SecateurError(f"{path} was not kept, since a fresh process reads something else from it: {what}")
