"""tiny-gpt: a causal character model of 4 layers x 4 heads on Shakespeare's plays.

Radford et al. 2019 (GPT-2): learned positions, pre-norm blocks, output tied to the token embedding.
"""

import torch
from torch import Tensor, nn

from core import Examples, Workload, perplexity
from sample_models.shakespeare import passages
from sample_models.transformer import Block
from sample_models.weights import with_weights

CONTEXT = 64  # characters


class TinyGPT(nn.Module):
    """Character codes (n, length <= 64) -> logits of the next character (n, length, 96)."""

    def __init__(self, dim: int = 96, depth: int = 4, num_heads: int = 4, n_symbols: int = 96) -> None:
        super().__init__()
        self.tokens = nn.Embedding(n_symbols, dim)
        self.positions = nn.Embedding(CONTEXT, dim)
        self.blocks = nn.Sequential(*(Block(dim, num_heads, 4 * dim, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.lm_head = nn.Linear(dim, n_symbols, bias=False)
        self.lm_head.weight = self.tokens.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the token embedding, which is the output layer as well, as before training."""
        nn.init.normal_(self.tokens.weight, std=0.05)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.tokens(codes) + self.positions(torch.arange(codes.shape[1], device=codes.device))
        return self.lm_head(self.norm(self.blocks(x)))


def workload() -> Workload:
    """The trained tiny-gpt: judged on Twelfth Night, which it has not read, by perplexity per character."""
    evaluation, calibration, training = (
        Examples(*passages(split, CONTEXT)) for split in ("evaluation", "calibration", "train")
    )
    return Workload(
        name="tiny-gpt",
        model=with_weights(TinyGPT(), "tiny-gpt"),
        evaluation=evaluation,
        metric=perplexity(),
        calibration=calibration,
        training=training,
        sweep_examples=400,
        batch_size=100,
    )
