"""The files of a round: where its checkpoint lies, and the workload file that makes a model of it. No torch."""

from pathlib import Path


def path_of(folder: Path, iteration: int) -> Path:
    """Where the checkpoint of a round lies.

    Args:
        folder: of the recovery.
        iteration: of the round, counted from 1.
    """
    return folder / f"round-{iteration:03d}.safetensors"


def number_of(path: Path | str) -> int:
    """Inverse of `path_of`: the round's number."""
    return int(Path(path).stem.rpartition("-")[2])


def workload_file(ref: str, checkpoint: Path) -> str:
    """Text of a workload file that gives the recovered model.

    Args:
        ref: of the workload that was recovered.
        checkpoint: absolute path of the round.
    """
    return (
        '"""A recovered model; written by Secateur."""\n\n'
        "from core import load_workload, recovered\n\n\n"
        "def workload():\n"
        f"    return recovered(load_workload({ref!r}), {str(checkpoint)!r})\n"
    )
