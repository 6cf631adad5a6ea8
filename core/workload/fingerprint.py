"""What a model is, as a hash: change a weight or the code of a layer, and it is another model."""

import hashlib
import inspect

from torch import Tensor, nn

from core.workload.examples import tensor_bytes


def model_fingerprint(model: nn.Module) -> str:
    """Hash of structure, code and every parameter and buffer of a model.

    The code of module classes outside torch counts, because a changed `forward` changes every measurement while
    the weights stay the same.
    """
    digest = hashlib.sha256(repr(model).encode())
    for cls in sorted(
        {type(module) for module in model.modules()}, key=lambda cls: f"{cls.__module__}.{cls.__qualname__}"
    ):
        if cls.__module__.split(".")[0] != "torch":
            try:
                digest.update(inspect.getsource(cls).encode())
            except (OSError, TypeError):
                digest.update(f"{cls.__module__}.{cls.__qualname__}".encode())
    digest.update(
        state_fingerprint(
            {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
        ).encode()
    )
    return digest.hexdigest()


def state_fingerprint(tensors: dict[str, Tensor]) -> str:
    """Hash of names, dtypes, shapes and bytes, whatever the order of the dictionary."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
