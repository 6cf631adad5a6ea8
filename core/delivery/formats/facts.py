"""What is known of each format without writing it: its place, what it holds, what reads it. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.engines.adapters.needs import NEEDS, Need, NotInstalled, version_there
from core.errors import SecateurError
from core.plans.plan import Form


@dataclass(frozen=True)
class FormatFacts:
    """Of one format.

    Attributes:
        path: of its file in a bundle, or of its folder.
        holds: one line for people.
        checked: how a written file is checked, one line for people.
        reads: packages that are enough to read it; the model's own classes are never needed.
        tolerance: largest difference of two entries, as `core.pruning.equality.Difference`; 0: the same bits.
        opset: whether it is of an ONNX opset.
        sized: whether it is a program for inputs of some sizes, of which some dimensions may be free.
        scheme: of a format that quantizes, as in `core.quantization.bits.SCHEMES`; it is a model of its own, whose
            metric is measured, and `tolerance` is between what is written and what is quantized anew.
        needs: of a format of an engine that people ship to, which has the format's name: what must be installed.
        run: whether what was written can be run here, and so compared.
    """

    path: str
    holds: str
    checked: str
    reads: tuple[str, ...]
    tolerance: float
    opset: bool = False
    sized: bool = False
    scheme: str | None = None
    needs: Need | None = None
    run: bool = True


FORMATS: Mapping[str, FormatFacts] = MappingProxyType(
    {
        "safetensors": FormatFacts(
            "model.safetensors",
            "the state dict: names and tensors, no code",
            "every tensor bit for bit, in a process that has no torch",
            ("safetensors",),
            0.0,
        ),
        "pt2": FormatFacts(
            "model.pt2",
            "the program as torch.export writes it, for batches of any size",
            "outputs, in a process that has torch and none of the model's classes",
            ("torch",),
            1e-5,
            sized=True,
        ),
        "onnx": FormatFacts(
            "model.onnx",
            "an ONNX graph, for batches of any size",
            "outputs, in a process that has ONNX Runtime and no torch",
            ("onnxruntime",),
            1e-4,
            opset=True,
            sized=True,
        ),
        "compressed": FormatFacts(
            "model.compressed.onnx",
            "an ONNX graph whose sparse weights are a bit per weight and the weights that stay",
            "outputs, in a process that has ONNX Runtime and no torch",
            ("onnxruntime",),
            1e-4,
            opset=True,
            sized=True,
        ),
        "huggingface": FormatFacts(
            "huggingface",
            "a folder for from_pretrained: configuration and safetensors",
            "outputs, in a process that has transformers and none of the model's own classes",
            ("torch", "transformers"),
            1e-5,
        ),
        "int8": FormatFacts(
            "model.int8.safetensors",
            "packed weights: int8 codes, a scale for each output channel, and nothing for what was cut",
            "every tensor bit for bit, in a fresh process",
            ("safetensors", "zstandard"),
            0.0,
            scheme="weight",
        ),
        "onnx-int8": FormatFacts(
            "model.int8.onnx",
            "an ONNX graph with int8 weights that quantizes activations as they come",
            "outputs beside a graph quantized anew, in processes that have ONNX Runtime and no torch",
            ("onnxruntime",),
            1e-2,  # of the same versions it is 0; others may fuse other operators, and round elsewhere
            sized=True,
            scheme="dynamic",
        ),
        "openvino": FormatFacts(
            "openvino",
            "OpenVINO's own .xml and .bin, float32, for batches of any size",
            "outputs, in a process that has OpenVINO and nothing of ours",
            ("openvino",),
            1e-4,
            sized=True,
            needs=NEEDS["openvino"],
        ),
        "litert": FormatFacts(
            "model.tflite",
            "LiteRT's .tflite, float32, for one example at a time",
            "outputs of single examples, in a process that has LiteRT and nothing of ours",
            ("ai-edge-litert",),
            1e-4,
            needs=NEEDS["litert"],
        ),
        "executorch": FormatFacts(
            "model.pte",
            "ExecuTorch's .pte for XNNPACK, float32, for one example at a time",
            "outputs of single examples, in a process that has ExecuTorch and nothing of ours",
            ("executorch",),
            1e-4,
            needs=NEEDS["executorch"],
        ),
        "ncnn": FormatFacts(
            "ncnn",
            "ncnn's .param and .bin, float32, for one example at a time",
            "outputs of single examples, in a process that has ncnn and nothing of ours",
            ("ncnn",),
            1e-4,
            needs=NEEDS["ncnn"],
        ),
        "coreml": FormatFacts(
            "model.mlpackage",
            "a Core ML program for iOS 18 or macOS 15, float32, for one example at a time; written, not run here",
            "read back by coremltools, shapes of inputs and outputs compared",
            ("an Apple device",),
            1e-4,
            needs=NEEDS["coreml"],
            run=False,
        ),
    }
)
ALWAYS = "safetensors"  # without it a bundle could not be compared with its plan
WANTED: Mapping[Form, tuple[str, ...]] = MappingProxyType({"masked": (), "shrunk": ("onnx",)})  # if nobody chooses


def checked_formats(names: Iterable[str], opset: int | None = None) -> tuple[str, ...]:
    """Names of formats in the registry's order, each once, `safetensors` among them.

    Args:
        names: as somebody gave them.
        opset: of ONNX, if one was asked for.

    Raises:
        SecateurError: an unknown name; an opset that is not a positive whole number, or that no format has a use for.
    """
    asked = set(names)
    unknown = sorted(asked - set(FORMATS))
    if unknown:
        raise SecateurError(f"no format {unknown[0]!r}; choose from {', '.join(FORMATS)}")
    if opset is not None:
        if isinstance(opset, bool) or not isinstance(opset, int) or opset < 1:
            raise SecateurError(f"opset must be a positive whole number such as 20, got {opset!r}")
        if not any(FORMATS[name].opset for name in asked):
            able = " or ".join(name for name, facts in FORMATS.items() if facts.opset)
            raise SecateurError(f"an opset is ONNX's: ask for the format {able} too, or leave it out")
    return tuple(name for name in FORMATS if name in asked or name == ALWAYS)


def check_there(names: Iterable[str], pythons: Mapping[str, str], skip: bool = False) -> None:
    """Look for the engines of formats, before long work begins.

    Args:
        names: of formats, all known.
        pythons: of engines the interpreters that have them.
        skip: an engine that is not there is left out, and nothing of it is refused.

    Raises:
        SecateurError: one is not installed, with the way to get it; or an interpreter is given of what is none.
    """
    engines = [name for name, facts in FORMATS.items() if facts.needs is not None]
    for name in pythons:
        if name not in engines:
            raise SecateurError(
                f"--python names {name!r}, which is no engine that writes a format; choose of {', '.join(engines)}"
            )
    for name in () if skip else names:
        why = missing(name, pythons)
        if why is not None:
            raise SecateurError(
                f"the format {name} is written by its engine, which is {why}; leave {name} out, or name an interpreter "
                f"that has it: --python {name}=PATH"
            )


def missing(name: str, pythons: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """Why the engine of a format is not there, with how to get it; `None` if it is, or if the format needs none."""
    needs = FORMATS[name].needs
    if needs is None:
        return None
    try:
        version_there(needs.distributions, needs.extra, pythons.get(name))
    except NotInstalled as error:
        return str(error)
    return None
