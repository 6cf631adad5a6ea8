"""A `torch.export` program, `.pt2`: graph and weights, run by torch alone."""

import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from core.delivery.formats.facts import FORMATS
from core.delivery.formats.fresh import Exchange, compared_outputs, outputs_in_fresh_process
from core.delivery.formats.subject import CannotHoldError, Subject
from core.engines.engine import export_reason
from core.errors import SecateurError
from core.sensitivity.forwards.exported import shapes_of_arguments
from core.workload.outputs import tensors_of
from core.workload.programs.archive import check_archive

SCRIPT = """
import json, sys
import torch
from safetensors.torch import load_file, save_file
path, given, found, threads, words = sys.argv[1:]
torch.set_num_threads(int(threads))
program = torch.export.load(path).module()
inputs, outputs = load_file(given), {}
with torch.inference_mode():
    for i in range(json.loads(words)["batches"]):
        n = sum(key.startswith(f"{i}:") for key in inputs)
        out = program(*(inputs[f"{i}:{k}"] for k in range(n)))
        for k, tensor in enumerate(torch.utils._pytree.tree_leaves(out)):
            outputs[f"{i}:{k}"] = tensor.clone().contiguous()
save_file(outputs, found)
"""


class Plain(nn.Module):
    """A model whose outputs are a tuple of tensors: classes of its own would have to be imported to read a program."""

    def __init__(self, model: nn.Module) -> None:
        """Take over the model, not a copy."""
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Every tensor in the model's outputs, in order."""
        return tuple(tensors_of(self.model(*inputs)))


def write(subject: Subject, path: Path) -> None:
    """Export a model and save it without any pickle, for batches of any size.

    What `torch.export.save` would pickle are sample inputs (with all the data that they are a slice of), tensor
    subclasses and custom objects. The first are taken away, the others refused. Lines of source that each node
    remembers go as well.

    Raises:
        CannotHoldError: the model cannot be exported, with the exporter's reason.
        SecateurError: the file cannot be written.
    """
    example = subject.example
    try:
        with torch.inference_mode():
            outputs = subject.model(*example)
        model = subject.model if isinstance(outputs, Tensor) else Plain(subject.model)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            free = [dict.fromkeys(dims, torch.export.Dim.AUTO) for dims in subject.dynamic]
            program = torch.export.export(model, example, dynamic_shapes=shapes_of_arguments(model, free))
            _strip(program)
            written = io.BytesIO()  # torch's own writer ends the process when a disk is full
            torch.export.save(program, written)
    except Exception as error:
        raise CannotHoldError(f"torch.export cannot write it: {export_reason(subject.model, error)}") from error
    try:
        path.write_bytes(written.getbuffer())
    except OSError as error:
        raise SecateurError(f"cannot write {path}: {error.strerror}; free some space or choose another place") from None
    try:
        check_archive(path)
    except SecateurError as error:
        what = str(error).removeprefix(f"{path} ")
        raise CannotHoldError(
            f"what torch.export writes of it cannot be read safely: it {what}. Checks at run time, as of rows "
            "chosen by expert, are written as such text; take the format onnx"
        ) from None


def check(subject: Subject, path: Path) -> float:
    """Largest difference of the outputs of a fresh process with torch alone; 0.0 is the same bits.

    Raises:
        CannotHoldError: it cannot run, also on batches of another size, or gives other outputs.
        SecateurError: the archive holds what must not be read.
    """
    check_archive(path)
    inputs = [{str(k): tensor for k, tensor in enumerate(batch)} for batch in subject.batches]
    found = outputs_in_fresh_process(path, Exchange(SCRIPT, inputs), subject)
    return compared_outputs(path.name, subject.outputs(), found, FORMATS["pt2"].tolerance, subject.terms)


def _strip(program: torch.export.ExportedProgram) -> None:
    program.example_inputs = None
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta = {key: value for key, value in node.meta.items() if key in ("val", "is_torch_jitted")}
    program._guards_code = []  # what they ask of sizes stands in the range constraints too
    del program.module_call_graph[1:]  # the classes that a graph came from
