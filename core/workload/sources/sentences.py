"""An encoder of texts with what makes an embedding of its tokens, as sentence-transformers saves it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Sentences(nn.Module):
    """Embeddings of texts: tokens (n, length) in, (n, features) out.

    Attributes:
        encoder: gives a vector of each token, (n, length, features), as `last_hidden_state` or first of its outputs.
        after: what follows pooling, `nn.Linear` with an activation say.
        names: of the inputs, as the encoder calls them; the mask among them tells padding from text.
        pooling: `"mean"`, `"cls"` (the first token), `"max"`, or `"last"` token of each text.
        normalized: whether embeddings have length 1.
    """

    def __init__(
        self, encoder: nn.Module, after: nn.Sequential, names: Sequence[str], pooling: str, normalized: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.after = after
        self.names = tuple(names)
        self.pooling = pooling
        self.normalized = normalized

    def forward(self, *inputs: Tensor) -> Tensor:
        """(n, length) of each input; returns (n, features)."""
        named = dict(zip(self.names, inputs, strict=True))
        tokens = self.encoder(**named)[0]
        mask = named["attention_mask"].unsqueeze(-1).to(tokens.dtype)
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

    def forward(self, *inputs: Tensor) -> Tensor:
        """(n, 2, length) of each input; returns (n,)."""
        found = super().forward(*(x.flatten(0, 1) for x in inputs))
        pairs = F.normalize(found, dim=-1).view(-1, 2, found.shape[-1])
        return (pairs[:, 0] * pairs[:, 1]).sum(-1)
