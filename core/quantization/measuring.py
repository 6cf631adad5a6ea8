"""Measuring quantized targets with the machinery that measures cuts: evidence, replay and intervals are the same."""

import hashlib

from torch import Tensor

from core.errors import SecateurError, unknown_name_hint
from core.plans.plan import SparsityPlan
from core.quantization.quantized_plan import QuantizedPlan
from core.quantization.weights import QuantizedTensor, output_axis, quantize_tensor
from core.sensitivity.evidence import Conditions
from core.sensitivity.measuring.cutting import Cutting
from core.sensitivity.measuring.measurement import Measurement
from core.workload.code_text import code_text
from core.workload.target import Target

# a change to how weights are rounded makes old evidence another's
QUANTIZER = hashlib.sha256((code_text(quantize_tensor) + code_text(QuantizedTensor)).encode()).hexdigest()


class QuantizedCutting(Cutting):
    """Cuts, and plans of which some weights are quantized."""

    def key(self, plan: SparsityPlan, conditions: Conditions) -> str:
        """As of a cut; of a quantized plan also by how weights are rounded."""
        key = super().key(plan, conditions)
        quantized = isinstance(plan, QuantizedPlan) and plan.bits
        return hashlib.sha256(f"{key} {QUANTIZER}".encode()).hexdigest() if quantized else key

    def changed_by(self, plan: SparsityPlan) -> frozenset[str]:
        """As of a cut; what is quantized changes as well."""
        bits = plan.bits if isinstance(plan, QuantizedPlan) else ()
        return super().changed_by(plan) | {self._weight(name).parameter for name, _ in bits}

    def cut(self, plan: SparsityPlan) -> dict[str, Tensor]:
        """As of a cut, with what is quantized rounded."""
        tensors = super().cut(plan)
        for name, bits in plan.bits if isinstance(plan, QuantizedPlan) else ():
            target = self._weight(name)
            weight = tensors.get(target.parameter)
            if weight is None:
                weight = self._workload.model.get_parameter(target.parameter)
            tensors[target.parameter] = quantize_tensor(weight, output_axis(target), bits).dequantized()
        return tensors

    def _weight(self, name: str) -> Target:
        known = {target.name: target for target in self.targets if target.granularity == "weight"}
        if name not in known:
            raise SecateurError(f"no weight target {name!r} to quantize; {unknown_name_hint(name, list(known))}")
        return known[name]


class QuantizedMeasurement(Measurement):
    """A measurement that also knows plans of which some weights are quantized."""

    cuts = QuantizedCutting
