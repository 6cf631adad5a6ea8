"""A `.pt2` file that `torch.export.save` wrote, without what loading would unpickle or run. No torch.

Of these a model needs none: sample inputs are a pickle, guards are Python, lines of source and the classes that a graph
came from are words. They are left out; what is left is held against the list of `archive`, and only then seen by torch.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from core.errors import SecateurError
from core.workload.programs.archive import CONSTANTS, INPUTS, PROGRAM, WEIGHTS, check_archive

LARGEST_JSON = 100_000_000  # bytes of a graph; one of a thousand layers has a few million
REPEATED = 10_000_000  # numbers of a tensor beyond those in the file
LEFT_OUT = re.compile(r"extra/.*|models/model\.json\.debug.*")  # read only when somebody asks for it
OLD = ("serialized_exported_program.json", "serialized_state_dict.pt")
DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool",
    13: "bfloat16",
}  # fmt: skip
AGAIN = (
    "export it again: program = torch.export.export(model.eval(), example, dynamic_shapes=…); "
    "torch.export.save(program, 'model.pt2')"
)
FREE_BATCH = "export it with a free batch, dynamic_shapes=({0: torch.export.Dim('batch')},), an entry for each input"


@dataclass(frozen=True)
class Program:
    """What a program says of itself.

    Attributes:
        content: the archive without what is left out, checked.
        names: of its inputs, in order.
        dtypes: of each input, as torch calls it.
        shapes: of each input behind its batch; `None` where a size is free.
        places: by the name of an operation the path of the module whose code made it.
        n_operations: in its graph.
        n_parameters: tensors that are trained.
        largest_batch: that it takes; `None` where there is no limit.
        output: shape of its first output behind the batch.
    """

    content: bytes
    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    places: Mapping[str, str]
    n_operations: int
    n_parameters: int
    largest_batch: int | None
    output: tuple[int | None, ...]


def read(path: Path) -> Program:
    """A program of the file, with nothing in it that loading would unpickle or run.

    Raises:
        SecateurError: it is damaged, needs a pickle, says what is not known to be harmless, or has a fixed batch.
    """
    free = psutil.virtual_memory().available
    size = path.stat().st_size
    if 3 * size > free:  # as bytes, once more while they are read, and as tensors
        raise SecateurError(
            f"{path.name} has {size / 1e9:.1f} GB and is held in memory three times while it is read, and "
            f"{free / 1e9:.1f} GB are free; close other programs, or take a smaller model"
        )
    try:
        document, content = _stripped(path)
        check_archive(path, io.BytesIO(content))
        return _described(path, document, content)
    except SecateurError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError,
            RecursionError, NotImplementedError, RuntimeError) as error:  # fmt: skip
        said = " ".join(str(error).split())
        raise SecateurError(f"{path.name} is no exported program, or damaged ({type(error).__name__}: {said:.160}); "
                            f"{AGAIN}") from None  # fmt: skip


def _stripped(path: Path) -> tuple[dict[str, Any], bytes]:
    """The graph, and the archive with it and without the parts that are left out."""
    written = io.BytesIO()
    document: dict[str, Any] = {}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            name = info.filename.partition("/")[2]
            if info.filename in OLD:
                raise SecateurError(f"{path.name} was written by a torch before 2.8, which pickles weights; {AGAIN}")
            if info.compress_type != zipfile.ZIP_STORED:  # what is unpacked can be of any size
                raise SecateurError(
                    f"{path.name} holds {info.filename!r} compressed, which torch never writes; {AGAIN}"
                )
            if LEFT_OUT.fullmatch(name):
                continue
            if name == PROGRAM:
                if info.file_size > LARGEST_JSON:
                    raise SecateurError(f"the graph of {path.name} has {info.file_size / 1e6:.0f} MB; {AGAIN}")
                full = json.loads(old.read(info))
                document = dict(full, graph_module=json.loads(json.dumps(full["graph_module"])))
                new.writestr(info.filename, json.dumps(_without_words(full)))
            elif name in (WEIGHTS, CONSTANTS):
                held = old.read(info)
                _check_sizes(path, json.loads(held))
                new.writestr(info.filename, held)
            else:
                new.writestr(info.filename, b"" if name == INPUTS else old.read(info))
    if not document:
        raise SecateurError(f"{path.name} holds no program ({PROGRAM}); {AGAIN}")
    return document, written.getvalue()


def _check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """A tensor may repeat what is in the file (a stride of 0), but not fill the memory with it."""
    most = path.stat().st_size + REPEATED
    for name, payload in config["config"].items():
        if payload["tensor_meta"] is None:  # of what is no tensor; `check_archive` says so
            continue
        sizes = [size["as_int"] for size in payload["tensor_meta"]["sizes"]]
        if math.prod(sizes) > most:
            raise SecateurError(f"{name} of {path.name} would have {sizes} entries, which are not in the file; {AGAIN}")


def _without_words(document: dict[str, Any]) -> dict[str, Any]:
    """The same program for the same tensors one after the other, without guards and without what is told to people."""
    document["guards_code"] = []
    for graph in _graphs(document["graph_module"]):
        for node in graph["nodes"]:
            node["metadata"] = {}
    module = document["graph_module"]
    module["module_call_graph"] = module["module_call_graph"][:1]
    signature = module["module_call_graph"][0]["signature"]
    n_in = sum("user_input" in spec for spec in module["signature"]["input_specs"])
    n_out = sum("user_output" in spec for spec in module["signature"]["output_specs"])
    # of classes that a specification names, torch would look for; of a flat list there are none
    signature["in_spec"] = _spec("tuple", [_spec("tuple", [_leaf()] * n_in), _spec("dict", [], "[]")], whole=True)
    signature["out_spec"] = _spec("tuple", [_leaf()] * n_out, whole=True)
    signature["forward_arg_names"] = []
    return document


def _leaf() -> dict[str, Any]:
    return {"type": None, "context": None, "children_spec": []}


def _spec(kind: str, children: list[Any], context: str = "null", whole: bool = False) -> Any:
    made = {"type": f"builtins.{kind}", "context": context, "children_spec": children}
    return json.dumps([1, made]) if whole else made


def _graphs(node: Any) -> Iterator[dict[str, Any]]:
    """Every graph in a document, also those inside of others."""
    if isinstance(node, dict):
        if isinstance(node.get("nodes"), list):
            yield node
        for value in node.values():
            yield from _graphs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _graphs(value)


def _described(path: Path, document: Mapping[str, Any], content: bytes) -> Program:
    module = document["graph_module"]
    specs = module["signature"]["input_specs"]
    names = []
    for spec in specs:
        if "user_input" in spec:
            arg = spec["user_input"]["arg"]
            if "as_tensor" not in arg:
                raise SecateurError(f"{path.name} takes an input that is no tensor ({next(iter(arg))}); export a model "
                                    "that takes tensors alone")  # fmt: skip
            names.append(str(arg["as_tensor"]["name"]))
        elif "constant_input" in spec and spec["constant_input"]["value"] != {"as_none": True}:
            raise SecateurError(
                f"{path.name} was exported with {spec['constant_input']['name']} fixed, and takes that as an input; "
                "export a model that takes tensors alone"
            )
    if not names:
        raise SecateurError(f"{path.name} takes no inputs; export the model with an example: {AGAIN}")
    values = module["graph"]["tensor_values"]
    dtypes, shapes, batches = [], [], []
    for name in names:
        value = values[name]
        sizes = value["sizes"]
        if not sizes or "as_int" in sizes[0]:
            shown = [size.get("as_int", "free") for size in sizes]
            raise SecateurError(
                f"{path.name} has a fixed batch: its input {name} is {shown}; a sweep takes batches of several sizes: "
                f"{FREE_BATCH}"
            )
        batches.append(sizes[0]["as_expr"]["expr_str"])
        dtypes.append(DTYPES.get(value["dtype"], "another type"))
        shapes.append(tuple(size.get("as_int") for size in sizes[1:]))
    if len(set(batches)) > 1:
        raise SecateurError(
            f"the inputs {', '.join(names)} of {path.name} count examples apart ({', '.join(batches)}); give all one "
            "torch.export.Dim('batch')"
        )
    largest = _largest_batch(path, document["range_constraints"], batches[0])
    nodes = module["graph"]["nodes"]
    places = {str(node["outputs"][0]["as_tensor"]["name"]): _place(node["metadata"].get("nn_module_stack", ""))
              for node in nodes if node["outputs"] and "as_tensor" in node["outputs"][0]}  # fmt: skip
    return Program(
        content, tuple(names), tuple(dtypes), tuple(shapes), places, len(nodes),
        sum("parameter" in spec for spec in specs), largest,
        _first_output(path, module),
    )  # fmt: skip


def _first_output(path: Path, module: Mapping[str, Any]) -> tuple[int | None, ...]:
    args = [spec["user_output"]["arg"] for spec in module["signature"]["output_specs"] if "user_output" in spec]
    tensors = [arg["as_tensor"]["name"] for arg in args if "as_tensor" in arg]
    if not tensors:
        raise SecateurError(f"{path.name} gives no tensor; export a model that returns one")
    return tuple(size.get("as_int") for size in module["graph"]["tensor_values"][tensors[0]]["sizes"][1:])


def _largest_batch(path: Path, constraints: Mapping[str, Any], batch: str) -> int | None:
    symbol = re.search(r"[a-z]+\d+", batch)
    limits = constraints.get(symbol[0], {}) if symbol else {}
    least, most = limits.get("min_val"), limits.get("max_val")
    if least is not None and least > 2:
        raise SecateurError(f"{path.name} takes batches of {least:,} examples and more; {FREE_BATCH}")
    if most is not None and most < 2:
        raise SecateurError(f"{path.name} takes one example at a time; {FREE_BATCH}")
    return most


def _place(stack: str) -> str:
    """The path of the innermost module of `key,path,class;key,path,class`."""
    parts = stack.rpartition(";")[2].split(",")
    return parts[1] if len(parts) == 3 else ""
