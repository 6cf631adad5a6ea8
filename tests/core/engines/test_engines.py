"""What can run a model: every engine gives what torch gives, whatever the number of threads, or says why not."""

import shutil
from dataclasses import dataclass

import pytest
import torch

from core.engines.engine import EngineUnavailable, quiet, reason_of, tensors_of, trusted
from core.engines.registry import ENGINES
from core.profiling.request import ENGINE_NAMES
from core.pruning.equality import terms_of

MODELS = ("hand", "conv", "attentive", "encoder", "tied_lm")
FEWER = {"compile": ("hand",)}  # half a minute each, and all of it a compiler's


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "workload", "size"),
    [
        pytest.param(name, model, 1 + 2 * (i % 2), marks=[pytest.mark.process] * (name == "compile"))
        for name in ENGINES
        for i, model in enumerate(FEWER.get(name, MODELS))
    ],
)
def test_every_engine_gives_the_outputs_of_torch(name, workload, size, request, tmp_path):
    if name == "compile" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    workload = request.getfixturevalue(workload)
    engine, model = ENGINES[name], workload.model.eval()
    inputs = tuple(tensor[:size] for tensor in workload.evaluation.inputs)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad(), quiet(), engine.around():
        expected = tensors_of(model(*inputs))
        build = engine.load(model, inputs, tmp_path)
        for threads in (1, 2):
            trusted(build(threads), expected)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_what_a_profile_may_ask_for_is_what_there_is():
    assert set(ENGINE_NAMES) == set(ENGINES)


def test_an_engine_is_believed_only_with_the_same_outputs():
    expected = [torch.tensor([1.0, 200.0], dtype=torch.float64)]
    close = [torch.tensor([1.0, 200.019])]  # 1e-4 of 200 is 0.02
    assert trusted(lambda: {"logits": close[0]}, expected)() == {"logits": close[0]}
    for outputs, said in (
        (torch.tensor([1.0, 200.03]), "differ from those of torch by 0.00015"),
        (torch.tensor([1.0, float("nan")]), "differ from those of torch by inf"),
        (torch.tensor([[1.0, 200.0]]), "other shapes"),
        ((close[0], close[0]), "other shapes"),
    ):
        with pytest.raises(EngineUnavailable, match=said):
            trusted(lambda outputs=outputs: outputs, expected)


LOW = torch.finfo(torch.float32).min


@pytest.mark.parametrize("low", [-1e4, -1e9, LOW])
def test_a_constant_in_the_outputs_does_not_blind_an_engine(low):
    def shown(z):
        return torch.cat([torch.full_like(z, low), z], 1)

    torch.manual_seed(0)
    inner = torch.nn.Linear(8, 3)
    x = torch.randn(16, 8)

    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return shown(self.inner(x))

    with torch.no_grad():
        z = inner(x)
        terms = terms_of(Masked(), (x,))
        again = (x.double() @ inner.weight.double().T + inner.bias.double()).float()  # other rounding
        assert trusted(lambda: shown(again), tensors_of(shown(z)), terms)
        with pytest.raises(EngineUnavailable, match="differ from those of torch"):
            trusted(lambda: shown(z + 0.01), tensors_of(shown(z)), terms)


def test_whole_numbers_are_the_same_or_are_not():
    expected = tensors_of(torch.tensor([1_000_000, 2_000_000]))
    same = (torch.tensor([1_000_000, 2_000_000]), torch.ones(1))
    assert trusted(lambda: same, tensors_of(same))() is same
    with pytest.raises(EngineUnavailable, match="differ from those of torch"):
        trusted(lambda: (torch.tensor([1_000_001, 2_000_000]), torch.ones(1)), [*expected, torch.ones(1).double()])


def test_outputs_in_an_object_that_nobody_knows_are_compared():
    @dataclass
    class Held:
        logits: torch.Tensor

    expected = tensors_of(Held(torch.tensor([1.0, 2.0])))
    assert len(expected) == 1
    with pytest.raises(EngineUnavailable, match="differ"):
        trusted(lambda: Held(torch.tensor([1.0, 2.5])), expected)


def test_a_reason_is_the_first_line_of_what_was_wrong_at_the_bottom():
    wrapped = RuntimeError("step 1/3 failed\nsee the report")
    wrapped.__cause__ = ValueError("\nno translation of aten.foo\nmore")
    assert reason_of(wrapped) == "ValueError: no translation of aten.foo"
    assert reason_of(EngineUnavailable("not here")) == "not here"
