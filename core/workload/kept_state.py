"""Leaving a model as it was found: device, training flags, weights and buffers."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Generic

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import SecateurError


class KeptState:
    """What a model was like when this object was made; `restore` brings back the same bits in the same objects."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._training = [(module, module.training) for module in model.modules()]
        self._parameters = [(parameter, parameter.data) for parameter in model.parameters()]
        self._originals = _buffers(model)
        self._copies = [None if buffer is None else buffer.detach().clone() for _, _, buffer in self._originals]
        self._names = [(module, list(module._buffers.keys())) for module in model.modules()]
        self._working: list[tuple[nn.Module, str, Tensor | None, Tensor | None, int]] = []

    def note_working_state(self) -> None:
        """Remember the buffers the model works with now (moving it to a device made new ones)."""
        self._working = [
            (module, name, buffer, None, 0)
            if buffer is None
            else (module, name, buffer, buffer.detach().clone(), buffer._version)
            for module, name, buffer in _buffers(self._model)
        ]

    def restore_buffers(self) -> None:
        """Undo what a forward pass did to buffers: some models count calls or keep a cache in them."""
        for i, (module, name, buffer, copy, version) in enumerate(self._working):
            if module._buffers.get(name) is not buffer:
                module._buffers[name] = buffer
            if buffer is not None and copy is not None and buffer._version != version:
                buffer.data.copy_(copy)
                self._working[i] = (module, name, buffer, copy, buffer._version)
        for module, names in self._names:
            if len(module._buffers) > len(names):
                for name in set(module._buffers.keys()) - set(names):
                    delattr(module, name)

    @contextmanager
    def guarded_parameters(self) -> Iterator[None]:
        """Refuse a forward pass that writes into parameters, after undoing it.

        Raises:
            SecateurError: on leaving, when a parameter was written to.
        """
        writes = _Writes(self._model)
        try:
            with writes:
                yield
        finally:
            writes.undo()
        if writes.before:
            first = next(iter(writes.before))
            raise SecateurError(
                f"the forward pass of the model writes into its own parameter {first} (max_norm does), "
                "so no two measurements would start from the same weights; apply it once before and turn it off"
            )

    def restore(self) -> None:
        """Bring everything back."""
        self.restore_buffers()
        for parameter, data in self._parameters:
            parameter.data = data
        for (module, name, buffer), copy in zip(self._originals, self._copies, strict=True):
            module._buffers[name] = buffer
            if buffer is not None and copy is not None:
                buffer.data.copy_(copy)
        for module, training in self._training:
            module.training = training


class _Writes(TorchDispatchMode):
    """Copies a parameter just before an operation writes into it, by whatever view: nothing is copied of most models.

    Attributes:
        before: by name, what was written to, as it was.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.before: dict[str, Tensor] = {}
        self._parameters = dict(model.named_parameters())
        self._names: dict[int, list[str]] = {}
        for name, parameter in self._parameters.items():
            place = _storage(parameter)
            if place is None:  # of a layout without one: sparse, or of a package
                self.before[name] = parameter.detach().clone()
            else:
                self._names.setdefault(place, []).append(name)
        self._versions = {name: self._parameters[name]._version for name in self.before}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch's hook: what it would skip, it would first import, its compiler, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            for i, argument in enumerate(func._schema.arguments):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    self._note(args[i] if i < len(args) else kwargs.get(argument.name))
        return func(*args, **kwargs)

    def _note(self, written: Any) -> None:
        for tensor in pytree.tree_leaves(written):
            for name in self._names.get(_storage(tensor) or 0, ()) if isinstance(tensor, Tensor) else ():
                if name not in self.before:
                    self.before[name] = self._parameters[name].detach().clone()

    def undo(self) -> None:
        """Bring back what was written to."""
        for name, version in self._versions.items():
            if self._parameters[name]._version == version:
                del self.before[name]
        for name, copy in self.before.items():
            self._parameters[name].data.copy_(copy)


def sharing_copy(model: nn.Module) -> nn.Module:
    """A copy of a model whose parameters are objects of its own on the model's memory; buffers are copied.

    What the copy's parameters point at, whether they are trained, its layers and numbers: all of it may be changed.
    Only an operation that writes into a parameter would write into the model: see `writes_into_parameters`.
    """
    memo: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach(), parameter.requires_grad)
        for parameter in model.parameters()
        if type(parameter) is nn.Parameter
    }
    plain = [module for module in model.modules() if _is_plain(type(module))]
    memo.update((id(module), object.__new__(type(module))) for module in plain)  # before any of them asks for another
    for module in plain:
        vars(memo[id(module)]).update((name, _copied_value(value, memo)) for name, value in vars(module).items())
    return deepcopy(model, memo)


def _is_plain(kind: type[nn.Module]) -> bool:
    """Whether a copy of a module is a copy of its attributes, which need not be asked for as `deepcopy` does."""
    hooks = (
        "__deepcopy__",
        "__reduce__",
        "__reduce_ex__",
        "__getstate__",
        "__setstate__",
        "__slots__",
        "__getnewargs__",
    )
    own = [base for base in kind.__mro__ if base not in (nn.Module, object, Generic)]
    return kind.__new__ is object.__new__ and not any(name in vars(base) for base in own for name in hooks)


def _copied_value(value: Any, memo: dict[int, Any]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (dict, OrderedDict, set) and not value:
        return type(value)()
    return deepcopy(value, memo)


def writes_into_parameters(model: nn.Module, run: Callable[[], Any]) -> bool:
    """Whether a pass of a model, which `run` makes, writes into its parameters; what it wrote is undone.

    Raises:
        Exception: what `run` raises.
    """
    writes = _Writes(model)
    try:
        with writes:
            run()
    finally:
        writes.undo()
    return bool(writes.before)


def trial_copy(model: nn.Module, inputs: Sequence[Tensor]) -> nn.Module:
    """A copy in evaluation mode to look into: on the model's own memory, unless a pass writes into that.

    Args:
        model: only read.
        inputs: of a small batch.
    """
    twin = sharing_copy(model).eval()

    def run() -> None:
        with torch.inference_mode():
            twin(*(tensor.clone() for tensor in inputs))

    try:
        if not writes_into_parameters(twin, run):
            return sharing_copy(model).eval()  # with buffers that no pass has written into
    except Exception:  # what it has to say is said where it is looked into
        pass
    return deepcopy(model).eval()


def _storage(tensor: Tensor) -> int | None:
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (NotImplementedError, RuntimeError):
        return None


def _buffers(model: nn.Module) -> list[tuple[nn.Module, str, Tensor | None]]:
    """Every buffer with its place; one that is empty so far is `None`, and may be filled by a forward pass."""
    return [(module, name, buffer) for module in model.modules() for name, buffer in module._buffers.items()]


@contextmanager
def given_copies(model: nn.Module) -> Iterator[None]:
    """Call a model, and copies that are made of it meanwhile, with copies of the tensors that it is given.

    A normalisation in place, or `x.mul_(2)`, would otherwise be done once more with every pass over the same examples.
    """
    handle = model.register_forward_pre_hook(_copied, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def _copied(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    found: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map_only(Tensor, Tensor.clone, (args, kwargs))
    return found
