"""The trained weights that lie in this package."""

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

FOLDER = Path(__file__).parent / "weights"


def with_weights(model: nn.Module, name: str) -> nn.Module:
    """The model in evaluation mode with the weights of `weights/NAME.safetensors`."""
    tied = {"lm_head.weight"}  # tiny-gpt stores its embedding once
    missing, unexpected = model.load_state_dict(load_file(FOLDER / f"{name}.safetensors"), strict=False)
    if set(missing) - tied or unexpected:
        raise ValueError(
            f"weights/{name}.safetensors does not fit the model; train it again: python -m sample_models.train {name}"
        )
    return model.eval()
