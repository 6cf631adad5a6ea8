"""A workload as plain values: what the dashboard shows of it without loading it. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.workload.inputs.pairs import Paired
from core.workload.scale import Scale
from core.workload.target import Target, Uncuttable

BATCH = "examples"  # the name of the variable by which tensors grow with a batch
Factor = tuple[float, tuple[tuple[str, float], ...]]  # of a size: at its largest, and what one unit of each name takes


@dataclass(frozen=True)
class Held:
    """Tensors that are held in memory together during a forward pass.

    Attributes:
        born, dies: the first of the pass' moments that they are there, and the first that they are no more; the moments
            are those just before something is freed, for in between memory only grows.
        size: bytes, or what the factors multiply.
        factors: of each `(size, ((name, each), …))`: what is left is `size` minus `each` times the units that went, by
            names of `MemoryUse`.
    """

    born: int
    dies: int
    size: float
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True)
class Cached:
    """Keys and values that an attention of a language model keeps of every position of a text.

    Attributes:
        layer: path of the attention.
        heads: key/value heads.
        n_bytes: of one position, of all these heads.
    """

    layer: str
    heads: int
    n_bytes: int


@dataclass(frozen=True)
class MemoryUse:
    """What a forward pass holds, moment by moment, and which cuts that follows; found out by cutting and running.

    Units are channels of a coupled group, by its name; key/value heads with their query heads, as `keys_of(path)`; of
    grouped-query attention also one query head of every key/value head, as `queries_of(path)`; and `BATCH`.

    Attributes:
        held: parameters, buffers, inputs and what the pass makes; a tensor that several names share once.
        understood: names that it is known of.
        refused: of names that it is not known of, why.
        cached: by attention, of a causal language model; empty for others.
        why_uncached: why nothing is.
        batch: examples of the pass that is asked about.
        length: positions of each example whose keys and values are kept; `None` for none.
        moments: that a solver adds up, for it cannot know beforehand which will hold most; empty for the one that does
            in the dense model.
    """

    held: tuple[Held, ...]
    understood: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)
    cached: tuple[Cached, ...] = ()
    why_uncached: str | None = None
    batch: int = 1
    length: int | None = None
    moments: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "MemoryUse":
        """Inverse of `dataclasses.asdict` after a trip through JSON."""
        held = tuple(
            Held(
                one["born"], one["dies"], one["size"],
                tuple((size, tuple((name, each) for name, each in by)) for size, by in one["factors"]),
            )
            for one in fields["held"]
        )  # fmt: skip
        cached = tuple(Cached(**one) for one in fields["cached"])
        return cls(
            **{**fields, "held": held, "understood": tuple(fields["understood"]), "cached": cached, "moments": ()}
        )


def keys_of(path: str) -> str:
    """The name of an attention's key/value heads in a `MemoryUse`."""
    return f"heads of {path}"


def queries_of(path: str) -> str:
    """The name of one query head of every key/value head of an attention in a `MemoryUse`."""
    return f"query heads of {path}"


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
        memory: what a forward pass holds; `None` if that was not counted yet.
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
    memory: MemoryUse | None = None

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
                "memory": MemoryUse.from_json(memory) if (memory := fields.get("memory")) else None,
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
        known: an earlier description: its targets are taken over if the model is still the same, and its operations if
            the inputs have the same shapes, too.
        count_flops: operations by target, as `Description.flops`; by default they are not counted.
        whole: `find` looks for coupled groups, too; else the description says that they come later.
        fingerprint: of the model, where somebody has it already.
    """
    from core.workload.discovery import find_targets
    from core.workload.identity.fingerprint import model_fingerprint
    from core.workload.inputs.names import pairing

    fingerprint = fingerprint or model_fingerprint(workload.model)
    inputs = pairing(workload.model, workload.evaluation)
    discovery = (DISCOVERY if whole else LATER) if find else 0
    if known is not None and (known.fingerprint, known.discovery) == (fingerprint, DISCOVERY):
        targets, uncuttable, flops, discovery = known.targets, known.uncuttable, known.flops, DISCOVERY
        if count_flops and known.inputs not in ((), inputs):  # of larger images, say: more operations
            flops = count_flops(workload, targets)
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
        inputs=inputs,
        n_held=workload.n_held,
        n_holdout=None if workload.holdout is None else len(workload.holdout),
    )
