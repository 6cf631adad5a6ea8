"""The configuration of transformers that makes a model of the sizes that a smaller one has, or why there is none.

Which of its numbers say what differs from class to class, so nothing is taken on trust: numbers that may be meant are
set on a copy, a model is made of it without memory, and names and shapes are compared. `per_layer_config` is never
written: transformers 5.24 reloads widths of single layers wrongly, and ignores what it was told to skip.
"""

import copy
import itertools
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.delivery.formats.subject import CannotHoldError
from core.pruning.surgery import PassOn
from core.workload.attention import attention_modules
from core.workload.inputs.names import plain_class

WIDTHS = (
    "intermediate_size",
    "hidden_dim",
    "n_inner",
    "d_ff",
    "ffn_dim",
    "ffn_hidden_size",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
)
RATIOS = ("mlp_ratio",)  # neurons in parts of the hidden size
HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
KV_HEADS = "num_key_value_heads"
SIZES = ("head_dim", "d_kv")  # of one head, where a configuration has it
MODULE_SIZES = ("head_dim", "attention_head_size", "key_value_proj_dim", "head_size")
LAYERS = (
    "num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers",
)  # fmt: skip
UNSAID = ("architectures", "dtype", "transformers_version", "_name_or_path", "pruned_heads")  # no number of the model
OTHERS = "take pt2 or onnx, which hold any sizes"
EVEN = "`secateur solve --even` makes a plan that is"

Shape = tuple[int, ...]
Place = tuple[str, str]  # of a number: the configuration inside the configuration, "" for itself, and its name
Changes = Mapping[Place, Any]
Wrong = dict[str, tuple[Shape | None, Shape | None]]  # by name: the shape that is there, and that of the configuration


@dataclass(frozen=True)
class Fitted:
    """What `from_pretrained` makes a model of that does what a smaller one does, as far as shapes tell.

    Attributes:
        config: a copy, with the numbers that are true now.
        state: names of which blocks that are gone are no part any more, with tensors of the model.
        is_own: the model's own configuration and names say it already.
    """

    config: Any
    state: dict[str, Tensor]
    is_own: bool


class _RefusedError(Exception):
    """What a configuration, or the model made of it, says to a number."""


def fitted(inner: Any) -> Fitted:
    """A configuration of which a model has the names and shapes of this one.

    Args:
        inner: a model of transformers from which something may have been cut; not modified.

    Raises:
        CannotHoldError: there is none; says what stands against it.
    """
    with _quiet():
        return _Search(inner).found()


class _Search:
    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.cls = plain_class(type(inner))
        self.blocks = _blocks(inner)
        self.state = {_renamed(name, self.blocks): x for name, x in inner.state_dict().items()}
        self.shapes = {name: tuple(x.shape) for name, x in self.state.items()}
        self.refusals: dict[str, str] = {}  # what was said to numbers, in order

    def found(self) -> Fitted:
        config = copy.deepcopy(self.inner.config)
        try:
            wrong = self.wrong(config)
        except _RefusedError as error:
            raise CannotHoldError(
                f"its configuration makes no model: {error}; cut as many as it takes, or {OTHERS}"
            ) from None
        is_own = not wrong and not self.blocks
        for candidates in (self.layers, self.numbers):
            while wrong:
                better = self.best(config, wrong, candidates(config, wrong))
                if better is None:
                    break
                config, wrong = better
        if wrong:
            raise CannotHoldError(f"its configuration cannot say what was cut: {self.reason(config, wrong)}")
        if not is_own and "pruned_heads" in vars(config):
            del config.pruned_heads  # the numbers say it now
        return Fitted(config, self.state, is_own)

    def wrong(self, config: Any) -> Wrong:
        """Names of which the shape is another in a model of a configuration."""
        try:
            with torch.device("meta"):
                model = self.cls(copy.deepcopy(config))
        except Exception as error:  # each version of transformers has errors of its own
            raise _RefusedError(_said(error)) from None
        theirs = {name: tuple(x.shape) for name, x in model.state_dict().items()}
        names = sorted(self.shapes.keys() | theirs.keys())
        return {
            name: (self.shapes.get(name), theirs.get(name))
            for name in names
            if self.shapes.get(name) != theirs.get(name)
        }

    def best(self, config: Any, wrong: Wrong, candidates: Iterator[Changes]) -> tuple[Any, Wrong] | None:
        """The configuration that leaves least wrong, if it is less than now."""
        best = None
        for changes in candidates:
            try:
                tried = _changed(config, changes)
                left = self.wrong(tried)
            except _RefusedError as error:
                self.refusals.setdefault(_words(changes), str(error))
                continue
            if len(left) < len(wrong if best is None else best[1]):
                best = tried, left
                if not left:
                    break
        return best

    def layers(self, config: Any, wrong: Wrong) -> Iterator[Changes]:
        """Fewer layers: each number of layers that a list without its blocks may be meant by."""
        for (n, gone), (part, one) in itertools.product(set(self.blocks.values()), _parts(config)):
            values = one.to_dict()
            lists = {
                (part, name): [x for i, x in enumerate(value) if i not in gone]
                for name, value in values.items()
                if name.endswith("_types") and isinstance(value, list | tuple) and len(value) == n
            }
            stages = values.get("stage_names")
            if isinstance(stages, list) and len(stages) == n + 1:  # a backbone names the stem and each layer
                last = stages[n - len(gone)]
                lists |= {(part, "stage_names"): stages[: n + 1 - len(gone)], (part, "out_features"): [last]}
            for name in LAYERS:
                if values.get(name) == n:
                    yield {(part, name): n - len(gone), **lists}

    def numbers(self, config: Any, wrong: Wrong) -> Iterator[Changes]:
        """Numbers of neurons and of heads that would turn a size of the configuration into one that is there."""
        pairs = _pairs(wrong)
        for part, one in _parts(config):
            values = one.to_dict()
            for name in WIDTHS:
                if name in values:
                    for size, there in pairs:
                        for times in (1, 2):  # a gate and what it gates are one matrix in some
                            if values[name] in (None, size / times) and there % times == 0:
                                yield {(part, name): there // times}
            hidden = getattr(one, "hidden_size", None)
            for name in RATIOS:
                if name in values and isinstance(hidden, int):
                    for _, there in pairs:
                        yield {(part, name): there // hidden if there % hidden == 0 else there / hidden}
            for name in HEADS:
                if isinstance(values.get(name), int):
                    yield from self.heads(part, one, name, pairs)

    def heads(self, part: str, config: Any, name: str, pairs: Sequence[tuple[int, int]]) -> Iterator[Changes]:
        """Numbers of heads, with those of key/value heads and the size of one, which stays."""
        values = config.to_dict()
        n = values[name]
        n_kv = values[KV_HEADS] if isinstance(values.get(KV_HEADS), int) else n
        for size in self.head_sizes(config, n):
            queries = sorted({there // size for was, there in pairs if was == n * size and there % size == 0}) or [n]
            shared = sorted({there // size for was, there in pairs if was == n_kv * size and there % size == 0})
            for m, kv in itertools.product(queries, shared or [n_kv]):
                if (m, kv) == (n, n_kv) or (n == n_kv and KV_HEADS not in values and m != kv):
                    continue
                told = {(part, name): m}
                if KV_HEADS in values:
                    told[part, KV_HEADS] = kv
                # some read head_dim though they do not list it; in others it is worked out, and cannot be set
                known = [one for one in SIZES if one in values or one == "head_dim"]
                known = [one for one in known if not isinstance(getattr(type(config), one, None), property)]
                yield from ({**told, (part, one): size} for one in known)
                if not known:
                    yield told

    def head_sizes(self, config: Any, n: int) -> list[int]:
        """How wide a head may be, likeliest first."""
        known = [getattr(config, name, None) for name in SIZES]
        known += [getattr(module, name, None) for module in self.inner.modules() for name in MODULE_SIZES]
        known.append(
            getattr(config, "hidden_size", 0) // n if isinstance(getattr(config, "hidden_size", 0), int) else 0
        )
        return list(dict.fromkeys(size for size in known if type(size) is int and size > 0))

    def reason(self, config: Any, wrong: Wrong) -> str:
        """Why no number was found, in words."""
        kind, model = type(config).__name__, self.cls.__name__
        uneven = _uneven(wrong, self.shapes)
        if uneven:
            (first, shape), (second, other) = uneven
            return (
                f"{first} is {shape} and {second} {other}, and {kind} has one number for all layers; cut all layers "
                f"alike ({EVEN}), or {OTHERS}"
            )
        first = next(iter(wrong))
        there, theirs = wrong[first]
        what = f"{first} is {there or 'gone'}, in a {model} of this configuration {theirs or 'missing'}"
        heads = self.refused_heads(config)
        if heads:
            return f"{what}, and {heads}; or {OTHERS}"
        if self.is_of_heads(config, wrong):
            return (
                f"{what}: the heads that are left are equally many in all layers, but {kind} has no number for the "
                f"width of a head, which is hidden_size / num_attention_heads in a {model}; leave heads out of the "
                f"plan, or {OTHERS}"
            )
        said = next((f", and {kind} with {words} says: {said}" for words, said in self.refusals.items()), "")
        return f"{what}{said}; no number of {kind} says this; leave that cut out of the plan, or {OTHERS}"

    def refused_heads(self, config: Any) -> str | None:
        """What is said to a number of heads that has the right shapes, and which numbers would do."""
        for part, one in _parts(config):
            values = one.to_dict()
            for name in HEADS:
                n = values.get(name)
                if not isinstance(n, int) or not any(size in values for size in SIZES):
                    continue
                refused = next(((w, s) for w, s in self.refusals.items() if re.search(rf"\b{name} = ", w)), None)
                if refused is None:
                    continue
                size = self.head_sizes(one, n)[0]
                known = next(known for known in SIZES if known in values)
                shared = [KV_HEADS] if values.get(KV_HEADS) == n else []
                good = [
                    m
                    for m in range(1, n)
                    if self.takes(config, {(part, known): size, **{(part, one): m for one in (name, *shared)}})
                ]
                mend = f"it takes {' or '.join(map(str, good))} of {n} heads" if good else "it takes no fewer heads"
                return f"{type(one).__name__} refuses {refused[0]} ({refused[1]}); {mend}"
        return None

    def takes(self, config: Any, changes: Changes) -> bool:
        """Whether a configuration with these numbers is one."""
        try:
            _changed(config, changes)
        except _RefusedError:
            return False
        return True

    def is_of_heads(self, config: Any, wrong: Wrong) -> bool:
        """Whether all that is wrong is of attentions, and as wide as heads are."""
        paths = [f"{path}." for path, _, _ in attention_modules(self.inner)]
        if not all(any(name.startswith(path) for path in paths) for name in wrong):
            return False
        for _, one in _parts(config):
            for name in HEADS:
                n = one.to_dict().get(name)
                if isinstance(n, int):
                    pairs = _pairs(wrong)
                    sizes = self.head_sizes(one, n)
                    if pairs and any(all(w % (n * s) == 0 and t % s == 0 for w, t in pairs) for s in sizes):
                        return True
        return False


def _blocks(inner: nn.Module) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Of each list that lost blocks how many it had, and which are gone."""
    found = {}
    for path, module in inner.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            gone = tuple(i for i, one in enumerate(module) if isinstance(one, PassOn))
            if gone:
                found[path] = len(module), gone
    return found


def _renamed(name: str, blocks: Mapping[str, tuple[int, tuple[int, ...]]]) -> str:
    """A name in the state once the blocks that are gone are not counted any more."""
    parts = name.split(".")
    new = list(parts)
    for i, part in enumerate(parts):
        n, gone = blocks.get(".".join(parts[:i]), (0, ()))
        if n and part.isdigit():
            new[i] = str(int(part) - sum(one < int(part) for one in gone))
    return ".".join(new)


def _parts(config: Any) -> list[tuple[str, Any]]:
    """A configuration and those that it holds: of the text, of the images."""
    inside = [
        (name, one) for name, one in vars(config).items() if hasattr(one, "to_dict") and hasattr(one, "model_type")
    ]
    return [("", config), *inside]


def _changed(config: Any, changes: Changes) -> Any:
    """A copy with other numbers, which it finds right."""
    new = copy.deepcopy(config)
    try:
        for (part, name), value in changes.items():
            setattr(getattr(new, part) if part else new, name, value)
        for _, one in _parts(new):
            if hasattr(one, "validate"):
                one.validate()
    except Exception as error:  # each version of transformers has errors of its own
        raise _RefusedError(_said(error)) from None
    return new


def _pairs(wrong: Wrong) -> list[tuple[int, int]]:
    """Sizes that a configuration gives, each with the size that is there."""
    return sorted(
        {
            (a, b)
            for there, theirs in wrong.values()
            if there is not None and theirs is not None and len(there) == len(theirs)
            for a, b in zip(theirs, there, strict=True)
            if a != b
        }
    )


def _uneven(wrong: Wrong, shapes: Mapping[str, Shape]) -> tuple[tuple[str, Shape], tuple[str, Shape]] | None:
    """Two layers of one name but for the layer's number, and of one shape in the configuration, that differ."""
    for name, (there, theirs) in wrong.items():
        if there is None or theirs is None:
            continue
        pattern = re.compile(re.sub(r"(?<=\.)\d+(?=\.)", r"\\d+", re.escape(name).replace(r"\.", ".")))
        for other, shape in shapes.items():
            is_kin = pattern.fullmatch(other) is not None
            if is_kin and shape != there and wrong.get(other, (shape, shape))[1] == theirs:
                return (name, there), (other, shape)
    return None


def _words(changes: Changes) -> str:
    """`num_attention_heads = 3, head_dim = 16`."""
    return ", ".join(f"{'.'.join(filter(None, place))} = {value}" for place, value in changes.items())


def _said(error: Exception) -> str:
    """What an error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"Class validation error for validator '\w+':\s*(\w+Error:)?\s*", "", " ".join(lines))[:300]
    return text.rstrip(". ") or type(error).__name__


def changed_numbers(before: Any, after: Any) -> dict[str, list[Any]]:
    """What a configuration says otherwise than another: by name what it was and what it is."""
    old, new = _flat(before.to_dict()), _flat(after.to_dict())
    return {name: [old.get(name), new[name]] for name in new if new[name] != old.get(name) and name not in UNSAID}


def _flat(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and "model_type" in value:
            flat.update(_flat(value, f"{start}{name}."))
        else:
            flat[f"{start}{name}"] = value
    return flat


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers logs of each configuration that is tried."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
