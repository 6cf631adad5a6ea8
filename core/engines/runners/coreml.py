"""Core ML's converter, in its own process; it writes from an exported program what runs on Apple's systems alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

LEAST_ENTRIES, LEAST_ZEROS = 2048, 0.5  # of a weight whose zeros are left out: below, a mask costs more than it saves
TINY = 1e-30  # what is smaller counts as zero


def write(job: dict[str, Any], inputs: Sequence[Any]) -> list[str]:
    """An `.mlpackage`, an ML program in float32; int8 weights by its own linear quantizer; zeros left out of both."""
    import coremltools as ct
    import coremltools.optimize.coreml as cto
    import torch

    program = torch.export.load(job["source"]).run_decompositions({})
    model = ct.convert(
        program,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,  # its default is float16
        minimum_deployment_target=ct.target.iOS18,  # the first that holds int8 weights whose zeros are left out
        skip_model_load=True,
    )
    pruner = cto.OpThresholdPrunerConfig(
        threshold=TINY, minimum_sparsity_percentile=LEAST_ZEROS, weight_threshold=LEAST_ENTRIES
    )
    model = cto.prune_weights(model, cto.OptimizationConfig(global_config=pruner))
    if job["precision"] == "int8":
        quantizer = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8")
        model = cto.linear_quantize_weights(
            model, cto.OptimizationConfig(global_config=quantizer), joint_compression=True
        )
    package = Path(job["folder"], "model.mlpackage")
    model.save(str(package))
    # numbers of nodes for ExecuTorch's debugger, which Core ML does not read
    package.joinpath("executorch_debug_handle_mapping.json").unlink(missing_ok=True)
    return [str(file) for file in sorted(package.rglob("*")) if file.is_file()]


def look(job: dict[str, Any]) -> dict[str, Any]:
    """Shapes of the inputs and outputs of a package, and files of its weights, multiplied out as Core ML would."""
    import coremltools as ct
    import coremltools.optimize.coreml as cto
    import numpy as np

    package = ct.models.MLModel(job["file"], skip_model_load=True)
    said = package.get_spec().description
    dense = cto.decompress_weights(package)
    weights = []
    for i, found in enumerate(cto.get_weights_metadata(dense, weight_threshold=0).values()):
        weights.append(str(Path(job["folder"], f"weight{i}.npy")))
        np.save(weights[-1], np.asarray(found.val))
    return {
        "inputs": [list(one.type.multiArrayType.shape) for one in said.input],
        "outputs": [list(one.type.multiArrayType.shape) for one in said.output],
        "weights": weights,
    }
