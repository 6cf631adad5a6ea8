# ruff: noqa: E501 - a table, a network a line
"""Networks for images of timm and torchvision, as small as their settings allow, of random weights: nothing is fetched.

PyPI's torchvision, which timm imports, does not import beside the CPU build of torch that the suite runs on. So these
are examined where both do, and skipped elsewhere, with the reason.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from tests.contract.attention_nets import value_rows_zeroed
from tests.contract.case import CLASSES, Case, N, ZeroHead, classes, images

LIBRARIES = ("torch", "torchvision", "timm")


@cache
def missing() -> str | None:
    """Why these cannot be made here, in words; `None` where they can."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except Exception as error:  # torchvision beside another build of torch raises a RuntimeError
            return f"{name} does not import here: {type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def versions() -> str:
    """What the rows were made with."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)


def values_zeroed(layer: str, heads: str = "num_heads") -> ZeroHead:
    """Zero the rows that make a head's values, the last part of a packed projection: attention over zeros gives zeros."""

    @contextmanager
    def zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
        attention = model.get_submodule(path)
        made = attention.get_submodule(layer)
        width = made.weight.shape[1]  # inputs are as wide as the values here
        size = width // getattr(attention, heads)
        rows = slice(len(made.weight) - width + head * size, len(made.weight) - width + (head + 1) * size)
        kept = [(tensor, tensor.detach()[rows].clone()) for tensor in made.parameters(recurse=False)]
        with torch.no_grad():
            for tensor, _ in kept:
                tensor[rows] = 0
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, old in kept:
                    tensor[rows] = old

    return zeroed


def _timm(name: str, size: int = 32, zero: ZeroHead | None = None, n_heads: int = 0, **settings: Any) -> Case:
    import timm

    model = timm.create_model(name, pretrained=False, num_classes=CLASSES, **settings)
    return Case(model, (images(size=size),), "cross entropy", classes(), zero, n_heads)


def _mixer() -> Case:
    from timm.models.mlp_mixer import MlpMixer

    model = MlpMixer(CLASSES, img_size=16, patch_size=4, num_blocks=1, embed_dim=16)
    return Case(model, (images(size=16),), "cross entropy", classes())


def _regnet() -> Case:
    from timm.models.regnet import RegNet, RegNetCfg

    model = RegNet(RegNetCfg(w0=8, wa=12.0, wm=2.49, group_size=4, depth=13, se_ratio=0.25), num_classes=CLASSES)
    return Case(model, (images(size=32),), "cross entropy", classes())


def _ghostnet() -> Case:
    from timm.models.ghostnet import GhostNet

    stages = [[[3, 16, 16, 0, 1]], [[3, 48, 24, 0, 2]], [[5, 72, 40, 0.25, 2]]]  # as ghostnet_100's first ones
    return Case(GhostNet(stages, num_classes=CLASSES, width=0.5), (images(size=32),), "cross entropy", classes())


def _torchvision(name: str, size: int = 32, zero: ZeroHead | None = None, n_heads: int = 0, **settings: Any) -> Case:
    from torchvision import models

    made = getattr(models, name)
    model = made(num_classes=CLASSES, **settings)
    return Case(model, (images(size=size),), "cross entropy", classes(), zero, n_heads)


class Segmented(nn.Module):
    """A segmentation net of torchvision, of which the one output is taken."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)["out"]
        return out


def _segmented(name: str, size: int = 32) -> Case:
    from torchvision.models import segmentation

    model = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=CLASSES)
    labels = torch.randint(CLASSES, (N, size, size))
    return Case(Segmented(model), (images(size=size),), "pixel accuracy", labels)


QKV = values_zeroed("qkv")
TABLE: Mapping[str, Callable[[], Case]] = MappingProxyType(
    {
        "timm resnet18": partial(_timm, "resnet18", channels=(8, 12, 16, 24)),
        "timm resnet26d": partial(_timm, "resnet26d", channels=(4, 4, 8, 8), layers=(1, 1, 1, 1), stem_width=4),
        "timm regnet": _regnet,
        "timm efficientnet": partial(_timm, "test_efficientnet"),
        "timm ghostnet": _ghostnet,
        "timm convnext": partial(_timm, "convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 12, 16)),
        "timm convnext v2": partial(_timm, "convnextv2_atto", depths=(1, 1, 1, 1), dims=(8, 8, 12, 16)),
        "timm vit": partial(_timm, "vit_tiny_patch16_224", 16, QKV, 4, img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=4),
        "timm deit distilled": partial(_timm, "deit_tiny_distilled_patch16_224", 16, QKV, 4, img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=4),
        "timm beit": partial(_timm, "beit_base_patch16_224", 16, QKV, 4, img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=4),
        "timm mixer": _mixer,
        "timm edgenext": partial(_timm, "edgenext_xx_small", 64, QKV, 12, depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
        "timm pvt v2": partial(_timm, "pvt_v2_b0", 128, depths=(1, 1, 1, 1), embed_dims=(8, 8, 16, 16), num_heads=(1, 2, 4, 8), n_heads=15, zero=values_zeroed("kv")),
        "torchvision mobilenet v2": partial(_torchvision, "mobilenet_v2", width_mult=0.1),
        "torchvision mnasnet": partial(_torchvision, "MNASNet", alpha=0.1),
        "torchvision squeezenet": partial(_torchvision, "squeezenet1_1"),
        "torchvision shufflenet": partial(_torchvision, "shufflenet_v2_x0_5"),
        "torchvision densenet": partial(_torchvision, "DenseNet", growth_rate=4, block_config=(2, 2), num_init_features=8),
        "torchvision vit": partial(_torchvision, "VisionTransformer", 16, value_rows_zeroed, 4, image_size=16, patch_size=4, num_layers=1, num_heads=4, hidden_dim=16, mlp_dim=24),
        "torchvision swin": partial(_torchvision, "SwinTransformer", 32, QKV, 6, patch_size=[4, 4], embed_dim=8, depths=[1, 1], num_heads=[2, 4], window_size=[4, 4]),
        "timm mobilenet v3": partial(_timm, "mobilenetv3_small_050"),
        "timm mobilevit": partial(_timm, "mobilevit_xxs", 128, QKV, 36),
        "torchvision lraspp": partial(_segmented, "lraspp_mobilenet_v3_large"),
    }
)  # fmt: skip
