"""What a model is, as a hash: change a weight or the code of a layer, and it is another model."""

import hashlib
from collections.abc import Mapping

from torch import Tensor, nn

from core.workload.code_text import code_text, passes, settings_text
from core.workload.examples import tensor_bytes


def model_fingerprint(model: nn.Module) -> str:
    """Hash of structure, settings, code and every parameter and buffer of a model.

    The code of module classes outside torch counts, with their base classes and all that they use, because a changed
    `forward` changes every measurement while the weights stay the same. So do settings that `repr` leaves out, the
    number of heads for one, and which weights are tied: a cut of one is then a cut of all.
    """
    digest = hashlib.sha256(repr(model).encode())
    digest.update(repr(_settings(model)).encode())
    digest.update(repr(_tied(model)).encode())
    for cls in sorted({type(module) for module in model.modules()}, key=lambda cls: cls.__qualname__):
        digest.update(code_text(cls).encode())
    digest.update(
        state_fingerprint(
            {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
        ).encode()
    )
    return digest.hexdigest()


def _settings(model: nn.Module) -> list[tuple[str, str, str]]:
    """Attributes of every module but for those that every `nn.Module` has, and for the marks of `torch.compile`."""
    own = {*vars(nn.Module()), "_is_torch_compile", "_compiled_call_impl"}
    return [
        (path, name, settings_text(value))
        for path, module in model.named_modules()
        for name, value in sorted(vars(module).items())
        if name not in own and not isinstance(value, nn.Module) and not passes(module, name, value)
    ]


def _tied(model: nn.Module) -> list[list[str]]:
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def state_fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Hash of names, dtypes, shapes and bytes, whatever the order of the dictionary."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
