"""Surgery: a copy of a model from which the cuts of a plan are gone, not zero.

What goes is collected first, position by position and tensor by tensor, and taken out at once: so the order of a plan's
lines does not matter, and where cuts meet nothing is taken twice.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from core.plans.plan import HEADS, STRUCTURED, SparsityPlan
from core.pruning.coupling.attention import HeadLayout
from core.pruning.coupling.channel_graph import CONVS
from core.pruning.coupling.dependency import CHANNEL_NORMS
from core.pruning.coupling.groups import CannotCutError, Slice, without
from core.pruning.coupling.head_configs import Staying, tell_configurations, tell_widths
from core.pruning.coupling.traced import frozen_channels
from core.pruning.masks import MaskMaker
from core.pruning.wearing import put

_HOLD = (dict, list, set)
Gone = dict[tuple[str, int, int], tuple[Slice, set[int]]]  # by tensor, dimension and convolution groups


class PassOn(nn.Module):
    """In place of a block that was removed: what comes in goes out.

    Args:
        in_tuple: the block's output was a tuple that began with it.
    """

    def __init__(self, in_tuple: bool) -> None:
        super().__init__()
        self.in_tuple = in_tuple

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The first tensor among the arguments."""
        came = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        return (came,) if self.in_tuple else came


def shrunk_copy(
    model: nn.Module,
    plan: SparsityPlan,
    maker: MaskMaker,
    heads: Mapping[str, HeadLayout],
    in_tuple: Mapping[str, bool],
    configurations: bool = True,
    twin: nn.Module | None = None,
) -> nn.Module:
    """A copy without the channels, heads and blocks that a plan removes, and with zeros for the weights it removes.

    Whether it does what the masked model does is for `core.pruning.equality` to say.

    Args:
        model: dense; not modified.
        plan: what to remove.
        maker: of masks on this model.
        heads: layouts of its attention modules, by path.
        in_tuple: of each block that the plan skips, whether its output is a tuple.
        configurations: write numbers of heads also into the configurations that attention modules carry.
        twin: a copy of the model to cut; by default one is made.

    Raises:
        SecateurError: the plan names an unknown target, would leave nothing of one, or a head of an attention that
            cannot be taken apart.
    """
    gone, rewritten, resized = _gone_by(plan, maker, heads)
    blocks = [cut.target for cut in plan.cuts if cut.granularity == "block"]
    twin = copy.deepcopy(model) if twin is None else twin
    masked = SparsityPlan(tuple(c for c in plan.cuts if c.granularity not in STRUCTURED))
    # a repair moves what stays beside the positions that go
    put(twin, maker.cut_tensors(plan, skipping=True) if plan.repair else maker.cut_tensors(masked))
    _operate(twin, gone, rewritten, resized, heads)
    if configurations and resized:
        tell_configurations(twin, heads, resized)
    if configurations and any(cut.granularity == "channel" for cut in plan.cuts):
        tell_widths(twin, model)
    for block in blocks:
        _replace(twin, block, PassOn(in_tuple[block]))
    return twin


@contextmanager
def shrunk_meanwhile(
    model: nn.Module, plan: SparsityPlan, maker: MaskMaker, heads: Mapping[str, HeadLayout]
) -> Iterator[None]:
    """Inside the block the model itself lacks the channels and heads of a plan; after it, it is the one that it was.

    Its modules, parameters and numbers are the same objects again, whatever was raised. Tensors are made anew where
    they get smaller, and never written to. Configurations that modules carry are left alone.

    Args:
        model: e.g. a `sharing_copy`; nobody else may run it meanwhile.
        plan: of channels, heads and key/value groups alone.
        maker: of masks on this model.
        heads: layouts of its attention modules, by path.

    Raises:
        SecateurError: as `shrunk_copy`.
    """
    gone, rewritten, resized = _gone_by(plan, maker, heads)
    paths = {name.rpartition(".")[0] for name, _, _ in gone}
    paths |= {path.rpartition(".")[0] for path in rewritten}
    paths |= {inner for path in resized for inner, _ in model.get_submodule(path).named_modules(prefix=path)}
    kept = [_Kept(vars(model.get_submodule(path))) for path in paths if _is_there(model, path)]
    kept += [_Kept(vars(parent)) for parent in _parents_of(model, rewritten)]
    try:
        _operate(model, gone, rewritten, resized, heads)
        yield
    finally:
        for one in kept:
            one.restore()


class _Kept:
    """What a module's attributes were, and what stood in those of them that are dictionaries or lists."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self._attributes, self._before = attributes, dict(attributes)
        self._inside = [(value, copy.copy(value)) for value in attributes.values() if type(value) in _HOLD]

    def restore(self) -> None:
        """The same objects with the same entries."""
        for value, before in self._inside:
            value.clear()
            value.extend(before) if isinstance(value, list) else value.update(before)
        self._attributes.clear()
        self._attributes.update(self._before)


def _is_there(model: nn.Module, path: str) -> bool:
    """Whether a path is one of the model: layers of a rewritten attention have names that it has not yet."""
    try:
        model.get_submodule(path)
    except AttributeError:
        return False
    return True


def _parents_of(model: nn.Module, paths: Sequence[str]) -> list[nn.Module]:
    """Modules that hold one of these, by whatever name."""
    wanted = {id(model.get_submodule(path)) for path in paths}
    return [m for m in model.modules() if wanted and any(id(child) in wanted for child in m._modules.values())]


def _gone_by(plan: SparsityPlan, maker: MaskMaker, heads: Mapping[str, HeadLayout]) -> tuple[Gone, list[str], Staying]:
    """What a plan takes out of which tensors, modules to rewrite for that, and the heads that stay by module."""
    gone: Gone = {}
    rewritten, resized = _heads_gone(plan, maker, heads, gone)
    for cut in plan.cuts:
        if cut.granularity == "channel":
            group, units = maker.units(cut)
            for one in group.slices:
                _note(gone, one, units)
    return gone, rewritten, resized


def _operate(
    model: nn.Module, gone: Gone, rewritten: Sequence[str], resized: Staying, heads: Mapping[str, HeadLayout]
) -> None:
    for path in rewritten:
        rewrite = heads[path].rewrite
        assert rewrite is not None
        _replace(model, path, rewrite(model.get_submodule(path)))
    for (name, _, _), (one, positions) in sorted(gone.items(), key=lambda item: -item[1][0].groups):
        _take_out(model, name, one, positions)  # inputs of grouped convolutions first: they count in whole rows
    for path, (stay, stay_kv) in resized.items():
        heads[path].resize(model.get_submodule(path), stay, stay_kv)
    for path in {name.rpartition(".")[0] for name, _, _ in gone}:
        _tell(model.get_submodule(path))


def _heads_gone(
    plan: SparsityPlan, maker: MaskMaker, heads: Mapping[str, HeadLayout], gone: Gone
) -> tuple[list[str], Staying]:
    """Note what goes with heads; returns modules to rewrite, and the heads that stay by module."""
    cut: dict[str, tuple[set[int], set[int]]] = {}
    for line in plan.cuts:
        if line.granularity in HEADS:
            target = maker.target_of(line)
            assert target.layer is not None
            assert target.head is not None
            of_layer = cut.setdefault(target.layer, (set(), set()))
            of_layer[line.granularity == "kv_group"].add(target.head)
    resized: Staying = {}
    for path, (single, whole) in cut.items():
        layout = heads.get(path)
        if layout is None:
            raise CannotCutError(
                f"heads of {path} can be masked, not removed: Secateur does not know how this attention keeps its "
                "projections; leave them out of the plan, or export it masked"
            )
        query, shared = layout.without(single, whole)
        for one in layout.query:
            _note(gone, one, query)
        for one in layout.shared:
            _note(gone, one, shared)
        resized[path] = (
            [head for head in range(layout.n_heads) if head not in query],
            [kv for kv in range(layout.n_kv) if kv not in shared],
        )
    return [path for path in cut if heads[path].rewrite is not None], resized


def _note(gone: Gone, one: Slice, units: Sequence[int]) -> None:
    _, positions = gone.setdefault((one.tensor, one.dim, one.groups), (one, set()))
    positions.update(one.of(units))


def _take_out(model: nn.Module, name: str, one: Slice, positions: set[int]) -> None:
    path, _, attribute = name.rpartition(".")
    module = model.get_submodule(path)
    old = getattr(module, attribute)
    new = without(old.detach(), one, sorted(positions))
    if isinstance(old, nn.Parameter):
        setattr(module, attribute, nn.Parameter(new, requires_grad=old.requires_grad))
    else:
        setattr(module, attribute, new)


def _tell(module: nn.Module) -> None:
    """Write into a layer the sizes that its tensors have now."""
    weight = getattr(module, "weight", None)
    if isinstance(module, CONVS):
        assert isinstance(weight, Tensor)
        transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
        first, second = weight.shape[:2]
        if module.groups == module.in_channels == module.out_channels:
            module.groups = module.in_channels = module.out_channels = first
        elif transposed:
            module.in_channels, module.out_channels = first, second * module.groups
        else:
            module.in_channels, module.out_channels = second * module.groups, first
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(weight, Tensor) and hasattr(module, "nf") and weight.dim() == 2:  # Conv1D of transformers
        vars(module).update(nf=weight.shape[1], **({"nx": weight.shape[0]} if hasattr(module, "nx") else {}))
    elif isinstance(module, CHANNEL_NORMS) or (frozen_channels(module) and hasattr(module, "num_features")):
        sized = next((t for t in (module.weight, module.running_mean) if isinstance(t, Tensor)), None)
        vars(module)["num_features"] = module.num_features if sized is None else len(sized)
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        _tell_recurrent(module)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = module.weight.shape[1]


def _tell_recurrent(module: nn.RNNBase | nn.RNNCellBase) -> None:
    suffix = "_l0" if isinstance(module, nn.RNNBase) else ""
    ih, hh, hr = (getattr(module, f"weight_{kind}{suffix}", None) for kind in ("ih", "hh", "hr"))
    assert isinstance(ih, Tensor)
    assert isinstance(hh, Tensor)
    module.input_size, module.hidden_size = ih.shape[1], hh.shape[1]
    if isinstance(hr, Tensor):
        vars(module).update(proj_size=hr.shape[0], hidden_size=hr.shape[1])
    if isinstance(module, nn.RNNBase):
        module.flatten_parameters()


def _replace(model: nn.Module, path: str, new: nn.Module) -> None:
    old = model.get_submodule(path)
    new.train(old.training)
    for alias in [name for name, module in model.named_modules(remove_duplicate=False) if module is old]:
        parent, _, name = alias.rpartition(".")  # a module that stands in two places is one
        setattr(model.get_submodule(parent), name, new)
