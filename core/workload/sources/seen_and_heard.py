"""Pictures and sounds as tensors: what the processor of a folder makes of files. Imports torch."""

import array
import importlib
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SecateurError
from core.workload.examples import Examples
from core.workload.inputs.spilled import Columns, stacked
from core.workload.metrics.reading import IGNORED
from core.workload.sources.columns_of import class_ids
from core.workload.sources.tasks import Inferred

Stacked = tuple[Tensor, bool, tuple[str, ...]]  # inputs, whether they lie on disk, notes
MOST_PIXELS = 100_000_000  # of one picture
VOID = 255  # of masks, as ADE20K and Cityscapes write what does not count


class Upsampled(nn.Module):
    """A segmenting model whose logits are brought to the size of its input, as its own loss does it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(n, channels, height, width) in; logits (n, classes, height, width) out."""
        logits = self.model(pixel_values).logits
        return F.interpolate(logits, size=pixel_values.shape[-2:], mode="bilinear", align_corners=False)


def seen_or_heard(found: Inferred, processor: Any, model: Any) -> tuple[nn.Module, Examples, tuple[str, ...]]:
    """Model, examples and notes.

    Raises:
        SecateurError: a file is damaged, or the processor gives pictures of several sizes.
    """
    make = _sounds if found.task == "audio classification" else _pictures
    inputs, on_disk, notes = make(found, processor, next(model.parameters()).dtype)
    if found.task == "semantic segmentation":
        reduced = bool(getattr(processor, "do_reduce_labels", False))
        labels = _masks(found, inputs.shape[-2:], reduced)
        notes = (*notes, "masks: 0 is no class, and class 1 of a mask the first") if reduced else notes
        return (
            Upsampled(model),
            Examples(inputs, labels, on_disk=on_disk),
            (*notes, "outputs: logits brought to the size of the pictures"),
        )
    values = found.table.columns["label"]
    labels = torch.tensor(class_ids(found.table, values, "label", found.folder.id2label))
    return model, Examples(inputs, labels, on_disk=on_disk), notes


def picture(file: str) -> Any:
    """A picture in red, green and blue.

    Raises:
        SecateurError: it is damaged, or very large.
    """
    image = importlib.import_module("PIL.Image")
    try:
        with image.open(file) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise SecateurError(f"{file} has {opened.width} × {opened.height} pixels; make it smaller")
            return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise SecateurError(f"{file} is no picture that can be read ({error}); replace it or take it away") from None


def _pictures(found: Inferred, processor: Any, dtype: torch.dtype) -> Stacked:
    files = found.table.columns["file"]
    first: list[torch.Size] = []

    def decoded() -> Iterator[Tensor]:
        for file in files:
            pixels = processor(images=picture(file), return_tensors="pt")["pixel_values"][0]
            if not first:
                first.append(pixels.shape)
            if pixels.shape != first[0]:
                raise SecateurError(
                    f"{file} becomes {tuple(pixels.shape)} and the first picture {tuple(first[0])}; let the processor "
                    "resize to one size (size, do_resize in preprocessor_config.json), or give pictures of one size"
                )
            yield pixels.to(dtype)

    made, on_disk = stacked(decoded(), len(files))
    return made, on_disk, (f"pictures: {tuple(first[0])}, by {type(processor).__name__}",)


def _masks(found: Inferred, size: torch.Size, reduced: bool) -> Tensor:
    """Classes of pixels (n, height, width), brought to the size of the pictures by the nearest pixel.

    `reduced`: as the processor says, 0 is what nobody marked and 1 the first class.
    What does not count is -100, as metrics have it. Of a model of more than 255 classes 255 is one of them.
    """
    files = found.table.columns["mask"]
    return stacked((_mask(file, size, reduced, len(found.folder.id2label)) for file in files), len(files))[0]


def _mask(file: str, size: torch.Size, reduced: bool, n_classes: int) -> Tensor:
    image = importlib.import_module("PIL.Image")
    try:
        with image.open(file) as opened:
            if opened.mode not in ("L", "P", "I;16", "I"):
                raise SecateurError(f"{file} must hold a class in each pixel, one channel; got {opened.mode}")
            resized = opened.resize((size[1], size[0]), resample=0)
            mask = torch.from_numpy(np.array(resized)).long()
    except (OSError, ValueError, SyntaxError) as error:
        raise SecateurError(f"{file} is no picture that can be read ({error}); replace it") from None
    mask = mask.masked_fill(mask == VOID, IGNORED) if n_classes <= VOID else mask
    if reduced:  # as the processor would: masks that count from 1, 0 being what nobody marked
        mask = torch.where(mask > 0, mask - 1, IGNORED)
    odd = mask[mask >= n_classes]
    if len(odd):
        raise SecateurError(f"{file} has the class {int(odd[0])}, and the model has {n_classes} (id2label); mend it")
    return mask


def _sounds(found: Inferred, processor: Any, dtype: torch.dtype) -> Stacked:
    rate, files = getattr(processor, "sampling_rate", None), found.table.columns["file"]
    columns = Columns(len(files))
    for file in files:
        features = processor(_sound(file, rate), sampling_rate=rate)
        (name,) = [name for name in ("input_values", "input_features") if name in features]
        columns.add({None: torch.as_tensor(np.asarray(features[name][0]), dtype=torch.float32).to(dtype)})
    column = columns.by_name[None]
    if len({row.shape for row in column.parts}) > 1:
        lengths = sorted(len(row) for row in column.parts)
        raise SecateurError(
            f"sounds of {found.table.path.name} have {lengths[0]:,} to {lengths[-1]:,} samples, and padding would be "
            "heard by the model; cut them to one length"
        )
    said = f"sounds: {rate} Hz, {tuple(column.parts[0].shape)}"
    return column.whole(batched=False), columns.on_disk, (said,)


def _sound(file: str, rate: int | None) -> Any:
    """Samples in [-1, 1], one channel; 16-bit PCM alone, which Python reads itself."""
    try:
        with wave.open(file, "rb") as opened:
            width, channels, own = opened.getsampwidth(), opened.getnchannels(), opened.getframerate()
            raw = opened.readframes(opened.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise SecateurError(f"{Path(file)} is no sound that can be read ({error}); replace it") from None
    if (width, channels) != (2, 1) or own != rate:
        raise SecateurError(
            f"{file} has {own} Hz, {channels} channel(s) of {8 * width} bits, and the model takes {rate} Hz, one "
            f"channel of 16 bits; convert it: ffmpeg -i IN -ac 1 -ar {rate} -sample_fmt s16 OUT.wav"
        )
    samples = array.array("h", raw)
    if sys.byteorder == "big":
        samples.byteswap()
    return np.asarray(samples, dtype=np.float32) / 32768
