"""Pictures and sounds as tensors: what the processor of a folder makes of files. Imports torch."""

import array
import importlib
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import SecateurError
from core.workload.examples import Examples
from core.workload.metrics.reading import IGNORED
from core.workload.sources.columns_of import class_ids
from core.workload.sources.tasks import Inferred

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
    if found.task == "audio classification":
        inputs, notes = _sounds(found, processor)
    else:
        inputs, notes = _pictures(found, processor)
    inputs = inputs.to(next(model.parameters()).dtype)
    if found.task == "semantic segmentation":
        reduced = bool(getattr(processor, "do_reduce_labels", False))
        labels = _masks(found, inputs.shape[-2:], reduced)
        notes = (*notes, "masks: 0 is no class, and class 1 of a mask the first") if reduced else notes
        return (
            Upsampled(model),
            Examples(inputs, labels),
            (*notes, "outputs: logits brought to the size of the pictures"),
        )
    values = found.table.columns["label"]
    labels = torch.tensor(class_ids(found.table, values, "label", found.folder.id2label))
    return model, Examples(inputs, labels), notes


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


def _pictures(found: Inferred, processor: Any) -> tuple[Tensor, tuple[str, ...]]:
    made: list[Tensor] = []
    for file in found.table.columns["file"]:
        pixels = processor(images=picture(file), return_tensors="pt")["pixel_values"][0]
        if made and pixels.shape != made[0].shape:
            raise SecateurError(
                f"{file} becomes {tuple(pixels.shape)} and the first picture {tuple(made[0].shape)}; let the processor "
                "resize to one size (size, do_resize in preprocessor_config.json), or give pictures of one size"
            )
        made.append(pixels)
    return torch.stack(made), (f"pictures: {tuple(made[0].shape)}, by {type(processor).__name__}",)


def _masks(found: Inferred, size: torch.Size, reduced: bool) -> Tensor:
    """Classes of pixels (n, height, width), brought to the size of the pictures by the nearest pixel.

    `reduced`: as the processor says, 0 is what nobody marked and 1 the first class.
    What does not count is -100, as metrics have it. Of a model of more than 255 classes 255 is one of them.
    """
    image = importlib.import_module("PIL.Image")
    n_classes, made = len(found.folder.id2label), list[Tensor]()
    for file in found.table.columns["mask"]:
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
            raise SecateurError(
                f"{file} has the class {int(odd[0])}, and the model has {n_classes} (id2label); mend it"
            )
        made.append(mask)
    return torch.stack(made)


def _sounds(found: Inferred, processor: Any) -> tuple[Tensor, tuple[str, ...]]:
    rate = getattr(processor, "sampling_rate", None)
    waves = [_sound(file, rate) for file in found.table.columns["file"]]
    features = [processor(one, sampling_rate=rate) for one in waves]
    (name,) = [name for name in ("input_values", "input_features") if name in features[0]]
    rows = [torch.as_tensor(np.asarray(one[name][0]), dtype=torch.float32) for one in features]
    if len({row.shape for row in rows}) > 1:
        lengths = sorted(len(row) for row in rows)
        raise SecateurError(
            f"sounds of {found.table.path.name} have {lengths[0]:,} to {lengths[-1]:,} samples, and padding would be "
            "heard by the model; cut them to one length"
        )
    return torch.stack(rows), (f"sounds: {rate} Hz, {tuple(rows[0].shape)}",)


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
