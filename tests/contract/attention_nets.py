"""Attentions: torch's, our own in every order, with tables, masks and shared keys."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.contract.case import CLASSES, Case, Made, Made2, N, classes, of_images, of_language, of_sequences

DIM, HEADS, SIZE = 16, 4, 4


@contextmanager
def tap_zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
    """Zero a head where our own attentions hold their outputs one by one, (n, heads, length, size): their `tap`."""
    attention = model.get_submodule(path) if path else model

    def zero(_module: nn.Module, _args: Any, out: Tensor) -> Tensor:
        out = out.clone()
        out[:, head] = 0
        return out

    handle = attention.tap.register_forward_hook(zero)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def value_rows_zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
    """Zero the rows that make a head's values in `nn.MultiheadAttention`: attention over zeros gives zeros."""
    attention = model.get_submodule(path) if path else model
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)
    at = 2 * attention.embed_dim
    joint = slice(at + head * size, at + (head + 1) * size)
    changed = (
        [(attention.v_proj_weight, rows)] if attention.in_proj_weight is None else [(attention.in_proj_weight, joint)]
    )
    if attention.in_proj_bias is not None:
        changed.append((attention.in_proj_bias, joint))
    kept = [tensor.detach()[where].clone() for tensor, where in changed]
    with torch.no_grad():
        for tensor, where in changed:
            tensor[where] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            for (tensor, where), old in zip(changed, kept, strict=True):
                tensor[where] = old


class Own(nn.Module):
    """Self-attention with separate projections; what is special is in the arguments.

    Args:
        joined: `"heads, size"`: each head's outputs side by side, as nearly everybody does; or `"size, heads"`.
        n_kv: key/value heads.
        bias: `(heads, length)` → added to the attention logits; or `None`.
        causal: a mask held as a buffer of fixed size, filled with the smallest number.
        names: of the four projections.
        rotary: turn queries and keys by their place.
    """

    def __init__(
        self,
        joined: str = "heads, size",
        n_kv: int = HEADS,
        bias: str | None = None,
        causal: bool = False,
        names: tuple[str, str, str, str] = ("q_proj", "k_proj", "v_proj", "out_proj"),
        rotary: bool = False,
        normed: str | None = None,
    ) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.num_kv_heads = HEADS, SIZE, n_kv
        self.joined, self.names, self.rotary, self.normed = joined, names, rotary, normed
        for name, width in zip(names, (HEADS, n_kv, n_kv), strict=False):
            setattr(self, name, nn.Linear(DIM, width * SIZE))
        setattr(self, names[3], nn.Linear(HEADS * SIZE, DIM))
        self.tap = nn.Identity()
        self.bias_kind = bias
        if bias == "alibi":
            self.register_buffer("slopes", torch.tensor([2.0 ** -(i + 1) for i in range(HEADS)]))
        elif bias == "table":
            self.table = nn.Parameter(torch.randn(HEADS, 11))
        if causal:
            self.register_buffer("mask", torch.ones(16, 16).tril().bool())
        self.causal = causal
        if normed == "each":
            self.qn, self.kn = nn.RMSNorm(SIZE), nn.RMSNorm(SIZE)
        elif normed == "all":
            self.qn, self.kn = nn.RMSNorm(HEADS * SIZE), nn.RMSNorm(n_kv * SIZE)

    def _split(self, x: Tensor, n: int) -> Tensor:
        if self.joined == "size, heads":
            return x.unflatten(-1, (SIZE, n)).permute(0, 3, 1, 2)
        return x.unflatten(-1, (n, SIZE)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (getattr(self, name)(x) for name in self.names[:3])
        if self.normed == "all":
            q, k = self.qn(q), self.kn(k)
        q, k, v = self._split(q, self.num_heads), self._split(k, self.num_kv_heads), self._split(v, self.num_kv_heads)
        if self.normed == "each":
            q, k = self.qn(q), self.kn(k)
        length = x.shape[1]
        place = torch.arange(length, device=x.device)
        if self.rotary:
            q, k = _turned(q, place), _turned(k, place)
        k, v = (t.repeat_interleave(self.num_heads // self.num_kv_heads, 1) for t in (k, v))
        logits = q @ k.transpose(-1, -2) / math.sqrt(SIZE)
        apart = place[None, :] - place[:, None]
        if self.bias_kind == "alibi":
            logits = logits - self.slopes[:, None, None] * apart.abs()
        elif self.bias_kind == "table":
            logits = logits + self.table[:, apart + 5]
        if self.causal:
            logits = logits.masked_fill(~self.mask[:length, :length], torch.finfo(logits.dtype).min)
        y = self.tap(logits.softmax(-1) @ v)
        y = y.permute(0, 2, 3, 1) if self.joined == "size, heads" else y.transpose(1, 2)
        return x + getattr(self, self.names[3])(y.flatten(2))


def _turned(x: Tensor, place: Tensor) -> Tensor:
    angle = place[:, None] * torch.tensor([1.0, 0.1])
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Packed(nn.Module):
    """One layer for queries, keys and values: by kind as timm's, or by head as GPT-NeoX's."""

    def __init__(self, by_head: bool) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.by_head = HEADS, SIZE, by_head
        self.qkv, self.proj, self.tap = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.qkv(x)
        if self.by_head:
            q, k, v = h.unflatten(-1, (self.num_heads, 3 * self.head_dim)).transpose(1, 2).chunk(3, -1)
        else:
            q, k, v = h.unflatten(-1, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        return x + self.proj(self.tap(F.scaled_dot_product_attention(q, k, v)).transpose(1, 2).flatten(2))


class Cross(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.dim_head = HEADS, SIZE
        self.to_q, self.to_k, self.to_v = nn.Linear(DIM, DIM), nn.Linear(width, DIM), nn.Linear(width, DIM)
        self.to_out, self.tap = nn.Sequential(nn.Linear(DIM, DIM), nn.Dropout(0.1)), nn.Identity()

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.heads, self.dim_head)).transpose(1, 2)
                   for t in (self.to_q(x), self.to_k(memory), self.to_v(memory)))  # fmt: skip
        y = self.tap(F.scaled_dot_product_attention(q, k, v)).transpose(1, 2).flatten(2)
        return x + self.to_out(y)


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(DIM), nn.Linear(DIM, 24), nn.Linear(24, DIM)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


def _stack(make: Callable[[], nn.Module]) -> Case:
    model = Made(
        lambda m, x: m.fc(m.blocks(x).mean(1)), blocks=nn.Sequential(make(), Mlp()), fc=nn.Linear(DIM, CLASSES)
    )
    return of_sequences(model, zero_head=tap_zeroed, n_heads=HEADS)


def own_attention() -> Case:
    return _stack(Own)


def size_heads_order() -> Case:
    return _stack(lambda: Own("size, heads"))


def grouped_queries() -> Case:
    return _stack(lambda: Own(n_kv=2))


def multi_query() -> Case:
    return _stack(lambda: Own(n_kv=1))


def rotary() -> Case:
    return _stack(lambda: Own(rotary=True, n_kv=2))


def alibi() -> Case:
    return _stack(lambda: Own(bias="alibi"))


def relative_table() -> Case:
    return _stack(lambda: Own(bias="table"))


def causal_buffer() -> Case:
    return _stack(lambda: Own(causal=True))


def unknown_names() -> Case:
    return _stack(lambda: Own(names=("a", "b", "c", "d")))


def query_norm_per_head() -> Case:
    return _stack(lambda: Own(normed="each"))


def query_norm_over_all_heads() -> Case:
    return _stack(lambda: Own(normed="all"))


def packed_by_kind() -> Case:
    return _stack(lambda: Packed(False))


def packed_by_head() -> Case:
    return _stack(lambda: Packed(True))


class Linears(nn.Module):
    """Linear attention: no softmax, the heads' outputs are normalised together."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.head_dim = HEADS, SIZE
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(DIM, DIM) for _ in range(4))
        self.tap, self.norm = nn.Identity(), nn.LayerNorm(DIM)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
                   for layer in (self.q_proj, self.k_proj, self.v_proj))  # fmt: skip
        y = self.tap(F.elu(q).add(1) @ (F.elu(k).add(1).transpose(-1, -2) @ v))
        return x + self.out_proj(self.norm(y.transpose(1, 2).flatten(2)))


def norm_over_joined_heads() -> Case:
    return _stack(Linears)


class Talking(Own):
    """Heads are mixed before they are joined (talking heads): no head owns columns."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = nn.Linear(HEADS, HEADS)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._split(getattr(self, name)(x), HEADS) for name in self.names[:3])
        y = self.tap((q @ k.transpose(-1, -2) / 2).softmax(-1) @ v)
        y = self.talk(y.movedim(1, -1)).movedim(-1, 1)
        return x + self.out_proj(y.transpose(1, 2).flatten(2))


def talking_heads() -> Case:
    return _stack(Talking)


def cross_attention() -> Case:
    model = Made2(lambda m, x, y: m.fc(m.attn(x, y).mean(1)), attn=Cross(10), fc=nn.Linear(DIM, CLASSES))
    return Case(model, (torch.randn(N, 5, DIM), torch.randn(N, 7, 10)), "cross entropy", classes(), tap_zeroed, HEADS)


def _torchs(**options: Any) -> Case:
    attn = nn.MultiheadAttention(DIM, HEADS, batch_first=True, **options)
    model = Made(lambda m, x: m.fc((x + m.attn(x, x, x, need_weights=False)[0]).mean(1)), attn=attn,
                 fc=nn.Linear(DIM, CLASSES))  # fmt: skip
    return of_sequences(model, zero_head=value_rows_zeroed, n_heads=HEADS)


def torch_attention() -> Case:
    return _torchs()


def torch_attention_without_bias() -> Case:
    return _torchs(bias=False)


def torch_attention_zero_key() -> Case:
    return _torchs(add_zero_attn=True)


def torch_attention_other_memory() -> Case:
    attn = nn.MultiheadAttention(DIM, HEADS, batch_first=True, kdim=10, vdim=10)
    model = Made2(lambda m, x, y: m.fc((x + m.attn(x, y, y)[0]).mean(1)), attn=attn, fc=nn.Linear(DIM, CLASSES))
    return Case(
        model, (torch.randn(N, 5, DIM), torch.randn(N, 7, 10)), "cross entropy", classes(), value_rows_zeroed, 4
    )


def torch_attention_seconds_first() -> Case:
    attn = nn.MultiheadAttention(DIM, HEADS)
    model = Made(lambda m, x: m.fc(m.attn(h := m.inp(x).transpose(0, 1), h, h)[0].mean(0)), inp=nn.Linear(6, DIM),
                 attn=attn, fc=nn.Linear(DIM, CLASSES))  # fmt: skip
    return of_sequences(model, width=6, zero_head=value_rows_zeroed, n_heads=HEADS)


def _encoder(**options: Any) -> Case:
    layer = nn.TransformerEncoderLayer(DIM, HEADS, 24, batch_first=True, **options)
    model = Made(lambda m, x: m.fc(m.encoder(m.inp(x)).mean(1)), inp=nn.Linear(6, DIM),
                 encoder=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), fc=nn.Linear(DIM, 4))  # fmt: skip
    return of_sequences(model, width=6, zero_head=value_rows_zeroed, n_heads=2 * HEADS)


def encoder_post_norm() -> Case:
    return _encoder()


def encoder_pre_norm() -> Case:
    return _encoder(norm_first=True, activation="gelu")


def encoder_decoder() -> Case:
    model = Made2(lambda m, x, y: m.fc(m.t(m.inp(x), m.inp(y)).mean(1)), inp=nn.Linear(6, DIM),
                  t=nn.Transformer(DIM, 2, 1, 1, 24, batch_first=True), fc=nn.Linear(DIM, CLASSES))  # fmt: skip
    return Case(model, (torch.randn(N, 5, 6), torch.randn(N, 4, 6)), "cross entropy", classes(), value_rows_zeroed, 6)


def padded_encoder() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        padding = x[:, :, 0] > 1
        return m.fc(m.encoder(m.inp(x), src_key_padding_mask=padding).mean(1))

    layer = nn.TransformerEncoderLayer(DIM, HEADS, 24, batch_first=True, norm_first=True)
    model = Made(run, inp=nn.Linear(6, DIM), encoder=nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
                 fc=nn.Linear(DIM, 4))  # fmt: skip
    case = of_sequences(model, width=6, zero_head=value_rows_zeroed, n_heads=HEADS)
    case.inputs[0][:, 0, 0] = -1  # no example is padding alone
    return case


def own_vit() -> Case:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = m.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.cls.expand(len(x), -1, -1), x], 1) + m.place
        return m.fc(m.norm(m.blocks(x))[:, 0])

    model = Made(run, patch=nn.Conv2d(3, DIM, 4, 4), cls=nn.Parameter(torch.randn(1, 1, DIM)),
                 place=nn.Parameter(torch.randn(1, 5, DIM)), blocks=nn.Sequential(Packed(False), Mlp()),
                 norm=nn.LayerNorm(DIM), fc=nn.Linear(DIM, CLASSES))  # fmt: skip
    case = of_images(model)
    return Case(case.model, case.inputs, case.judge, case.labels, tap_zeroed, HEADS)


def own_language_model() -> Case:
    model = Made(lambda m, x: m.head(m.norm(m.blocks(m.emb(x)))), emb=nn.Embedding(40, DIM), norm=nn.RMSNorm(DIM),
                 blocks=nn.Sequential(Own(causal=True, n_kv=2, rotary=True), Mlp()),
                 head=nn.Linear(DIM, 40))  # fmt: skip
    return of_language(model, zero_head=tap_zeroed, n_heads=HEADS)


class Windows(nn.Module):
    """As Swin's: attention within windows of the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Packed(False)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        return self.inner(x.reshape(n * 2, length // 2, width)).reshape(n, length, width)


def windowed() -> Case:
    return _stack(Windows)


class SelfNamed(nn.Module):
    """One head."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(DIM, DIM) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x))


def single_head_without_projection() -> Case:
    model = Made(lambda m, x: m.fc(m.blocks(x).mean(1)), blocks=nn.Sequential(SelfNamed(), Mlp()), fc=nn.Linear(DIM, 4))
    return of_sequences(model)
