"""An encoder of texts with what makes an embedding of its tokens, as sentence-transformers saves it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # of encoders; the last where there is one


class Sentences(nn.Module):
    """Embeddings of texts: tokens (n, length) in, (n, features) out.

    Attributes:
        encoder: gives a vector of each token, (n, length, features), as first of its outputs.
        after: what follows pooling, `nn.Linear` with an activation say.
        pooling: `"mean"`, `"cls"` (the first token), `"max"`, or `"last"` token of each text.
        normalized: whether embeddings have length 1.
    """

    def __init__(self, encoder: nn.Module, after: nn.Sequential, pooling: str, normalized: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.after = after
        self.pooling = pooling
        self.normalized = normalized

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(n, length) each; returns (n, features)."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types)[0]
        mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
        if self.pooling == "cls":
            pooled = tokens[:, 0]
        elif self.pooling == "max":
            pooled = tokens.masked_fill(mask == 0, torch.finfo(tokens.dtype).min).amax(1)
        elif self.pooling == "last":
            last = (mask.cumsum(1) * mask).argmax(1, keepdim=True)
            pooled = tokens.gather(1, last.expand(-1, 1, tokens.shape[-1])).squeeze(1)
        else:
            pooled = (tokens * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        found = self.after(pooled)
        return F.normalize(found, dim=-1) if self.normalized else found


class SentencePairs(Sentences):
    """Similarities of pairs of texts: tokens (n, 2, length) in, cosines (n,) out."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(n, 2, length) each; returns (n,)."""
        types = None if token_type_ids is None else token_type_ids.flatten(0, 1)
        found = super().forward(input_ids.flatten(0, 1), attention_mask.flatten(0, 1), types)
        pairs = F.normalize(found, dim=-1).unflatten(0, (-1, 2))
        return (pairs[:, 0] * pairs[:, 1]).sum(-1)
