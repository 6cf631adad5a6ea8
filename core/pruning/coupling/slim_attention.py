"""`nn.MultiheadAttention` for fewer heads than its embedding divides into."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SlimAttention(nn.Module):
    """What `nn.MultiheadAttention` calculates, with a projection of its own for queries, keys and values.

    Torch's module wants `num_heads * head_dim` to be `embed_dim`; here it may be less, so heads can be taken out. It is
    called like torch's, returns the same, and stands in for it in torch's transformer layers: the attributes that these
    look at say that the fused path is not for it. Nested tensors, which `nn.TransformerEncoder` makes of padded
    input, are understood in self-attention.

    Attributes:
        num_heads, head_dim: their product is the width of the projections.
        kept_heads: of the original module, by position; a mask for each original head is cut down to them.
    """

    _qkv_same_embed_dim = False  # keeps torch.nn.TransformerEncoderLayer off the fused path

    def __init__(self, torchs: nn.Module) -> None:
        """Take over the weights (copied), sizes and settings of torch's module, with all its heads."""
        super().__init__()
        assert isinstance(torchs, nn.MultiheadAttention)
        self.embed_dim, self.kdim, self.vdim = torchs.embed_dim, torchs.kdim, torchs.vdim
        self.num_heads, self.head_dim = torchs.num_heads, torchs.head_dim
        self.dropout, self.batch_first, self.add_zero_attn = torchs.dropout, torchs.batch_first, torchs.add_zero_attn
        self.n_original, self.kept_heads = torchs.num_heads, tuple(range(torchs.num_heads))
        packed: Any = torchs.in_proj_weight
        apart: Any = (torchs.q_proj_weight, torchs.k_proj_weight, torchs.v_proj_weight)
        weights = apart if packed is None else packed.chunk(3)
        needs = (apart[0] if packed is None else packed).requires_grad
        biases: Any = (None,) * 3 if torchs.in_proj_bias is None else torchs.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = (_linear(w, b, needs) for w, b in zip(weights, biases, strict=True))
        out = torchs.out_proj
        self.out_proj = _linear(out.weight, out.bias, out.weight.requires_grad)
        self.bias_k, self.bias_v = _parameter(torchs.bias_k), _parameter(torchs.bias_v)

    @property
    def in_proj_weight(self) -> Tensor:
        """A tensor for `nn.TransformerEncoder`, which asks where it lies and whether it is trained."""
        return self.q_proj.weight

    @property
    def in_proj_bias(self) -> Tensor | None:
        """As `in_proj_weight`."""
        return self.q_proj.bias

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`; `is_causal` is a hint there, and here the mask alone decides.

        Args:
            query, key, value: (n, length, width) with `batch_first`, else (length, n, width); or (length, width).
            key_padding_mask: (n, keys) or (keys,), bool with True = ignored, or added to the scores.
            need_weights: return also the attention weights.
            attn_mask: (queries, keys) or (n * heads, queries, keys), heads as they are or as they were.
            average_attn_weights: return the mean of the heads that are left.

        Returns:
            Output, shaped like `query`, and weights (n, queries, keys), (n, heads, queries, keys) or `None`; without
            `n` if the input had none.

        Raises:
            RuntimeError: `is_causal` without a mask, which torch's module refuses too.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        if query.is_nested:
            return self._nested(query, key, value, need_weights, average_attn_weights)
        batched = query.dim() == 3
        if not batched:
            query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        q = self._heads(self.q_proj(query))
        k = self._heads(self._longer(self.k_proj(key), self.bias_k))
        v = self._heads(self._longer(self.v_proj(value), self.bias_v))
        mask = self._mask(attn_mask, key_padding_mask, q, k.shape[2])
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * self.head_dim**-0.5) @ k.transpose(2, 3)
            weights = F.dropout((scores if mask is None else scores + mask).softmax(-1), dropout)
            mixed = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        output = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if not batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    def _heads(self, projected: Tensor) -> Tensor:
        """(n, length, heads * size) to (n, heads, length, size)."""
        return projected.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _longer(self, projected: Tensor, bias: Tensor | None) -> Tensor:
        """With the keys or values that torch's module appends if told to: a learned one, one of zeros."""
        if bias is not None:
            projected = torch.cat([projected, bias.to(projected.dtype).expand(len(projected), 1, -1)], 1)
        return F.pad(projected, (0, 0, 0, 1)) if self.add_zero_attn else projected

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, n_keys: int) -> Tensor | None:
        """Both masks as one that is added to scores (n, heads, queries, keys)."""
        merged = None
        if attn_mask is not None:
            merged = _added(attn_mask, q.dtype)
            if merged.dim() == 3:
                merged = merged.unflatten(0, (len(q), -1))
                if merged.shape[1] == self.n_original:
                    merged = merged[:, list(self.kept_heads)]
        if padding is not None:
            columns = _added(padding, q.dtype)[:, None, None, :]
            merged = columns if merged is None else merged + columns
        if merged is None:
            return None
        return F.pad(merged, (0, n_keys - merged.shape[-1]))

    def _nested(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool, average: bool
    ) -> tuple[Tensor, Tensor | None]:
        if query is not key or key is not value:
            raise ValueError("nested tensors are understood in self-attention only; pad them")
        lengths = query._nested_tensor_size()[:, 0].to(query.device)
        padded = query.to_padded_tensor(0.0)
        padding = torch.arange(padded.shape[1], device=padded.device) >= lengths[:, None]
        output, weights = self(padded, padded, padded, padding, need_weights, None, average)
        return torch._nested_tensor_from_mask(output, ~padding, mask_check=False), weights


def _linear(weight: Tensor, bias: Tensor | None, requires_grad: bool) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad)
    return layer


def _parameter(tensor: Tensor | None) -> nn.Parameter | None:
    return None if tensor is None else nn.Parameter(tensor.detach().clone(), tensor.requires_grad)


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))
