"""A workload as plain values: what the dashboard shows of it without loading it. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.workload.inputs.pairs import Paired
from core.workload.scale import Scale
from core.workload.target import Target, Uncuttable


@dataclass(frozen=True)
class Description:
    """What a workload is made of.

    Attributes:
        ref: sample name or absolute path.
        name: as the workload calls itself.
        fingerprint: of the dense model.
        scale: of its metric.
        n_evaluation, n_calibration, n_training: examples; `None` where it has no such data.
        sweep_examples: how many evaluation examples a sweep uses by default.
        n_parameters: of the model, tied ones counted once.
        targets, uncuttable: as `find_targets` or `find_structure` lists them.
        discovery: by which version of the search they were found; 0 for a search that knows no coupled groups, `LATER`
            where they are still to be looked for.
        flops: floating-point operations of one example, a multiply-add counting two, by name of the weight target whose
            numbers are multiplied; under `products_of(path)` what a module multiplies without weights, as an
            attention its queries with its keys; under a module's path what belongs to no target. Empty if not known.
        n_bytes: that all parameters take, tied ones once; `None` if not known.
        inputs: which parameter of the model's `forward` each tensor of the evaluation data is; empty if not known.
        n_held: evaluation examples that are set aside for certificates.
        n_holdout: examples that the workload names for certificates; `None` if it names none.
    """

    ref: str
    name: str
    fingerprint: str
    scale: Scale
    n_evaluation: int
    n_calibration: int | None
    n_training: int | None
    sweep_examples: int
    n_parameters: int
    targets: tuple[Target, ...]
    uncuttable: tuple[Uncuttable, ...]
    discovery: int = 0
    flops: Mapping[str, float] = field(default_factory=dict, hash=False)
    n_bytes: int | None = None
    inputs: tuple[Paired, ...] = ()
    n_held: int = 0
    n_holdout: int | None = None

    @property
    def n_open(self) -> int:
        """Evaluation examples that may be chosen by."""
        return self.n_evaluation - self.n_held

    @property
    def is_whole(self) -> bool:
        """Whether it is known which channels can be cut; else they are looked for later."""
        return self.discovery != LATER

    @property
    def n_certified_on(self) -> int:
        """Examples that a certificate may be made on."""
        return self.n_held if self.n_holdout is None else self.n_holdout

    @property
    def weight_targets(self) -> tuple[Target, ...]:
        """Targets whose single entries are cut, in network order."""
        return tuple(target for target in self.targets if target.granularity == "weight")

    @property
    def channel_targets(self) -> tuple[Target, ...]:
        """Coupled groups of channels and neurons, in network order."""
        return tuple(target for target in self.targets if target.granularity == "channel")

    @property
    def head_targets(self) -> tuple[Target, ...]:
        """Attention heads, layer by layer."""
        return tuple(target for target in self.targets if target.granularity == "head")

    @property
    def kv_group_targets(self) -> tuple[Target, ...]:
        """Key/value heads with the query heads that share them, layer by layer."""
        return tuple(target for target in self.targets if target.granularity == "kv_group")

    @property
    def block_targets(self) -> tuple[Target, ...]:
        """Blocks that may be skipped, in network order."""
        return tuple(target for target in self.targets if target.granularity == "block")

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Description":
        """Inverse of `to_json` after a trip through JSON."""
        return cls(
            **{
                **fields,
                "scale": Scale.from_json(fields["scale"]),
                "targets": tuple(Target.from_json(target) for target in fields["targets"]),
                "uncuttable": tuple(Uncuttable(**{**u, "shape": tuple(u["shape"])}) for u in fields["uncuttable"]),
                "inputs": tuple(Paired(**{**one, "shape": tuple(one["shape"])}) for one in fields.get("inputs", ())),
            }
        )


LATER = -1  # of a description that is made while a sweep waits for its first number
DISCOVERY = 4  # raised when the search for what can be cut finds other things than it did
FlopCounter = Callable[[Any, tuple[Target, ...]], Mapping[str, float]]
Finder = Callable[[Any], tuple[tuple[Target, ...], tuple[Uncuttable, ...]]]


def products_of(path: str) -> str:
    """Under which name `Description.flops` keeps what a module multiplies without weights."""
    return f"products of {path or 'model'}"


def describe(
    ref: str,
    workload: Any,
    find: Finder | None = None,
    known: Description | None = None,
    count_flops: FlopCounter | None = None,
    whole: bool = True,
    fingerprint: str | None = None,
) -> Description:
    """The description of a loaded `Workload`. Imports torch.

    Args:
        ref: sample name or absolute path.
        workload: loaded.
        find: what can be cut in the workload's model; by default `find_targets`.
        known: an earlier description, whose targets and operations are taken over if the model is still the same.
        count_flops: operations by target, as `Description.flops`; by default they are not counted.
        whole: `find` looks for coupled groups, too; else the description says that they come later.
        fingerprint: of the model, where somebody has it already.
    """
    from core.workload.discovery import find_targets
    from core.workload.identity.fingerprint import model_fingerprint
    from core.workload.inputs.names import pairing

    fingerprint = fingerprint or model_fingerprint(workload.model)
    discovery = (DISCOVERY if whole else LATER) if find else 0
    if known is not None and (known.fingerprint, known.discovery) == (fingerprint, DISCOVERY):
        targets, uncuttable, flops, discovery = known.targets, known.uncuttable, known.flops, DISCOVERY
    else:
        targets, uncuttable = find(workload) if find else find_targets(workload.model)
        flops = count_flops(workload, targets) if count_flops else {}
    parameters = list(workload.model.parameters())
    n = len(workload.evaluation)
    return Description(
        ref=ref,
        name=workload.name,
        fingerprint=fingerprint,
        scale=workload.metric.scale,
        n_evaluation=n,
        n_calibration=None if workload.calibration is None else len(workload.calibration),
        n_training=None if workload.training is None else len(workload.training),
        sweep_examples=min(workload.n_open, workload.sweep_examples or n),
        n_parameters=sum(parameter.numel() for parameter in parameters),
        targets=targets,
        uncuttable=uncuttable,
        discovery=discovery,
        flops=flops,
        n_bytes=sum(parameter.numel() * parameter.element_size() for parameter in parameters),
        inputs=pairing(workload.model, workload.evaluation),
        n_held=workload.n_held,
        n_holdout=None if workload.holdout is None else len(workload.holdout),
    )
