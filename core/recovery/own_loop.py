"""Masks of a plan held through a training loop that is not ours: any optimiser of torch, whoever calls its `step`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.optim.swa_utils import AveragedModel

from core.errors import SecateurError
from core.plans.plan import HEADS, SparsityPlan
from core.pruning.coupling.head_traces import traced_targets
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker, checked_repairs
from core.pruning.structure import EXAMPLES, find_structure
from core.pruning.wearing import own_tensor
from core.recovery.growing import check_maskable
from core.recovery.held_masks import HeldMasks
from core.workload.discovery import find_targets
from core.workload.identity.unwrapped import unwrapped

_taken: set[int] = set()  # ids of the parameters that are held now; whoever holds them keeps them alive


class PlanHeld:
    """A plan's masks on a model, from `begin` to `end`, or inside a `with`; see `held_masks`.

    Attributes:
        steps: how many steps of optimisers of the held parameters were seen; 0 after training says that they were made
            by something else than a `torch.optim.Optimizer` in this process: then call `hold` after each.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: SparsityPlan,
        inputs: Sequence[Tensor] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        if not isinstance(plan, SparsityPlan):
            raise SecateurError(
                f"expected a SparsityPlan, got {type(plan).__name__}; of a file: SparsityPlan.read(Path(...))"
            )
        if not plan.cuts:
            raise SecateurError("the plan cuts nothing, so there are no masks to hold; give some line a sparsity")
        check_maskable(plan)
        self._model, self._plan, self._inputs, self._calibration = unwrapped(model), plan, inputs, calibration
        self._parameters: dict[str, nn.Parameter] = {}
        self._shapes: dict[str, torch.Size] = {}
        self._masks: Mapping[str, Tensor] = MappingProxyType({})
        self._held: HeldMasks | None = None
        self._hooks = ExitStack()
        self._states: dict[int, Mapping[Any, Any]] = {}  # memory of optimisers that was looked at, by their ids
        self.steps = 0

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """By state-dict name, shape of the parameter, True = kept; those of the last `begin`."""
        return self._masks

    def begin(self) -> Self:
        """Choose what goes by the model's weights as they are, set it to zero, and hold it from now on.

        The plan's repair, if it has one, is made now, once; training goes on from there.

        Raises:
            SecateurError: the plan does not fit the model, needs inputs or calibration data that were not given, or
                parameters of the model are held already, sharded, or worn by an adapter.
        """
        if self._held is not None:
            raise SecateurError("these masks are held already; leave the first block before the next begins")
        _check_whole(self._model)
        maker = self._maker()
        masks = maker.masks(self._plan)
        names = {id(self._model.get_parameter(name)): name for name in masks}
        everywhere = self._model.named_parameters(remove_duplicate=False)  # a tied one under each of its names
        parameters = {name: parameter for name, parameter in everywhere if id(parameter) in names}
        if _taken & names.keys():
            name = next(name for key, name in names.items() if key in _taken)
            raise SecateurError(f"masks of {name} are held already by another block; put both plans into one")
        with torch.no_grad():
            for name, tensor in maker.cut_tensors(self._plan).items():
                own_tensor(self._model, name).copy_(tensor)
        self._shapes = {name: parameter.shape for name, parameter in parameters.items()}
        self._parameters, self._masks, self.steps = parameters, MappingProxyType(masks), 0
        self._held = held = HeldMasks(self._model, masks)
        self._states = {}
        _taken.update(names)
        self._hooks.callback(_taken.difference_update, list(names))
        for handle in held.hook_gradients():  # before they are clipped; ahead of a step all are looked at once more
            self._hooks.callback(handle.remove)
        self._hooks.callback(register_optimizer_step_pre_hook(partial(self._before_step, held)).remove)
        self._hooks.callback(register_optimizer_step_post_hook(partial(self._after_step, held)).remove)
        return self

    def end(self) -> None:
        """Hold a last time, and let go: hooks are gone, and every entry that the plan cut is exactly zero.

        Raises:
            SecateurError: a parameter was replaced, or divided, since the last step.
        """
        if self._held is None:
            return
        self._hooks.close()
        held, self._held = self._held, None
        if all(parameter.shape == self._shapes[name] for name, parameter in self._parameters.items()):
            held.hold()
        self._check_same()

    def hold(self, model: nn.Module | None = None) -> None:
        """Zeros where the plan cut, now: after a step that no `torch.optim.Optimizer` made, or in a copy of the model.

        Args:
            model: of the same structure, such as a running average that began before the masks did; `None`: the one
                that is held.
        """
        if not self._masks:
            raise SecateurError("no masks are held yet; call begin, or use `with core.held_masks(...) as held`")
        if model is None:
            model = self._model
        model = unwrapped(model.module if isinstance(model, AveragedModel) else model)
        own = dict(model.named_parameters(remove_duplicate=False))
        for name, mask in self._masks.items():
            if name not in own or own[name].shape != mask.shape:
                raise SecateurError(
                    f"the copy has no {name} of shape {tuple(mask.shape)}; give a copy of the same model"
                )
        HeldMasks(model, {name: mask.to(own[name].device) for name, mask in self._masks.items()})

    def are_held(self) -> bool:
        """Whether every entry that the plan cut is exactly zero."""
        own = {name: self._model.get_parameter(name).detach() for name in self._masks}
        return all(not own[name][~mask.to(own[name].device)].count_nonzero() for name, mask in self._masks.items())

    def __enter__(self) -> Self:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.end()
        except SecateurError:
            if error is None:  # else what went wrong first is told
                raise

    def _maker(self) -> MaskMaker:
        kinds = {cut.granularity for cut in self._plan.cuts}
        model, inputs, calibration = self._model, self._inputs, self._calibration
        if "channel" in kinds:
            if inputs is None:
                raise SecateurError(
                    "the plan cuts channels, which are followed through the model on a few examples; give some: "
                    "held_masks(model, plan, inputs=(images[:2],))"
                )
            structure = find_structure(model, inputs)
            maker = MaskMaker(model, structure.targets, structure.groups, calibration)
        elif kinds.intersection(HEADS) and inputs is not None:
            few = tuple(tensor[:EXAMPLES] for tensor in inputs)
            maker = MaskMaker(model, traced_targets(model, few)[0], calibration=calibration)
        else:
            maker = MaskMaker(model, find_targets(model)[0], calibration=calibration)
        for cut in self._plan.cuts:
            maker.target_of(cut)
        unfit = maker.prepare(self._plan.cuts)
        if unfit:
            raise SecateurError(f"{next(iter(unfit.values()))}; choose another criterion")
        checked_repairs(maker, self._plan)
        return maker

    def _check_same(self) -> None:
        for name, parameter in self._parameters.items():
            path, _, attribute = name.rpartition(".")
            try:
                module = self._model.get_submodule(path)
            except AttributeError:
                said = "is gone from the model"
            else:
                now = module._parameters.get(attribute)
                if now is parameter and now.shape == self._shapes[name]:
                    continue
                said = "was replaced" if now is not None else f"is no parameter of its {type(module).__name__} any more"
                said = said if now is not parameter else "was divided"
            raise SecateurError(
                f"{name}, whose mask is held, {said}, so what was cut would come back while it is trained; wrap and "
                "change the model before core.held_masks: LoRA and FSDP cannot hold masks, DistributedDataParallel can"
            )

    def _owns(self, optimiser: Optimizer) -> bool:
        ids = {id(parameter) for parameter in self._parameters.values()}
        return any(id(parameter) in ids for group in optimiser.param_groups for parameter in group["params"])

    def _before_step(self, held: HeldMasks, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        self._check_same()
        if self._owns(optimiser):
            held.hold_gradients()  # also one that was assigned, and not accumulated
            # from before the masks, or of a checkpoint, which brings another dictionary; later it stays zero by itself
            if self._states.get(id(optimiser)) is not optimiser.state:
                held.hold_state(optimiser)
                self._states[id(optimiser)] = optimiser.state

    def _after_step(self, held: HeldMasks, optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        if self._owns(optimiser):
            held.hold()
            self.steps += 1


def held_masks(
    model: nn.Module,
    plan: SparsityPlan,
    inputs: Sequence[Tensor] | None = None,
    calibration: Calibration | None = None,
) -> PlanHeld:
    """Hold a plan's masks through a training loop of your own: `with core.held_masks(model, plan): train(model)`.

    Inside the block what the plan cuts is exactly zero after every step of every optimiser of torch, has no gradient
    and no momentum. Afterwards it is zero and nothing of ours is left on the model, also after an exception. The model
    keeps its class and its parameters, so optimisers, compiled models and schedulers made before or inside go on.

    Args:
        model: trained in place; as it is, compiled, or in `DistributedDataParallel`.
        plan: weights, patterns, channels, heads; made for this model. What goes is chosen by the weights at `begin`.
        inputs: a few examples, tensors whose first dimension counts them; needed for channels, and heads are traced by
            them.
        calibration: what the plan's criteria look at besides the weights, as `Calibration(model, examples, loss)`.

    Raises:
        SecateurError: no plan, one that cuts nothing, or a block, which no mask can skip; others at `begin`.
    """
    return PlanHeld(model, plan, inputs, calibration)


def _check_whole(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if type(module).__name__ == "FullyShardedDataParallel" or any(
            hasattr(parameter, "device_mesh") for parameter in module.parameters(recurse=False)
        ):
            raise SecateurError(
                f"{name or 'the model'} is sharded (FSDP), and masks need whole parameters; train it in "
                "DistributedDataParallel"
            )
        if isinstance(getattr(module, "base_layer", None), nn.Module):
            raise SecateurError(
                f"{name} wears an adapter ({type(module).__name__}), which would fill what was cut when it is merged; "
                "merge it first (merge_and_unload()), then hold masks on the merged model"
            )
