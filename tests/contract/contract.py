"""The contract: every cell of an architecture is right, held against plain torch, or refused with a reason in words."""

import copy
import math
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core import (
    Cut,
    Examples,
    SecateurError,
    SparsityPlan,
    SweepRequest,
    Workload,
    binary_accuracy,
    cosine_to_dense,
    cross_entropy,
    find_structure,
    label_accuracy,
    perplexity,
    pixel_accuracy,
    squared_error,
    sweep,
    token_accuracy,
)
from core.delivery.formats.facts import FORMATS
from core.delivery.formats.registry import REGISTRY
from core.delivery.formats.subject import Subject
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by
from core.pruning.structure import Structure
from tests.contract import by_hand
from tests.contract.architectures import made
from tests.contract.case import Case

METRICS: dict[str, Callable[[], Any]] = {
    "cross entropy": cross_entropy,
    "binary accuracy": binary_accuracy,
    "squared error": squared_error,
    "perplexity": perplexity,
    "token accuracy": token_accuracy,
    "pixel accuracy": pixel_accuracy,
    "label accuracy": label_accuracy,
    "cosine": cosine_to_dense,
}
SPARSITY = 0.5
BATCH = 5  # by hand it is four
COLUMNS = ("weights", "heads", "channels", "blocks", "shrink", "pt2", "onnx")
KINDS = {"weight": "weights", "head": "heads", "kv_group": "heads", "channel": "channels", "block": "blocks"}
CLOSE = 1e-4  # of a metric: one float32 pass, whatever the batch
SAME = 1e-3  # of outputs, at each place
ROUNDED = 1e-6  # of outputs that one rounding tells apart, which a batch of another size or length may not show
BARE = re.compile(
    r"\b\w+(Error|Exception)\b|unsupported operand|out of (bounds|range)|size mismatch|cannot be multiplied"
    r"|has no attribute|\x1b\[|/tmp/|Traceback|NoneType|invalid for input of size|must match the size"
    r"|[Ee]xpected .{0,40} but got|GuardOn|sizes are written out in its code|no reason given|object at 0x"
)  # what torch says to programmers, not what Secateur says to people


@dataclass
class Found:
    """What is said of one architecture, by column, and what is neither right nor refused in words.

    Attributes:
        said: "right (n)", and reasons of what is refused.
        third: one line each.
    """

    said: dict[str, list[str]] = field(default_factory=lambda: {column: [] for column in COLUMNS})
    third: list[str] = field(default_factory=list)
    right: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def refuse(self, column: str, reason: str) -> None:
        """Note a refusal; one that is no sentence of ours is a third state."""
        first = " ".join(reason.split())
        if BARE.search(reason) or len(reason.split()) < 4:
            self.third.append(f"{column}: refused without words: {first[:300]}")
        elif first not in self.said[column]:
            self.said[column].append(first)

    def hold(self, column: str, what: str, ours: float, theirs: float, close: float = CLOSE) -> None:
        """Note a number beside the one by hand."""
        if math.isclose(ours, theirs, rel_tol=close, abs_tol=close):
            self.right[column] += 1
        else:
            self.third.append(f"{column}: {what}: Secateur says {ours:.6g}, by hand {theirs:.6g}")


def examine(name: str) -> Found:
    """Everything that Secateur says of an architecture, held against plain torch."""
    found = Found()
    case = made(name)
    truth = _Truth(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = _structure(case, found)
        _sweep(name, case, truth, structure, found)
        _shrink(case, truth, structure, found)
        for column, read in (("pt2", _pt2), ("onnx", _onnx)):
            if column != "onnx" or name in WITH_ONNX:
                _export(case, truth, structure, column, read, found)
    return found


class _Truth:
    """Answers by hand, on a copy that nobody else has."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.model = by_hand.twin(case.model)
        self.dense = by_hand.outputs_of(self.model, case)
        others = [by_hand.outputs_of(by_hand.twin(case.model), case, size) for size in (3, len(self.dense))]
        self.mixes_examples = any(by_hand.apart(self.dense, other) > SAME for other in others)
        again = by_hand.outputs_of(by_hand.twin(case.model), case)
        self.is_random = not torch.equal(again, self.dense)

    @contextmanager
    def without(self, cut: Cut, structure: Structure) -> Any:
        """A copy of the model with one cut made by hand."""
        model = by_hand.twin(self.case.model)
        with self.cut_in(model, cut, structure):
            yield model

    def cut_in(self, model: nn.Module, cut: Cut, structure: Structure) -> Any:
        target = next(t for t in structure.targets if (t.granularity, t.name) == (cut.granularity, cut.target))
        if cut.granularity == "weight":
            return by_hand.weights_zeroed(model, target.parameter, cut.sparsity)
        if cut.granularity == "channel":
            group = structure.groups[cut.target]
            return by_hand.channels_zeroed(model, group, by_hand.smallest_units(self.case.model, group, cut.sparsity))
        if cut.granularity == "block":
            return by_hand.block_skipped(model, cut.target)
        assert self.case.zero_head is not None, "an architecture without heads has one"
        heads = [target.head]
        if cut.granularity == "kv_group":
            n = sum(t.granularity == "head" and t.layer == target.layer for t in structure.targets)
            n_kv = sum(t.granularity == "kv_group" and t.layer == target.layer for t in structure.targets)
            heads = list(range(target.head * n // n_kv, (target.head + 1) * n // n_kv))
        stack = ExitStack()
        for head in heads:
            stack.enter_context(self.case.zero_head(model, target.layer, head))
        return stack

    def number(self, model: nn.Module) -> float:
        return by_hand.number_of(self.case, by_hand.outputs_of(model, self.case), self.dense)


def _structure(case: Case, found: Found) -> Structure:
    structure = find_structure(case.model, tuple(x.clone() for x in case.inputs))
    for item in structure.uncuttable:
        column = "weights"
        if item.name == "channels" or item.name.startswith("channels of"):
            column = "channels"
        elif item.name.startswith("heads of"):
            column = "heads"
        found.refuse(column, item.reason)
        if item.reason.startswith("no layer reads its channels") and _is_read(
            case, item.name.removeprefix("channels of ")
        ):
            found.third.append(f"channels: untrue: {item.name}: {item.reason}")
        if "of another shape; an operation mixes" in item.reason or (
            "complex" in item.reason and "quantizing" in item.reason
        ):
            found.third.append(f"{column}: untrue: {item.name}: {item.reason}")
        if "name the output projection" in item.reason and not _has_linear(case, item.name.removeprefix("heads of ")):
            found.third.append(f"heads: a mend that does not help: {item.name}: {item.reason}")
    n = sum(target.granularity == "head" for target in structure.targets)
    if (
        case.n_heads
        and n != case.n_heads
        and not any(item.name.startswith("heads of") for item in structure.uncuttable)
    ):
        found.third.append(f"heads: {n} of {case.n_heads} offered, and nothing said of the others")
    named = {name for target in structure.targets for name in (target.parameter, *target.shared_with)}
    named |= {item.name for item in structure.uncuttable}
    own = {}
    for name, parameter in case.model.named_parameters(remove_duplicate=False):
        own.setdefault(id(parameter), []).append(name)
    for names in own.values():
        if not named.intersection(names) and not any(".parametrizations." in f".{name}" for name in names):
            found.third.append(f"weights: nothing is said of {names[0]}")
    return structure


def _has_linear(case: Case, path: str) -> bool:
    return any(isinstance(module, nn.Linear) for module in case.model.get_submodule(path).modules())


def _is_read(case: Case, path: str) -> bool:
    """Whether another module with weights gets anything else when what a layer gives changes."""
    seen: list[list[Tensor]] = []
    for change in (0.0, 1.7):
        model = by_hand.twin(case.model)
        layer = model.get_submodule(path.partition("@")[0])
        taken: list[Tensor] = []
        for module in model.modules():
            if module is not layer and any(True for _ in module.parameters(recurse=False)):
                module.register_forward_pre_hook(lambda _m, args, taken=taken: _note(taken, args))
        layer.register_forward_hook(lambda _m, _a, out, change=change: out + change)
        with torch.no_grad():
            model(*(x[:2].clone() for x in case.inputs))
        seen.append(taken)
    return any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(*seen, strict=False))


def _note(taken: list[Tensor], args: Any) -> None:
    taken.extend(arg.detach().clone() for arg in args if isinstance(arg, Tensor))


def _sweep(name: str, case: Case, truth: _Truth, structure: Structure, found: Found) -> None:
    inputs = tuple(x.clone() for x in case.inputs)
    examples = Examples(inputs) if case.labels is None else Examples(inputs, case.labels.clone())
    before = {key: value.clone() for key, value in case.model.state_dict().items()}
    workload = Workload(name, case.model, examples, METRICS[case.judge](), batch_size=BATCH)
    fields = {"heads": True, "blocks": True, "channels": True, "samples": "all", "threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = sweep(workload, workspace=Path(folder), sparsities=(SPARSITY,), **_known(fields))
        except SecateurError as error:
            for column in ("weights", "heads", "channels", "blocks")[: 4 if case.n_heads else 1]:
                found.refuse(column, str(error))
            return
        except Exception as error:
            found.third.append(f"weights: the sweep raised {type(error).__name__}: {error}")
            return
    if truth.is_random or truth.mixes_examples:
        what = "two passes differ" if truth.is_random else "an example's output depends on its batch"
        found.third.append(f"weights: measured, though {what}")
    if any(not torch.equal(a, b) for a, b in zip(inputs, case.inputs, strict=True)):
        found.third.append("weights: the evaluation data are others after the sweep")
    if any(not torch.equal(value, before[key]) for key, value in case.model.state_dict().items()):
        found.third.append("weights: the model is another after the sweep")
    assert report.dense is not None
    found.hold("weights", "dense", report.dense.value, truth.number(truth.model))
    swept = {(cell.cut.granularity, cell.cut.target) for cell in report.cells}
    for target in structure.targets:
        if (target.granularity, target.name) not in swept and target.granularity != "channel":
            found.third.append(f"{KINDS[target.granularity]}: {target.name} has no cell")
    for cell in report.cells:
        column, what = KINDS[cell.cut.granularity], f"{cell.cut.granularity} {cell.cut.target}"
        if cell.state == "failed":
            found.refuse(column, cell.reason or "")
            continue
        with truth.without(cell.cut, structure) as model:
            try:
                right = truth.number(model)
                same = by_hand.apart(by_hand.outputs_of(model, case), truth.dense) <= ROUNDED
            except Exception as error:
                found.third.append(f"{column}: {what}: measured {cell.metric}, by hand {type(error).__name__}: {error}")
                continue
        if cell.state == "no effect":
            found.hold(column, f"{what} without effect", 0.0 if same else math.nan, 0.0)
        elif cell.metric is None:
            found.third.append(f"{column}: {what}: {cell.state}, and nothing said")
        else:
            found.hold(column, what, cell.metric.value, right)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in SweepRequest.__dataclass_fields__}


def _structured(structure: Structure, kinds: Sequence[str] = ("channel", "head", "kv_group", "block")) -> list[Cut]:
    return [
        Cut(t.name, t.granularity, SPARSITY if t.granularity == "channel" else None)
        for t in structure.targets
        if t.granularity in kinds
    ]


def _together(structure: Structure) -> list[Cut]:
    """Half the channels of every group and the first head, or key/value group, of every attention that has several."""
    shared = {t.layer for t in structure.targets if t.granularity == "kv_group"}
    cuts = _structured(structure, ("channel",))
    for target in structure.targets:
        kind = "kv_group" if target.layer in shared and target.granularity == "kv_group" else "head"
        if target.layer in structure.heads and target.granularity == kind and target.head == 0:
            layout = structure.heads[target.layer]
            if (kind == "kv_group" and layout.n_kv > 1) or (kind == "head" and layout.n_kv == layout.n_heads):
                cuts.append(Cut(target.name, target.granularity))
    return cuts


def _small(case: Case, structure: Structure, cuts: Sequence[Cut]) -> nn.Module:
    """A shrunk model that Secateur says is equal to the masked one."""
    inputs = tuple(x.clone() for x in case.inputs)
    maker = MaskMaker(case.model, structure.targets, structure.groups)
    plan = SparsityPlan(tuple(cuts))
    small = shrunk_by(case.model, plan, structure, maker, tuple(x[:2] for x in inputs))
    equal(case.model, small, plan, maker, [inputs])
    return small


def _shrink(case: Case, truth: _Truth, structure: Structure, found: Found) -> None:
    if truth.is_random or truth.mixes_examples:
        return
    together = _together(structure)
    for cuts in [[cut] for cut in _structured(structure)] + ([together] if len(together) > 1 else []):
        what = f"{cuts[0].granularity} {cuts[0].target}" if len(cuts) == 1 else f"{len(cuts)} together"
        try:
            small = _small(copy_of(case), structure, cuts)
        except SecateurError as error:
            found.refuse("shrink", str(error))
            continue
        except Exception as error:
            found.third.append(f"shrink: {what}: {type(error).__name__}: {error}")
            continue
        model = by_hand.twin(case.model)
        try:
            with ExitStack() as stack:
                for cut in cuts:
                    stack.enter_context(truth.cut_in(model, cut, structure))
                right = by_hand.outputs_of(model, case)
        except Exception as error:
            found.third.append(f"shrink: {what}: offered, by hand {type(error).__name__}: {error}")
            continue
        far = by_hand.apart(right, by_hand.outputs_of(small, case))
        close = SAME if next(case.model.parameters()).dtype.itemsize > 2 else 0.1
        found.hold("shrink", f"{what}: outputs apart from those by hand", far, 0.0, close)


def copy_of(case: Case) -> Case:
    """The same case with a model and inputs of its own."""
    return replace(case, model=by_hand.twin(case.model), inputs=tuple(x.clone() for x in case.inputs))


Reader = Callable[[Path], Callable[..., list[Tensor]]]


def _export(case: Case, truth: _Truth, structure: Structure, column: str, read: Reader, found: Found) -> None:
    """The model with cuts taken out where they can be, written, read, and run on three examples and on all.

    It is read in this process; only what cannot be run so is asked of the product's own check, which starts one.
    """
    if truth.is_random or truth.mixes_examples:
        return
    try:
        small = _small(copy_of(case), structure, _together(structure))
    except Exception:  # told by `_shrink`
        small = by_hand.twin(case.model)
    batches = (tuple(x.clone() for x in case.inputs), tuple(x[:3].clone() for x in case.inputs))
    before = by_hand.twin(small)
    close = SAME if next(case.model.parameters()).dtype.itemsize > 2 else 0.1
    with tempfile.TemporaryDirectory() as folder:
        subject, path = Subject(small, copy.deepcopy(batches)), Path(folder) / FORMATS[column].path
        try:
            REGISTRY[column].write(subject, path)
        except SecateurError as error:
            found.refuse(column, str(error))
            return
        except Exception as error:
            found.third.append(f"{column}: {type(error).__name__}: {error}")
            return
        for inputs in batches:
            with torch.no_grad():
                right = leaves(before(*(x.clone() for x in inputs)))
                try:
                    ours = read(path)(*(x.clone() for x in inputs))
                except Exception as error:
                    found.refuse(column, _checked(subject, column, path) or f"passed, and raises {error!r}")
                    return
            far = max(by_hand.apart(a, b) for a, b in zip(right, ours, strict=True))
            found.hold(column, f"outputs of {len(inputs[0])} examples", far, 0.0, close)


def _checked(subject: Subject, column: str, path: Path) -> str | None:
    """Why the product's own check refuses what it wrote."""
    try:
        REGISTRY[column].check(subject, path)
    except SecateurError as error:
        return str(error)
    return None


def leaves(outputs: Any) -> list[Tensor]:
    """Tensors of outputs, in order."""
    if hasattr(outputs, "__dataclass_fields__") and not isinstance(outputs, dict):
        outputs = [getattr(outputs, name) for name in outputs.__dataclass_fields__]
    return [leaf for leaf in torch.utils._pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _pt2(path: Path) -> Callable[..., list[Tensor]]:
    program = torch.export.load(path).module()
    return lambda *inputs: leaves(program(*inputs))


def _onnx(path: Path) -> Callable[..., list[Tensor]]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        given = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        return [torch.from_numpy(out) for out in session.run(None, given)]

    return run


# ONNX takes seconds each: one of every kind
WITH_ONNX = (
    "mlp",
    "two inputs",
    "lstm",
    "action mask",
    "residual",
    "inverted residual with squeeze",
    "u net",
    "dense concatenation",
    "own attention",
    "torch attention",
    "own vit",
    "bert",
    "llama",
)
