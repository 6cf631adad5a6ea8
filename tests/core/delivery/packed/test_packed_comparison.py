"""What was written is compared with what a fresh process reads, and a difference is told with its cause."""

import pytest
import torch

from core import SecateurError
from core.delivery.packed.comparison import compare_packed
from core.delivery.packed.packing import write_packed
from core.delivery.packed.unpacking import dequantized
from core.quantization.weights import quantize_tensor

pytestmark = pytest.mark.process


def test_a_file_that_holds_what_was_to_be_written_passes(tmp_path):
    tensors = {"plain": torch.tensor([0.0, -0.0, float("nan")]), "quantized": quantize_tensor(torch.randn(4, 3), 0)}
    write_packed(tensors, tmp_path / "p.safetensors")
    compare_packed(tmp_path / "p.safetensors", dequantized(tensors))


OTHERS = {
    "another sign of zero": {"w": torch.tensor([-0.0, 1.0])},
    "another dtype": {"w": torch.tensor([0.0, 1.0], dtype=torch.float64)},
    "another shape": {"w": torch.tensor([[0.0, 1.0]])},
    "another name": {"v": torch.tensor([0.0, 1.0])},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_any_difference_is_refused(tmp_path, other):
    path = tmp_path / "p.safetensors"
    write_packed({"w": torch.tensor([0.0, 1.0])}, path)
    with pytest.raises(SecateurError, match="a fresh process reads something else from it: its tensors differ"):
        compare_packed(path, other)


def test_a_file_that_no_process_can_read_is_refused_with_the_reason(tmp_path):
    with pytest.raises(SecateurError, match=r"a fresh process reads something else from it: cannot read .*missing"):
        compare_packed(tmp_path / "missing.safetensors", {})
