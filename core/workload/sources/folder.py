"""A folder that transformers or sentence-transformers saved, checked before anything of it is loaded. No torch."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core.bounded import read_text
from core.errors import SecateurError

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
LARGEST_JSON = 100_000_000  # bytes; a vocabulary of a million words has 30 MB
LARGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors library too
MOST_POSITIONS = 10_000_000
BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
LAYERS = re.compile(r"^(num_.*layers|n_layers?|depth)$")
WIDTHS = re.compile(r"^(hidden_size|d_model|n_embd|dim|intermediate_size|ffn_dim|d_ff|vocab_size|embedding_size)$")
POSITIONS = re.compile(r"^(n_positions|max_position_embeddings|n_ctx|max_sequence_length)$")


@dataclass(frozen=True)
class Folder:
    """What a checked folder says of itself.

    Attributes:
        path: absolute.
        config: of `config.json`.
        architecture: class of the model, as `"BertForSequenceClassification"`.
        shapes: of every tensor in its files, by name.
        n_bytes: of these tensors.
    """

    path: Path
    config: Mapping[str, Any]
    architecture: str
    shapes: Mapping[str, tuple[int, ...]]
    n_bytes: int

    def json(self, name: str) -> dict[str, Any]:
        """Another file of the folder that holds one JSON object; empty where there is none."""
        path = self.path / name
        return read_json(path) if path.is_file() else {}

    @property
    def id2label(self) -> dict[int, str]:
        """Names of the classes; of a folder without them those that transformers gives, LABEL_0 and so on."""
        given = self.config.get("id2label")
        if given is None:
            n = self.config.get("num_labels", 2)
            if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= 1_000_000:
                raise SecateurError(f"num_labels in config.json of {self.path.name} must be a whole number, got {n!r}")
            return {i: f"LABEL_{i}" for i in range(n)}
        try:
            found = {int(key): str(name) for key, name in given.items()}
        except (AttributeError, TypeError, ValueError):
            found = {}
        if not found or sorted(found) != list(range(len(found))):
            raise SecateurError(
                f'id2label in config.json of {self.path.name} must name the classes 0, 1, …, as {{"0": "no"}}; '
                f"got {str(given)[:80]}"
            )
        twice = len(set(found.values())) < len(found)
        if twice:
            raise SecateurError(f"id2label in config.json of {self.path.name} names two classes alike; rename one")
        return found


def checked_folder(path: Path) -> Folder:
    """A folder whose files can be loaded without running anybody's code.

    Raises:
        SecateurError: a file is missing, damaged, a pickle, names what lies outside, or does not fit the others.
    """
    config = read_json(_needed(path, "config.json", "save the model with model.save_pretrained(folder)"))
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        found = config if name == "config.json" else read_json(path / name) if (path / name).is_file() else {}
        if found.get("auto_map"):
            raise SecateurError(
                f"{name} of {path.name} names code of its own (auto_map), and code from a folder is never run; if you "
                "trust it, make the model in a workload file of your own: secateur init my_model.py"
            )
    far = next((value for key, value in _settings(config) if "implementation" in key and "/" in str(value)), None)
    if far is not None:
        raise SecateurError(f"config.json of {path.name} names code on a hub ({far!s:.60}); take that line out of it")
    if config.get("quantization_config"):
        raise SecateurError(f"the weights of {path.name} are quantized; give the folder of the model before that")
    architecture = _architecture(path, config)
    _check_positions(path, config)
    shapes, n_bytes = _all_shapes(path)
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise SecateurError(
            f"the weights of {path.name} take {n_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free; "
            "close other programs, or take a smaller model"
        )
    _check_sizes(path, config, shapes)
    return Folder(path, config, architecture, shapes, n_bytes)


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        SecateurError: it cannot be read, is very large, or is something else.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise SecateurError(f"{path.name} has {path.stat().st_size / 1e6:.0f} MB and is no settings; restore it")
        found = json.loads(read_text(path, "the settings", LARGEST_JSON, "utf-8-sig"))
    except OSError as error:
        raise SecateurError(f"{path} cannot be read: {error.strerror or error}; restore it") from None
    except (ValueError, RecursionError) as error:  # also of what is no text
        raise SecateurError(f"{path.parent.name}/{path.name} is no JSON ({error}); restore it") from None
    if not isinstance(found, dict):
        raise SecateurError(f"{path.parent.name}/{path.name} must hold a JSON object, got {type(found).__name__}")
    return found


def conversion(path: Path) -> str:
    """The command that makes safetensors of a pickle, without running what it may hold."""
    load = "torch." + "load"  # as text: nothing here reads one
    return (
        f"python -c \"import torch; from safetensors.torch import save_file; s = {load}('{path}', map_location='cpu', "
        "weights_only=True); s = s.get('state_dict', s); save_file({k: v.contiguous().clone() for k, v in s.items()}, "
        f"'{path.with_name('model.safetensors')}', metadata={{'format': 'pt'}})\""
    )


def file_shapes(path: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Shapes of the tensors in a safetensors file, and their bytes, read from its header and held against its length.

    Raises:
        SecateurError: it is no safetensors file, or is cut off or damaged.
    """
    if path.suffix != ".safetensors":
        raise SecateurError(
            f"{path.name} may be a pickle, which can run code as it is read; weights are read from safetensors. "
            f"Convert it: {conversion(path)}"
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, LARGEST_HEADER):
                raise ValueError(f"its header would have {length} bytes")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        header.pop("__metadata__", None)
        shapes, end = {}, 0
        for name, entry in header.items():
            shape, (start, stop) = tuple(entry["shape"]), entry["data_offsets"]
            if not all(isinstance(number, int) and number >= 0 for number in (*shape, start, stop)):
                raise ValueError(f"{name} has no proper shape")
            if stop - start != math.prod(shape) * BYTES[entry["dtype"]]:
                raise ValueError(f"{name} has {stop - start} bytes, which its shape {list(shape)} does not take")
            shapes[name], end = shape, max(end, stop)
        if 8 + length + end != size:
            raise ValueError(f"it has {size:,} bytes, and its header speaks of {8 + length + end:,}")
    except OSError as error:
        raise SecateurError(f"{path} cannot be read: {error.strerror or error}; restore it") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise SecateurError(f"{path.name} is no whole safetensors file ({error}); copy or save it again") from None
    if not shapes:
        raise SecateurError(f"{path.name} holds no tensors; save the model again")
    return shapes, end


def _needed(path: Path, name: str, mend: str) -> Path:
    if not (path / name).is_file():
        raise SecateurError(f"{path} has no file {name}; {mend}")
    return path / name


def _architecture(path: Path, config: Mapping[str, Any]) -> str:
    given = config.get("architectures")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], str) or not given[0].isidentifier():
        raise SecateurError(
            f"architectures in config.json of {path.name} must name one class, as "
            f'["BertForSequenceClassification"]; got {str(given)[:80]}'
        )
    if not isinstance(config.get("model_type"), str):
        raise SecateurError(
            f"config.json of {path.name} has no model_type, and so does not say which library of layers; save it again"
        )
    return given[0]


def _all_shapes(path: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    index = path / "model.safetensors.index.json"
    single = path / "model.safetensors"
    if single.is_file():
        return file_shapes(single)
    if index.is_file():
        return _indexed(path, read_json(index))
    if (path / "adapter_config.json").is_file():
        raise SecateurError(f"{path.name} holds an adapter alone; merge it first: model.merge_and_unload(), then save")
    pickles = sorted(found for pattern in PICKLES for found in path.glob(pattern))
    if pickles:
        raise SecateurError(
            f"{path.name} keeps its weights in {pickles[0].name}, which may run code as it is read; convert it: "
            f"{conversion(pickles[0])}"
        )
    others = sorted(path.glob("*.safetensors"))
    if others:
        raise SecateurError(f"the weights of {path.name} must lie in model.safetensors; rename {others[0].name}")
    raise SecateurError(f"{path.name} has no weights; save the model with model.save_pretrained(folder)")


def _indexed(path: Path, index: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], int]:
    named = index.get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(file, str) for file in named.values()):
        raise SecateurError(f"the index of {path.name} must map tensors to files (weight_map); save the model again")
    shapes: dict[str, tuple[int, ...]] = {}
    n_bytes = 0
    for file in sorted(set(named.values())):
        if file != Path(file).name or file in ("", ".", ".."):
            raise SecateurError(
                f"the index of {path.name} names {file!r}, which lies outside of the folder; restore it"
            )
        found, n = file_shapes(_needed(path, file, "its index names it: copy it there, or save the model again"))
        shapes.update(found)
        n_bytes += n
    missing = sorted(named.keys() - shapes.keys())
    if missing:
        raise SecateurError(f"the index of {path.name} names {missing[0]}, which no file holds; save the model again")
    return shapes, n_bytes


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _settings(value)
        else:
            yield key, value


def _check_positions(path: Path, config: Mapping[str, Any]) -> None:
    for key, value in _settings(config):
        if not (LAYERS.match(key) or WIDTHS.match(key) or POSITIONS.match(key)) or value is None:
            continue
        if isinstance(value, list):
            continue  # one for each stage
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise SecateurError(
                f"{key} in config.json of {path.name} must be a whole number, got {value!r}; restore it"
            )
        if POSITIONS.match(key) and value > MOST_POSITIONS:
            raise SecateurError(f"{key} in config.json of {path.name} is {value:,}, which no model has; restore it")


def _check_sizes(path: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A configuration far beyond its weights would first fill the memory, then fail."""
    largest = max((max(shape, default=1) for shape in shapes.values()), default=1)
    for key, value in _settings(config):
        if not isinstance(value, int):
            continue
        if LAYERS.match(key) and value > len(shapes):
            raise SecateurError(
                f"{key} in config.json of {path.name} is {value:,}, and its weights are {len(shapes):,} tensors; "
                "config and weights are of two models: copy both from one place"
            )
        if WIDTHS.match(key) and value > largest and value > 1024:
            raise SecateurError(
                f"{key} in config.json of {path.name} is {value:,}, and no tensor is larger than {largest:,}; "
                "config and weights are of two models: copy both from one place"
            )
