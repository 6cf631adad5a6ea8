"""Tiny configurations of `transformers`, of random weights: nothing is fetched."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tests.contract.case import CLASSES, Case, N, classes, tokens

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
}


@contextmanager
def attention_outputs_zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
    """Zero a head in what transformers' attention function gives, (n, length, heads, size)."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    mine = {id(module) for module in model.get_submodule(path).modules()}
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]

    reached = []

    def zeroed(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        out, weights = before(module, *args, **kwargs)
        if id(module) in mine:
            out = out.clone()
            out[:, :, head] = 0
            reached.append(path)
        return out, weights

    ALL_ATTENTION_FUNCTIONS.register("sdpa", zeroed)
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS.register("sdpa", before)
    assert reached, f"{path} computes no attention by this function: the hand reached nothing"


@contextmanager
def t5_values_zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
    """Zero what makes a head's values."""
    values = model.get_submodule(path).v.weight
    kept = values.detach().clone()
    with torch.no_grad():
        values.view(4, -1, values.shape[1])[head] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            values.copy_(kept)


class Logits(nn.Module):
    """Ids in, logits out."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor) -> Tensor:
        return self.inner(input_ids=ids).logits


def _language(model: nn.Module, n_heads: int = 4, wrapped: bool = True) -> Case:
    ids = tokens().clamp(min=1)
    labels = ids.roll(-1, 1)
    labels[:, -1] = -100
    case = Case(Logits(model), (ids,), "perplexity", labels, attention_outputs_zeroed, n_heads)
    if wrapped:
        return case
    return Case(model, (ids,), "perplexity", labels, attention_outputs_zeroed, n_heads, lambda out: out.logits)


def _classifier(model: nn.Module, n_heads: int = 4) -> Case:
    return Case(Logits(model), (tokens().clamp(min=1),), "cross entropy", classes(), attention_outputs_zeroed, n_heads)


def bert() -> Case:
    from transformers import BertConfig, BertForSequenceClassification

    return _classifier(BertForSequenceClassification(BertConfig(**SIZES, num_labels=CLASSES)))


def bert_by_itself() -> Case:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SIZES, num_labels=CLASSES))
    case = _classifier(model)
    return Case(model, case.inputs, case.judge, case.labels, attention_outputs_zeroed, 4, lambda out: out.logits)


def bert_tokens() -> Case:
    from transformers import BertConfig, BertForTokenClassification

    model = Logits(BertForTokenClassification(BertConfig(**SIZES, num_labels=CLASSES)))
    return Case(model, (tokens().clamp(min=1),), "token accuracy", torch.randint(CLASSES, (N, 6)),
                attention_outputs_zeroed, 4)  # fmt: skip


def distilbert() -> Case:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=4, hidden_dim=24, num_labels=CLASSES)
    return _classifier(DistilBertForSequenceClassification(config))


def roberta() -> Case:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    return _classifier(RobertaForSequenceClassification(RobertaConfig(**SIZES, num_labels=CLASSES)))


def gpt2() -> Case:
    from transformers import GPT2Config, GPT2LMHeadModel

    return _language(GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=4, n_positions=16)))


def gpt_neox() -> Case:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return _language(GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES)))


def opt() -> Case:
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, ffn_dim=24,
                       max_position_embeddings=16, word_embed_proj_dim=16)  # fmt: skip
    return _language(OPTForCausalLM(config))


def llama() -> Case:
    from transformers import LlamaConfig, LlamaForCausalLM

    return _language(LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2)))


def llama_by_itself() -> Case:
    from transformers import LlamaConfig, LlamaForCausalLM

    return _language(LlamaForCausalLM(LlamaConfig(**SIZES, num_key_value_heads=2)), wrapped=False)


def llama_tied() -> Case:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**SIZES, num_key_value_heads=1, use_cache=False, tie_word_embeddings=True)
    return _language(LlamaForCausalLM(config))


def qwen2() -> Case:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return _language(Qwen2ForCausalLM(Qwen2Config(**SIZES, num_key_value_heads=2, use_cache=False)))


def qwen3() -> Case:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return _language(Qwen3ForCausalLM(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=4, use_cache=False)))


def olmo2() -> Case:
    from transformers import Olmo2Config, Olmo2ForCausalLM

    return _language(Olmo2ForCausalLM(Olmo2Config(**SIZES, num_key_value_heads=4, use_cache=False)))


def gemma3() -> Case:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    return _language(Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, num_key_value_heads=2, head_dim=4, use_cache=False)))


def phi3() -> Case:
    from transformers import Phi3Config, Phi3ForCausalLM

    return _language(Phi3ForCausalLM(Phi3Config(**SIZES, num_key_value_heads=2, use_cache=False)))


def mixtral() -> Case:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(**SIZES, num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=1, use_cache=False)
    return _language(MixtralForCausalLM(config))


class Seq2Seq(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor, answer: Tensor) -> Tensor:
        return self.inner(input_ids=ids, decoder_input_ids=answer, use_cache=False).logits


def t5() -> Case:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=4, decoder_start_token_id=0)
    inputs = (tokens().clamp(min=1), tokens(5).clamp(min=1))
    model = Seq2Seq(T5ForConditionalGeneration(config))
    return Case(model, inputs, "perplexity", inputs[1].roll(-1, 1), t5_values_zeroed, 12)


class Pixels(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Tensor) -> Tensor:
        return self.inner(pixel_values=pixels).logits


def vit() -> Case:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=4, intermediate_size=24, image_size=8,
                       patch_size=4, num_labels=CLASSES)  # fmt: skip
    model = Pixels(ViTForImageClassification(config))
    return Case(model, (torch.randn(N, 3, 8, 8),), "cross entropy", classes(), attention_outputs_zeroed, 4)


def resnet() -> Case:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=6, hidden_sizes=[8, 12], depths=[1, 1], num_labels=CLASSES)
    return Case(Pixels(ResNetForImageClassification(config)), (torch.randn(N, 3, 16, 16),), "cross entropy", classes())


def mamba() -> Case:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, state_size=4, use_cache=False)
    case = _language(MambaForCausalLM(config))
    return Case(case.model, case.inputs, case.judge, case.labels)
