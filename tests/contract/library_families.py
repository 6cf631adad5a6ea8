# ruff: noqa: E501 - a table, a family a line
"""More families of `transformers`, a small configuration each, of random weights: a table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from tests.contract.case import CLASSES, Case, N, ZeroHead, classes, tokens
from tests.contract.library_nets import SIZES, attention_outputs_zeroed

GROUPED = {**SIZES, "num_key_value_heads": 2, "use_cache": False}
GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 1, "n_head": 4, "n_positions": 16, "use_cache": False}
VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24,
          "image_size": 8, "patch_size": 4, "num_labels": CLASSES}  # fmt: skip
SPEECH = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "conv_dim": [8],
          "intermediate_size": 24, "conv_stride": [4], "conv_kernel": [8], "num_conv_pos_embeddings": 4,
          "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8, "num_labels": CLASSES}  # fmt: skip
TRANSLATE = {"vocab_size": 40, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
             "decoder_attention_heads": 4, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "use_cache": False,
             "max_position_embeddings": 16}  # fmt: skip


class Given(nn.Module):
    """A model of which one output is taken."""

    def __init__(self, inner: nn.Module, ask: Callable[..., Tensor]) -> None:
        super().__init__()
        self.inner, self.ask = inner, ask

    def forward(self, x: Tensor) -> Tensor:
        return self.ask(self.inner, x)


class Given2(Given):
    """As `Given`, of two inputs."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.ask(self.inner, x, y)


def _logits(model: nn.Module, *inputs: Tensor) -> Tensor:
    return model(*inputs).logits


def _translated(model: nn.Module, ids: Tensor, answer: Tensor) -> Tensor:
    return model(input_ids=ids, decoder_input_ids=answer, use_cache=False).logits


def rows_zeroed(layer: str, rows: Callable[[int], Sequence[int]]) -> ZeroHead:
    """Zero what makes a head's values: attention over zeros gives zeros."""

    @contextmanager
    def zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
        made = model.get_submodule(path).get_submodule(layer)
        where = torch.tensor(list(rows(head)))
        kept = {name: tensor.detach().clone() for name, tensor in made.named_parameters(recurse=False)}
        with torch.no_grad():
            for name, tensor in made.named_parameters(recurse=False):
                tensor.index_fill_(1 if type(made).__name__ == "Conv1D" and name == "weight" else 0, where, 0)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in made.named_parameters(recurse=False):
                    tensor.copy_(kept[name])

    return zeroed


@contextmanager
def deberta_zeroed(model: nn.Module, path: str, head: int) -> Iterator[None]:
    """As `rows_zeroed`, of the rows and of the bias that is added to the values by itself."""
    core = model.get_submodule(path).get_submodule("self")
    kept = core.v_bias.detach().clone()
    with rows_zeroed("self.in_proj", _by_head())(model, path, head), torch.no_grad():
        core.v_bias[head * 4 : head * 4 + 4] = 0
        try:
            yield
        finally:
            core.v_bias.copy_(kept)


def _own(size: int = 4) -> Callable[[int], Sequence[int]]:
    return lambda head: range(head * size, (head + 1) * size)


def _by_head(size: int = 4) -> Callable[[int], Sequence[int]]:
    """(heads, 3, size): the last third of each head."""
    return lambda head: range(head * 3 * size + 2 * size, (head + 1) * 3 * size)


def _third(width: int = 16, size: int = 4) -> Callable[[int], Sequence[int]]:
    """(3, heads, size): in the last third."""
    return lambda head: range(2 * width + head * size, 2 * width + (head + 1) * size)


def _language(config: str, model: str, sizes: Mapping[str, Any], zero: ZeroHead | None, n_heads: int = 4) -> Case:
    ids = tokens().clamp(min=1)
    labels = ids.roll(-1, 1)
    labels[:, -1] = -100
    return Case(Given(_made(config, model, sizes), _logits), (ids,), "perplexity", labels, zero, n_heads)


def _texts(config: str, model: str, sizes: Mapping[str, Any], zero: ZeroHead | None, n_heads: int = 4) -> Case:
    made = Given(_made(config, model, {**sizes, "num_labels": CLASSES}), _logits)
    return Case(made, (tokens().clamp(min=3),), "cross entropy", classes(), zero, n_heads)


def _images(
    config: str, model: str, sizes: Mapping[str, Any], zero: ZeroHead | None, n_heads: int = 4, size: int = 8
) -> Case:
    made = Given(_made(config, model, sizes), _logits)
    return Case(made, (torch.randn(N, 3, size, size),), "cross entropy", classes(), zero, n_heads)


def _sounds(config: str, model: str, sizes: Mapping[str, Any], zero: ZeroHead | None, n_heads: int = 4) -> Case:
    made = Given(_made(config, model, sizes), _logits)
    return Case(made, (torch.randn(N, 100),), "cross entropy", classes(), zero, n_heads)


def _pairs(config: str, model: str, sizes: Mapping[str, Any], zero: ZeroHead | None, n_heads: int = 12) -> Case:
    inputs = (tokens().clamp(min=3), tokens(5).clamp(min=3))
    return Case(Given2(_made(config, model, sizes), _translated), inputs, "perplexity", inputs[1].roll(-1, 1), zero, n_heads)  # fmt: skip


def _made(config: str, model: str, sizes: Mapping[str, Any]) -> nn.Module:
    import transformers

    made: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**sizes))
    return made


USUAL = attention_outputs_zeroed
TABLE: Mapping[str, Callable[[], Case]] = MappingProxyType(
    {
        "bloom": partial(_language, "BloomConfig", "BloomForCausalLM", {"vocab_size": 40, "hidden_size": 16, "n_layer": 1, "n_head": 4, "use_cache": False}, rows_zeroed("query_key_value", _by_head())),
        "falcon": partial(_language, "FalconConfig", "FalconForCausalLM", {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "multi_query": False, "alibi": True, "use_cache": False}, rows_zeroed("query_key_value", _by_head())),
        "phi": partial(_language, "PhiConfig", "PhiForCausalLM", GROUPED, USUAL),
        "mpt": partial(_language, "MptConfig", "MptForCausalLM", {"vocab_size": 40, "d_model": 16, "n_layers": 1, "n_heads": 4, "use_cache": False}, rows_zeroed("Wqkv", _third())),
        "gpt j": partial(_language, "GPTJConfig", "GPTJForCausalLM", {**GPT2, "rotary_dim": 2}, rows_zeroed("v_proj", _own())),
        "gpt neo": partial(_language, "GPTNeoConfig", "GPTNeoForCausalLM", {"vocab_size": 40, "hidden_size": 16, "num_layers": 1, "num_heads": 4, "attention_types": [[["global"], 1]], "max_position_embeddings": 16, "use_cache": False}, rows_zeroed("v_proj", _own())),
        "gpt bigcode": partial(_language, "GPTBigCodeConfig", "GPTBigCodeForCausalLM", GPT2, USUAL),
        "openai gpt": partial(_language, "OpenAIGPTConfig", "OpenAIGPTLMHeadModel", {key: value for key, value in GPT2.items() if key != "use_cache"}, rows_zeroed("c_attn", _third())),
        "mistral": partial(_language, "MistralConfig", "MistralForCausalLM", GROUPED, USUAL),
        "gemma": partial(_language, "GemmaConfig", "GemmaForCausalLM", {**GROUPED, "head_dim": 4}, USUAL),
        "starcoder2": partial(_language, "Starcoder2Config", "Starcoder2ForCausalLM", GROUPED, USUAL),
        "stablelm": partial(_language, "StableLmConfig", "StableLmForCausalLM", GROUPED, USUAL),
        "granite": partial(_language, "GraniteConfig", "GraniteForCausalLM", GROUPED, USUAL),
        "olmo": partial(_language, "OlmoConfig", "OlmoForCausalLM", GROUPED, USUAL),
        "persimmon": partial(_language, "PersimmonConfig", "PersimmonForCausalLM", {**SIZES, "use_cache": False}, USUAL),
        "xglm": partial(_language, "XGLMConfig", "XGLMForCausalLM", {"vocab_size": 40, "d_model": 16, "ffn_dim": 24, "num_layers": 1, "attention_heads": 4, "max_position_embeddings": 16, "use_cache": False}, rows_zeroed("v_proj", _own())),
        "biogpt": partial(_language, "BioGptConfig", "BioGptForCausalLM", {**SIZES, "use_cache": False}, USUAL),
        "gpt oss": partial(_language, "GptOssConfig", "GptOssForCausalLM", {**GROUPED, "num_key_value_heads": 4, "num_local_experts": 2, "num_experts_per_tok": 1, "head_dim": 4}, rows_zeroed("v_proj", _own())),
        "deepseek v2": partial(_language, "DeepseekV2Config", "DeepseekV2ForCausalLM", {**GROUPED, "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4, "first_k_dense_replace": 1, "head_dim": 4}, rows_zeroed("kv_b_proj", lambda head: range(head * 8 + 4, head * 8 + 8))),
        "mpnet": partial(_texts, "MPNetConfig", "MPNetForSequenceClassification", {**SIZES, "pad_token_id": 1}, rows_zeroed("v", _own())),
        "deberta": partial(_texts, "DebertaConfig", "DebertaForSequenceClassification", {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, deberta_zeroed),
        "deberta v2": partial(_texts, "DebertaV2Config", "DebertaV2ForSequenceClassification", {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, rows_zeroed("self.value_proj", _own())),
        "modernbert": partial(_texts, "ModernBertConfig", "ModernBertForSequenceClassification", {**SIZES, "attn_implementation": "sdpa", "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}, USUAL),
        "squeezebert": partial(_texts, "SqueezeBertConfig", "SqueezeBertForSequenceClassification", {**SIZES, "embedding_size": 16}, USUAL),
        "convbert": partial(_texts, "ConvBertConfig", "ConvBertForSequenceClassification", {**SIZES, "embedding_size": 16}, USUAL, 2),
        "albert": partial(_texts, "AlbertConfig", "AlbertForSequenceClassification", {**SIZES, "embedding_size": 8}, USUAL),
        "electra": partial(_texts, "ElectraConfig", "ElectraForSequenceClassification", {**SIZES, "embedding_size": 8}, USUAL),
        "xlnet": partial(_texts, "XLNetConfig", "XLNetForSequenceClassification", {"vocab_size": 40, "d_model": 16, "n_layer": 1, "n_head": 4, "d_inner": 24}, USUAL),
        "xlm": partial(_texts, "XLMConfig", "XLMForSequenceClassification", {"vocab_size": 40, "emb_dim": 16, "n_layers": 1, "n_heads": 4, "max_position_embeddings": 16}, rows_zeroed("v_lin", _own())),
        "fnet": partial(_texts, "FNetConfig", "FNetForSequenceClassification", {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24, "max_position_embeddings": 16}, None, 0),
        "roformer": partial(_texts, "RoFormerConfig", "RoFormerForSequenceClassification", {**SIZES, "embedding_size": 16}, rows_zeroed("self.value", _own())),
        "esm": partial(_texts, "EsmConfig", "EsmForSequenceClassification", {**SIZES, "mask_token_id": 1, "position_embedding_type": "rotary"}, USUAL),
        "deit": partial(_images, "DeiTConfig", "DeiTForImageClassification", VISION, USUAL),
        "dinov2": partial(_images, "Dinov2Config", "Dinov2ForImageClassification", VISION, USUAL),
        "swin": partial(_images, "SwinConfig", "SwinForImageClassification", {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4, "num_labels": CLASSES}, USUAL, 6, 32),
        "segformer": partial(_images, "SegformerConfig", "SegformerForImageClassification", {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1], "hidden_sizes": [8, 16], "patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [2, 4], "mlp_ratios": [2, 2], "num_labels": CLASSES}, rows_zeroed("v_proj", lambda head: range(head * 4, head * 4 + 4)), 6, 32),
        "convnext": partial(_images, "ConvNextConfig", "ConvNextForImageClassification", {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2, "num_labels": CLASSES}, None, 0, 32),
        "mobilenet v2": partial(_images, "MobileNetV2Config", "MobileNetV2ForImageClassification", {"image_size": 32, "depth_multiplier": 0.1, "depth_divisible_by": 2, "min_depth": 4, "num_labels": CLASSES}, None, 0, 32),
        "wav2vec2": partial(_sounds, "Wav2Vec2Config", "Wav2Vec2ForSequenceClassification", SPEECH, USUAL),
        "conformer": partial(_sounds, "Wav2Vec2ConformerConfig", "Wav2Vec2ConformerForSequenceClassification", SPEECH, rows_zeroed("linear_v", _own())),
        "mbart": partial(_pairs, "MBartConfig", "MBartForConditionalGeneration", TRANSLATE, USUAL),
        "marian": partial(_pairs, "MarianConfig", "MarianMTModel", {**TRANSLATE, "decoder_vocab_size": 40, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}, USUAL),
        "two layers of t5": partial(_pairs, "T5Config", "T5ForConditionalGeneration", {"vocab_size": 40, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}, rows_zeroed("v", _own()), 24),
    }
)  # fmt: skip
