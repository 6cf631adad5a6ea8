"""Convolutional nets: residuals, groups, gates, concatenations, shuffles, splits, norms of all kinds."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.contract.case import CLASSES, Case, Made, N, classes, images, of_images


def conv(n_in: int, n_out: int, size: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, size, padding=size // 2, **options)


def pooled(m: nn.Module, x: Tensor) -> Tensor:
    return m.fc(x.mean((2, 3)))


def plain_conv() -> Case:
    return of_images(nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), conv(8, 6), nn.ReLU(),
                                   nn.Flatten(), nn.Linear(96, CLASSES)))  # fmt: skip


class Basic(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.c1, self.b1, self.c2, self.b2 = conv(n_in, n_out, bias=False), nn.BatchNorm2d(n_out), \
            conv(n_out, n_out, bias=False), nn.BatchNorm2d(n_out)  # fmt: skip
        self.skip = nn.Identity() if n_in == n_out else nn.Sequential(conv(n_in, n_out, 1), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.b2(self.c2(F.relu(self.b1(self.c1(x))))))


def residual() -> Case:
    return of_images(Made(lambda m, x: pooled(m, m.layers(m.stem(x))), stem=conv(3, 6),
                          layers=nn.Sequential(Basic(6, 6), Basic(6, 8)), fc=nn.Linear(8, CLASSES)))  # fmt: skip


class PreAct(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.b1, self.c1, self.b2, self.c2 = nn.BatchNorm2d(n), conv(n, n + 2), nn.BatchNorm2d(n + 2), conv(n + 2, n)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.c2(F.relu(self.b2(self.c1(F.relu(self.b1(x))))))


def pre_activation() -> Case:
    return of_images(Made(lambda m, x: pooled(m, F.relu(m.bn(m.layers(m.stem(x))))), stem=conv(3, 6),
                          bn=nn.BatchNorm2d(6), layers=nn.Sequential(PreAct(6), PreAct(6)),
                          fc=nn.Linear(6, CLASSES)))  # fmt: skip


class Neck(nn.Module):
    def __init__(self, n: int, inner: int, groups: int = 1) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = conv(n, inner, 1), conv(inner, inner, groups=groups), conv(inner, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.c3(F.relu(self.c2(F.relu(self.c1(x))))))


def bottleneck() -> Case:
    return of_images(Made(lambda m, x: pooled(m, m.layers(m.stem(x))), stem=conv(3, 8),
                          layers=nn.Sequential(Neck(8, 4), Neck(8, 4)), fc=nn.Linear(8, CLASSES)))  # fmt: skip


def resnext() -> Case:
    return of_images(Made(lambda m, x: pooled(m, m.layers(m.stem(x))), stem=conv(3, 8),
                          layers=nn.Sequential(Neck(8, 8, 4), Neck(8, 8, 2)), fc=nn.Linear(8, CLASSES)))  # fmt: skip


def depthwise() -> Case:
    return of_images(Made(lambda m, x: pooled(m, F.relu(m.point(F.relu(m.deep(m.stem(x)))))), stem=conv(3, 8),
                          deep=conv(8, 8, groups=8), point=conv(8, 10, 1), fc=nn.Linear(10, CLASSES)))  # fmt: skip


def depthwise_multiplied() -> Case:
    return of_images(Made(lambda m, x: pooled(m, F.relu(m.point(F.relu(m.deep(m.stem(x)))))), stem=conv(3, 4),
                          deep=conv(4, 8, groups=4), point=conv(8, 10, 1), fc=nn.Linear(10, CLASSES)))  # fmt: skip


def inverted_residual_with_squeeze() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        h = F.hardswish(m.deep(F.hardswish(m.expand(x))))
        gate = F.hardsigmoid(m.up(F.relu(m.down(h.mean((2, 3), keepdim=True)))))
        return pooled(m, x + m.project(h * gate))

    return of_images(Made(run, stem=conv(3, 6), expand=conv(6, 12, 1), deep=conv(12, 12, groups=12),
                          down=conv(12, 4, 1), up=conv(4, 12, 1), project=conv(12, 6, 1),
                          fc=nn.Linear(6, CLASSES)))  # fmt: skip


def dense_concatenation() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        found = [m.stem(x)]
        for layer in m.layers:
            found.append(layer(torch.cat(found, 1)))
        return pooled(m, torch.cat(found, 1))

    layers = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(n), nn.ReLU(), conv(n, 4)) for n in (6, 10))
    return of_images(Made(run, stem=conv(3, 6), layers=layers, fc=nn.Linear(14, CLASSES)))


def inception() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        return pooled(m, torch.cat([F.relu(m.a(x)), F.relu(m.b(x)), m.c(F.avg_pool2d(x, 3, 1, 1))], 1))

    return of_images(Made(run, stem=conv(3, 6), a=conv(6, 4, 1), b=conv(6, 5), c=conv(6, 3, 1), fc=nn.Linear(12, 4)))


def u_net() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        a = F.relu(m.down1(x))
        b = F.relu(m.down2(F.max_pool2d(a, 2)))
        return m.out(F.relu(m.merge(torch.cat([a, m.up(b)], 1))))

    model = Made(run, down1=conv(3, 6), down2=conv(6, 8), up=nn.ConvTranspose2d(8, 5, 2, stride=2), merge=conv(11, 6),
                 out=nn.Conv2d(6, CLASSES, 1))  # fmt: skip
    labels = torch.randint(CLASSES, (N, 8, 8))
    labels[:, 0] = -100
    return Case(model, (images(),), "pixel accuracy", labels)


def c2f() -> Case:
    """As in YOLOv8: halves of a convolution, one of which goes on, all of which are joined."""

    def run(m: nn.Module, x: Tensor) -> Tensor:
        y = list(m.cv1(x).chunk(2, 1))
        for layer in m.layers:
            y.append(F.silu(layer(y[-1])))
        return pooled(m, F.silu(m.cv2(torch.cat(y, 1))))

    return of_images(Made(run, cv1=conv(3, 8, 1), layers=nn.ModuleList(conv(4, 4) for _ in range(2)),
                          cv2=conv(16, 6, 1), fc=nn.Linear(6, CLASSES)))  # fmt: skip


def split_unevenly() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        a, b = m.stem(x).split([3, 5], 1)
        return pooled(m, torch.cat([F.relu(m.left(a)), F.relu(m.right(b))], 1))

    return of_images(Made(run, stem=conv(3, 8), left=conv(3, 4), right=conv(5, 6), fc=nn.Linear(10, CLASSES)))


def unbound() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        a, b = m.stem(x).unflatten(1, (2, 4)).unbind(1)
        return pooled(m, F.relu(m.left(a)) * torch.sigmoid(m.right(b)))

    return of_images(Made(run, stem=conv(3, 8), left=conv(4, 6), right=conv(4, 6), fc=nn.Linear(6, CLASSES)))


def pixel_shuffle() -> Case:
    return of_images(Made(lambda m, x: pooled(m, F.relu(m.after(F.pixel_shuffle(m.stem(x), 2)))), stem=conv(3, 12),
                          after=conv(3, 6), fc=nn.Linear(6, CLASSES)))  # fmt: skip


def pixel_unshuffle() -> Case:
    return of_images(Made(lambda m, x: pooled(m, F.relu(m.after(F.pixel_unshuffle(F.relu(m.stem(x)), 2)))),
                          stem=conv(3, 4), after=conv(16, 6), fc=nn.Linear(6, CLASSES)))  # fmt: skip


def channel_shuffle() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = F.relu(m.first(m.stem(x)))
        h = h.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)
        return pooled(m, F.relu(m.second(h)))

    return of_images(Made(run, stem=conv(3, 8), first=conv(8, 8, groups=2), second=conv(8, 6, groups=2),
                          fc=nn.Linear(6, CLASSES)))  # fmt: skip


def zero_padded_shortcut() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(m.stem(x))
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return pooled(m, F.relu(short + m.c2(F.relu(m.c1(x)))))

    return of_images(Made(run, stem=conv(3, 4), c1=conv(4, 6), c2=nn.Conv2d(6, 8, 3, 2, 1), fc=nn.Linear(8, CLASSES)))


def _with_norm(norm: nn.Module) -> Case:
    return of_images(Made(lambda m, x: pooled(m, F.relu(m.c2(F.relu(m.norm(m.c1(x)))))), c1=conv(3, 8), norm=norm,
                          c2=conv(8, 6), fc=nn.Linear(6, CLASSES)))  # fmt: skip


def group_norm() -> Case:
    return _with_norm(nn.GroupNorm(2, 8))


def group_norm_of_one_each() -> Case:
    return _with_norm(nn.GroupNorm(8, 8))


def instance_norm() -> Case:
    return _with_norm(nn.InstanceNorm2d(8))


def instance_norm_affine() -> Case:
    return _with_norm(nn.InstanceNorm2d(8, affine=True, track_running_stats=True))


def local_response_norm() -> Case:
    return _with_norm(nn.LocalResponseNorm(3, alpha=0.5))


class FrozenBatchNorm(nn.Module):
    """As in detection backbones: a batch norm of buffers."""

    def __init__(self, n: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(n) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        return x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]


def frozen_batch_norm() -> Case:
    return _with_norm(FrozenBatchNorm(8))


class LayerScale(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(n, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


def layer_scale() -> Case:
    return _with_norm(LayerScale(8))


class ConvNextBlock(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.deep, self.norm = conv(n, n, 5, groups=n), nn.LayerNorm(n)
        self.up, self.down, self.gamma = nn.Linear(n, 3 * n), nn.Linear(3 * n, n), nn.Parameter(torch.rand(n) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.deep(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.down(F.gelu(self.up(h)))).permute(0, 3, 1, 2)


def convnext() -> Case:
    return of_images(Made(lambda m, x: pooled(m, m.layers(m.stem(x))), stem=nn.Conv2d(3, 6, 2, 2),
                          layers=nn.Sequential(ConvNextBlock(6), ConvNextBlock(6)),
                          fc=nn.Linear(6, CLASSES)))  # fmt: skip


class MixerBlock(nn.Module):
    def __init__(self, length: int, n: int) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.t1, self.t2, self.c1, self.c2 = (
            nn.Linear(length, 10),
            nn.Linear(10, length),
            nn.Linear(n, 12),
            nn.Linear(12, n),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.t2(F.gelu(self.t1(self.n1(x).transpose(1, 2)))).transpose(1, 2)
        return x + self.c2(F.gelu(self.c1(self.n2(x))))


def mlp_mixer() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        return m.fc(m.blocks(m.patch(x).flatten(2).transpose(1, 2)).mean(1))

    return of_images(Made(run, patch=nn.Conv2d(3, 8, 4, 4), blocks=nn.Sequential(MixerBlock(4, 8), MixerBlock(4, 8)),
                          fc=nn.Linear(8, CLASSES)))  # fmt: skip


def conv_1d() -> Case:
    model = nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 6, 3, dilation=2), nn.ReLU(),
                          nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, CLASSES))  # fmt: skip
    return Case(model, (torch.randn(N, 3, 12),), "cross entropy", classes())


def conv_3d() -> Case:
    model = nn.Sequential(nn.Conv3d(2, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.Conv3d(6, 4, 2),
                          nn.AdaptiveMaxPool3d(2), nn.Flatten(), nn.Linear(32, CLASSES))  # fmt: skip
    return Case(model, (torch.randn(N, 2, 4, 4, 4),), "cross entropy", classes())


def transposed_conv() -> Case:
    return of_images(nn.Sequential(conv(3, 6), nn.ReLU(), nn.ConvTranspose2d(6, 8, 2, stride=2), nn.ReLU(), conv(8, 4),
                                   nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES)))  # fmt: skip


def transposed_conv_grouped() -> Case:
    return of_images(nn.Sequential(conv(3, 6), nn.ReLU(), nn.ConvTranspose2d(6, 8, 2, stride=2, groups=2), nn.ReLU(),
                                   conv(8, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                   nn.Linear(4, CLASSES)))  # fmt: skip


def fixed_view() -> Case:
    return of_images(
        Made(lambda m, x: m.fc(F.relu(m.c(x)).reshape(-1, 6 * 64)), c=conv(3, 6), fc=nn.Linear(384, CLASSES))
    )


def channels_last_of_a_linear() -> Case:
    return of_images(Made(lambda m, x: m.fc(F.relu(m.c(x)).permute(0, 2, 3, 1).flatten(1)), c=conv(3, 6),
                          fc=nn.Linear(384, CLASSES)))  # fmt: skip


def convolution_weight_standardised() -> Case:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, w, self.bias, padding=1)

    return of_images(Made(lambda m, x: pooled(m, F.relu(m.c2(F.relu(m.c1(x))))), c1=Standardised(3, 8, 3),
                          c2=Standardised(8, 6, 3), fc=nn.Linear(6, CLASSES)))  # fmt: skip


def coordinates_beside_scores() -> Case:
    """A detector's kind: pixels of several hundred in front of small scores, in one output."""

    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = F.relu(m.c(x)).mean((2, 3))
        h = h - h.mean(1, keepdim=True)
        return torch.cat([m.score(h), 640 * torch.sigmoid(m.box(h)) + 1e5], 1)

    model = Made(run, c=conv(3, 10), score=nn.Linear(10, CLASSES), box=nn.Linear(10, 4))
    return Case(model, (images(),), "cosine")
