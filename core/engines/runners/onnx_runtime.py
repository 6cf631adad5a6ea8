"""ONNX Runtime on the CPU, in its own process."""

from collections.abc import Callable, Sequence
from typing import Any


def load(file: str, inputs: Sequence[Any], threads: int) -> Callable[[], Sequence[Any]]:
    """A pass of an ONNX file, whose free dimensions are fixed to those of the inputs."""
    import onnxruntime

    def session(sizes: dict[str, int]) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # a thread that waits actively would slow the model whose turn is next
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    found = session({})
    taken = found.get_inputs()
    assert len(taken) == len(inputs), f"the file takes {len(taken)} inputs in place of {len(inputs)}"
    sizes = {dim: size for one, x in zip(taken, inputs, strict=True)
             for dim, size in zip(one.shape, x.shape, strict=True) if isinstance(dim, str)}  # fmt: skip
    found = session(sizes) if sizes else found
    feeds = {one.name: x for one, x in zip(taken, inputs, strict=True)}
    return lambda: found.run(None, feeds)
