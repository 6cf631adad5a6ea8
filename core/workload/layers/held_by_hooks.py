"""Layers that `torch.nn.utils.prune` masks at every call: by `…_orig`, `…_mask` and a hook before forward."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod


@dataclass(frozen=True, eq=False)
class Held:
    """One tensor that a hook makes.

    Attributes:
        path: of its module, as the model names it.
        module: that has the hook.
        attribute: that the hook sets, such as `weight`.
        hook: key among the module's hooks before forward.
        is_shared: its source is a parameter of another module too.
    """

    path: str
    module: nn.Module
    attribute: str
    hook: int
    is_shared: bool

    @property
    def name(self) -> str:
        """As the state dict would name it."""
        return f"{self.path}.{self.attribute}" if self.path else self.attribute

    @property
    def product(self) -> Tensor:
        """What `prune.remove` would leave."""
        source, mask = (getattr(self.module, f"{self.attribute}_{kind}") for kind in ("orig", "mask"))
        product: Tensor = source.detach() * mask.to(source.dtype)
        return product

    def why_not(self) -> str | None:
        """Why it cannot be told which weight the model has, in one sentence with the mend; `None` if it can."""
        remove = f"torch.nn.utils.prune.remove({self.path or 'model'}, {self.attribute!r})"
        if self.is_shared:
            return (
                f"{self.name} is masked by torch.nn.utils.prune, and another layer shares its {self.attribute}_orig "
                f"without that mask, so that {remove} would cut both; give one of the two layers a copy of the weight "
                f"of its own, then call remove"
            )
        if not torch.equal(getattr(self.module, self.attribute).detach(), self.product):
            return (
                f"{self.name} is masked by torch.nn.utils.prune and is not what {self.attribute}_orig and its mask "
                "give now: it was trained or loaded since, and is made anew only when the layer itself is called, "
                f"which MultiheadAttention never does with its out_proj; call {remove}, which takes the newest, "
                "and measure the model again"
            )
        return None


def held_by_hooks(model: nn.Module) -> Iterator[Held]:
    """Every tensor of a model that a hook of `torch.nn.utils.prune` makes."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    for path, module in model.named_modules():
        for key, hook in module._forward_pre_hooks.items():
            if isinstance(hook, BasePruningMethod):
                attribute: str = hook._tensor_name
                source = getattr(module, f"{attribute}_orig")
                yield Held(path, module, attribute, key, owners[id(source)] > 1)


def fold_masks(model: nn.Module) -> list[str]:
    """Make parameters of the products of weights and masks, bit for bit; all of them or, where one is unclear, none.

    Only of a model that was made for us, which is changed.

    Returns:
        Names of the weights that are parameters by now.
    """
    found = list(held_by_hooks(model))
    if any(one.why_not() is not None for one in found):
        return []
    for one in found:
        weight = nn.Parameter(one.product, getattr(one.module, f"{one.attribute}_orig").requires_grad)
        del one.module._forward_pre_hooks[one.hook]
        for kind in ("orig", "mask"):
            delattr(one.module, f"{one.attribute}_{kind}")
        delattr(one.module, one.attribute)
        setattr(one.module, one.attribute, weight)  # and no `register_parameter`: an LSTM keeps a list of its own
    return [one.name for one in found]


def why_held(model: nn.Module) -> str | None:
    """Why a model with such hooks is refused, in one sentence with the mend; `None` if it has none."""
    found = list(held_by_hooks(model))
    for one in found:
        if (reason := one.why_not()) is not None:
            return reason
    for one in found:
        return (
            f"{one.name} is masked by torch.nn.utils.prune at every call, and a model with such hooks cannot be copied "
            f"once it has run; make it permanent: torch.nn.utils.prune.remove({one.path or 'model'}, "
            f"{one.attribute!r})" + (f", and of {len(found) - 1} more" if len(found) > 1 else "")
        )
    return None
