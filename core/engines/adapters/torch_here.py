"""Torch in the process that asks: as it is, compiled, and with sparse linear layers."""

from pathlib import Path

from safetensors.torch import save_file

from core.engines import torch_compile, torch_eager, torch_sparse
from core.engines.adapters.adapter import Adapter, Place, Precision, Written, Zeros
from core.engines.adapters.needs import NEEDS
from core.engines.adapters.source import Source
from core.engines.state import unique_state


def write(source: Source, precision: Precision, place: Place) -> Written:
    """The weights as an export writes them; the code of the model comes from elsewhere."""
    path = Path(place.folder, "model.safetensors")
    save_file(unique_state(source.model), path, metadata={"format": "pt"})
    return Written((path,))


EAGER = Adapter(
    *NEEDS["eager"],
    "safetensors, with the model's code",
    Zeros(False, "runs zeros as numbers", "measured here with torch 2.13.0: 1.00 of dense at 90 % zeros"),
    "torch on a CPU runs float weights here; its int8 goes by way of ONNX Runtime, OpenVINO, LiteRT or ExecuTorch",
    write,
    engine=torch_eager.ENGINE,
)
COMPILE = Adapter(
    *NEEDS["compile"],
    "safetensors, with the model's code",
    Zeros(False, "runs zeros as numbers", "torch 2.13.0: inductor makes loops over dense tensors"),
    EAGER.no_int8,
    write,
    engine=torch_compile.ENGINE,
)
SPARSE = Adapter(
    *NEEDS["sparse"],
    "safetensors, with the model's code",
    Zeros(
        True,
        f"skips zeros of Linear layers of at least {torch_sparse.LEAST_ZEROS:.0%} zeros, from some hundred inputs and "
        "outputs and several rows on, with one row only whole tiles; convolutions have no such form",
        "measured with torch 2.13.0 on one thread (1024 × 1024, 64 rows): 0.77 of dense at 80 %, 0.42 at 90 %; tiles "
        "of 32 × 32 with one row: 0.65 at 80 %, 0.36 at 90 %",
    ),
    EAGER.no_int8,
    write,
    engine=torch_sparse.ENGINE,
)
