"""Tiny models of random weights, one for every way of keeping attention heads."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sample_models.transformer import Block

DIM, HEADS, LENGTH = 16, 4, 5


class Packed(nn.Module):
    """Self-attention with one layer for queries, keys and values, as timm's; `by_head`: as GPT-NeoX's."""

    def __init__(self, by_head: bool, bias: bool = True) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.by_head = HEADS, DIM // HEADS, by_head
        self.qkv = nn.Linear(DIM, 3 * DIM, bias)
        self.proj = nn.Linear(DIM, DIM, bias)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        if self.by_head:
            packed = self.qkv(x).view(n, length, self.num_heads, 3, self.head_dim).permute(3, 0, 2, 1, 4)
        else:
            packed = self.qkv(x).view(n, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        return x + self.proj(F.scaled_dot_product_attention(*packed).transpose(1, 2).flatten(2))


class Nano(nn.Module):
    """Causal self-attention as in nanoGPT: no size of a head is stored, and `n_embd` is the width of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.n_head, self.n_embd = HEADS, DIM
        self.c_attn, self.c_proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        parts = self.c_attn(x).split(self.n_embd, dim=2)
        q, k, v = (part.view(n, length, self.n_head, -1).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.c_proj(y.transpose(1, 2).reshape(n, length, self.n_embd))


class Torchs(nn.Module):
    """`nn.MultiheadAttention` with memory of another width, in a residual."""

    def __init__(self, batch_first: bool, **options: object) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(DIM, HEADS, batch_first=batch_first, **options)
        for name, parameter in self.attn.named_parameters():
            if "bias" in name:
                nn.init.normal_(parameter)
        self.memory = nn.Linear(DIM, self.attn.kdim)

    def forward(self, x: Tensor) -> Tensor:
        memory = self.memory(x) if self.attn.kdim != DIM else x
        if not self.attn.batch_first:
            x, memory = x.transpose(0, 1), memory.transpose(0, 1)
        y = x + self.attn(x, memory, memory)[0]
        return y if self.attn.batch_first else y.transpose(0, 1)


class Stack(nn.Module):
    """Blocks one after the other, and a classifier of the mean."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.fc = nn.Linear(DIM, 3)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean(1))


class Padded(nn.Module):
    """`nn.TransformerEncoder` whose last two positions of every second example are padding: nested inside."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(DIM, HEADS, 24, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x: Tensor) -> Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[1::2, -2:] = True
        return self.encoder(x, src_key_padding_mask=padding)


class First(nn.Module):
    """A model of Hugging Face, of which the first output counts."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor) -> Tensor:
        return self.inner(ids)[0]


SIZES = {
    "vocab_size": 50,
    "hidden_size": DIM,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
}


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    return First(BertModel(BertConfig(**SIZES)))


def llama(n_heads: int = HEADS, n_kv: int = 2) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {**SIZES, "num_attention_heads": n_heads}
    return First(LlamaForCausalLM(LlamaConfig(**sizes, num_key_value_heads=n_kv, head_dim=4, use_cache=False)))


def qwen() -> nn.Module:
    from transformers import Qwen2Config, Qwen2Model

    return First(Qwen2Model(Qwen2Config(**SIZES, num_key_value_heads=2, use_cache=False)))


def mistral() -> nn.Module:
    from transformers import MistralConfig, MistralModel

    return First(MistralModel(MistralConfig(**SIZES, num_key_value_heads=2, use_cache=False)))


def gpt_neox() -> nn.Module:
    from transformers import GPTNeoXConfig, GPTNeoXModel

    return First(GPTNeoXModel(GPTNeoXConfig(**SIZES, use_cache=False)))


def distilbert() -> nn.Module:
    from transformers import DistilBertConfig, DistilBertModel

    return First(DistilBertModel(DistilBertConfig(vocab_size=50, dim=DIM, n_layers=2, n_heads=HEADS, hidden_dim=24)))


ATTENTIONS: dict[str, Callable[[], nn.Module]] = {
    "separate": lambda: Stack(Block(DIM, HEADS, 24, False), Block(DIM, HEADS, 24, True)),
    "packed by kind": lambda: Stack(Packed(False), Packed(False, bias=False)),
    "packed by head": lambda: Stack(Packed(True), Packed(True)),
    "nanoGPT": lambda: Stack(Nano(), Nano()),
    "torch": lambda: Stack(Torchs(True), Torchs(False)),
    "torch, other memory": lambda: Stack(Torchs(True, kdim=6, vdim=6, bias=False), Torchs(False, kdim=6, vdim=6)),
    "torch, longer keys": lambda: Stack(Torchs(True, add_bias_kv=True), Torchs(False, add_zero_attn=True)),
    "encoder layers": lambda: Stack(
        nn.TransformerEncoderLayer(DIM, HEADS, 24, batch_first=True),
        nn.TransformerEncoderLayer(DIM, HEADS, 24, batch_first=True, norm_first=True, activation="gelu"),
    ),
    "padded encoder": Padded,
    "bert": bert,
    "llama": llama,
    "qwen": qwen,
    "mistral": mistral,
    "gpt-neox": gpt_neox,
    "distilbert": distilbert,
}
HUGGING_FACE = ("bert", "llama", "qwen", "mistral", "gpt-neox", "distilbert")


def made(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A model of `ATTENTIONS` in evaluation mode, and four examples."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ATTENTIONS[name]().eval()
        for parameter in model.parameters():  # no head is next to nothing, no bias is zero
            if parameter.ndim > 1 or not parameter.any():
                torch.nn.init.normal_(parameter, std=0.3)
        if name in HUGGING_FACE:
            return model, (torch.randint(50, (4, LENGTH)),)
        return model, (torch.randn(4, LENGTH, DIM),)
