"""Which layers can make up for a cut: those that multiply what is cut, or the weights that lose entries themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from core.plans.criteria import FACTS
from core.plans.plan import Cut
from core.pruning.coupling.groups import Group
from core.pruning.criteria.calibration import Calibration
from core.pruning.criteria.layer_inputs import multiplies
from core.workload.target import READING_INPUTS, Target


@dataclass(frozen=True)
class Reader:
    """A weight that can make up for its lost columns.

    Attributes:
        weight: state-dict name.
        bias: state-dict name of the bias that belongs to it alone; `None` if there is none.
    """

    weight: str
    bias: str | None


class Readers:
    """The readers of one model's cuts.

    Args:
        model: dense; not modified.
        groups: coupled groups by name.
        calibration: that knows where parameters live.
    """

    def __init__(self, model: nn.Module, groups: Mapping[str, Group], calibration: Calibration) -> None:
        self._model, self._groups, self._calibration = model, groups, calibration
        self._names: dict[int, list[str]] = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            self._names.setdefault(id(parameter), []).append(name)
        self._parameters = {name for names in self._names.values() for name in names}
        self._found: dict[str, Reader | str] = {}

    def of(self, cut: Cut, target: Target) -> tuple[Reader, ...] | str:
        """The readers that make up for a cut, all of them; or why none may, without a full stop."""
        if cut.granularity == "block":
            return "a skipped block has no layer that could make up for it"
        if cut.criterion is not None and FACTS[cut.criterion].updates:
            return f"{cut.criterion} moves the weights that stay itself"
        if cut.granularity != "channel":
            names = [target.parameter]
        else:
            group = self._groups[target.name]
            if not group.readers_decide:
                return "an operation on the way mixes these channels with others, so what stays changes as well"
            names = [one.tensor for one in group.slices if one.role == "inputs" and one.tensor in self._parameters]
            if not names:
                return "no layer reads these channels"
        found = [self._reader(name) for name in dict.fromkeys(names)]
        reasons = [one for one in found if isinstance(one, str)]
        return reasons[0] if reasons else tuple(one for one in found if isinstance(one, Reader))

    def _reader(self, name: str) -> Reader | str:
        if name not in self._found:
            self._found[name] = self._looked_up(name)
        return self._found[name]

    def _looked_up(self, name: str) -> Reader | str:
        homes = self._calibration.homes(name)
        for path, attribute in homes:
            module = self._model.get_submodule(path)
            if not multiplies(module, attribute):
                where = f", which is {path or 'the model'}'s as well," if len(homes) > 1 else ""
                return f"it is not known what {name}{where} multiplies ({type(module).__name__})"
        return Reader(name, self._bias_of(*homes[0]) if len(homes) == 1 else None)

    def _bias_of(self, path: str, attribute: str) -> str | None:
        """Of a packed attention's projections there is none: its three parts see inputs of several lengths."""
        if attribute != "weight" and attribute not in READING_INPUTS:
            return None
        name = f"{path}.{attribute.replace('weight', 'bias')}".removeprefix(".")
        if name not in self._parameters:
            return None
        return name if len(self._names[id(self._model.get_parameter(name))]) == 1 else None
