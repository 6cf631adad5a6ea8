"""What static int8 loses of channels without weights: `python -m tests.benchmarks.dead_channels [examples]`.

Rows of `fashion-resnet`'s convolutions are set to zero, smallest first; the batch norms behind them leave a bias.
Prints for each share the accuracy in float and in static int8, with biases as ONNX Runtime's quantizer holds them and
as ours does, how many predictions are those of the float model, and how far outputs lie from its (root of the mean
square).

`python -m tests.benchmarks.dead_channels count [models…]` counts instead: how many outputs of the layers within MLPs
have no weight after 80 to 98 % of each layer's weights went by magnitude. A linear layer, an activation, a linear layer
is the one chain of our models in which a constant could be folded into the next bias exactly. MiniLM needs what
minilm.py names.
"""

import copy
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

import core.engines.onnx_int8 as quantized
from core import load_workload

MEND = quantized.mend_biases
INNER = (".up", ".intermediate.dense")  # the first layer of an MLP in our samples and in BERT


def main() -> None:
    """Print a line for each way to cut, or for each model and share."""
    if sys.argv[1:2] == ["count"]:
        for name in sys.argv[2:] or ("fashion-vit", "tiny-gpt", str(Path(__file__).with_name("minilm.py"))):
            count(name)
        return
    workload = load_workload("fashion-resnet")
    batches = list(workload.evaluation.first(int(sys.argv[1]) if len(sys.argv) > 1 else 2000).batches(250))
    labels = torch.cat([batch.labels for batch in batches])
    few = tuple(tensor[:4] for tensor in batches[0].inputs)
    convolutions = [name for name, one in workload.model.named_modules() if isinstance(one, nn.Conv2d)]
    for share, part in ((0.25, "conv1"), (0.5, "conv1"), (0.9, "stage3"), (0.1, ""), (0.25, "")):
        model = copy.deepcopy(workload.model).eval()
        n = 0
        with torch.no_grad():
            for name in (one for one in convolutions if part in one and (part != "stage3" or "conv1" in one)):
                weight = model.get_parameter(f"{name}.weight")
                gone = weight.flatten(1).norm(dim=1).argsort()[: round(share * len(weight))]
                weight[gone] = 0
                n += len(gone)
            exact = torch.cat([model(*batch.inputs) for batch in batches])
        said = [f"{share:.0%} of {part or 'all'}: {n} channels", f"float {_share(exact, labels):.4f}"]
        for how, mend in (("before", lambda *graphs: 0), ("after", MEND)):
            quantized.mend_biases = mend
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "int8.onnx"
                quantized.write_quantized_onnx(model, few, path, "static", workload.calibration)
                run = quantized.onnx_forward(path, model, few)
                found = torch.cat([run(*batch.inputs) for batch in batches])
            apart = (found - exact).pow(2).mean().sqrt().item()
            same = _share(found, exact.argmax(1))
            said.append(f"{how} {_share(found, labels):.4f}, same {same:.4f}, apart {apart:.4f}")
        print("; ".join(said), flush=True)


def count(name: str) -> None:
    """Print how many channels between the layers of MLPs have no weight after a cut by magnitude."""
    layers = {path: one for path, one in load_workload(name).model.named_modules()
              if isinstance(one, nn.Linear) and path.endswith(INNER)}  # fmt: skip
    for share in (0.8, 0.9, 0.95, 0.98):
        dead = 0
        for layer in layers.values():
            weight = layer.weight.detach()
            mask = torch.ones(weight.numel(), dtype=torch.bool)
            mask[weight.abs().flatten().argsort()[: round(share * weight.numel())]] = False
            dead += int((~mask.view_as(weight)).all(1).sum())
        n = sum(layer.out_features for layer in layers.values())
        print(f"{Path(name).stem}, {share:.0%}: {dead} of {n} channels within MLPs ({dead / n:.1%})", flush=True)


def _share(outputs: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((outputs.argmax(1) == wanted).float().mean())


if __name__ == "__main__":
    main()
