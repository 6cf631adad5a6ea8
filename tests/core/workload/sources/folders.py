"""Small random models of transformers in folders, as `save_pretrained` leaves them, and data for their tasks."""

import json
import wave

import numpy as np
import torch

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "bird",
    "man",
    "sees",
    "likes",
    "eats",
    "big",
    "small",
    "red",
    "blue",
    "and",
    "not",
    "very",
    "old",
    "new",
    "house",
    "tree",
    "sun",
    "moon",
    "is",
    "on",
    "in",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "</s>"]
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def save_tokenizer(folder, plain=False):
    """A tokenizer of whole words; `plain` puts nothing around them, as those of causal models."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"unk_token": "[UNK]", "eos_token": "</s>"}
    if not plain:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        names |= {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=32, **names).save_pretrained(folder)


def save_bert(folder, head="BertForSequenceClassification", **settings):
    """A random BERT with a head."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS) + len(SPECIAL),
        max_position_embeddings=32,
        attn_implementation="sdpa",
        **SMALL,
        **settings,
    )
    options = {"add_pooling_layer": False} if head == "BertModel" else {}
    model = getattr(transformers, head)(config, **options).eval()
    with torch.no_grad():  # far from where everything is alike
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return model


def save_causal(folder, family="Llama"):
    """A random Llama or GPT-2."""
    import transformers

    torch.manual_seed(0)
    vocab = len(WORDS) + len(SPECIAL)
    if family == "Llama":
        config = transformers.LlamaConfig(vocab_size=vocab, max_position_embeddings=32, num_key_value_heads=2, **SMALL)
        model = transformers.LlamaForCausalLM(config)
    else:
        config = transformers.GPT2Config(vocab_size=vocab, n_positions=32, n_embd=16, n_layer=2, n_head=4)
        model = transformers.GPT2LMHeadModel(config)
    model.eval().save_pretrained(folder)
    save_tokenizer(folder, plain=True)
    return model


def save_t5(folder):
    """A random T5."""
    import transformers

    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(WORDS) + len(SPECIAL), d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4,
        decoder_start_token_id=0,
    )  # fmt: skip
    model = transformers.T5ForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return model


def save_vit(folder, names=("cat", "dog")):
    """A random ViT for pictures of 16 pixels."""
    import transformers

    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=16,
        patch_size=8,
        id2label=dict(enumerate(names)),
        label2id={n: i for i, n in enumerate(names)},
        **SMALL,
    )
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(folder)
    settings = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 16, "width": 16},
        "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_rescale": True,
        "rescale_factor": 1 / 255, "resample": 2,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model


def save_segformer(folder):
    """A random SegFormer with 3 classes."""
    import transformers

    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3], strides=[4, 2],
        num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, num_labels=3,
    )  # fmt: skip
    model = transformers.SegformerForSemanticSegmentation(config).eval()
    model.save_pretrained(folder)
    settings = {
        "image_processor_type": "SegformerImageProcessor", "do_resize": True, "size": {"height": 32, "width": 32},
        "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_rescale": True,
        "rescale_factor": 1 / 255, "resample": 2,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model


def save_wav2vec(folder):
    """A random Wav2Vec2 that tells two words."""
    import transformers

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2, classifier_proj_size=8, vocab_size=32, id2label={0: "yes", 1: "no"},
        label2id={"yes": 0, "no": 1}, **SMALL,
    )  # fmt: skip
    model = transformers.Wav2Vec2ForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder)
    return model


def sentences(n, seed=0, least=3, most=9):
    """n texts of different lengths."""
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(least, most))) for _ in range(n)]


def save_pictures(folder, names=("cat", "dog"), n=3, size=20):
    """A folder of random pictures for each class."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(draw.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")


def save_masks(folder, n=4, classes=3):
    """Random pictures and masks of the same names."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for place in ("images", "masks"):
        (folder / place).mkdir(parents=True)
    for i in range(n):
        Image.fromarray(draw.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / "images" / f"{i}.png")
        Image.fromarray(draw.integers(0, classes, (40, 40), dtype=np.uint8)).save(folder / "masks" / f"{i}.png")


def save_sounds(folder, names=("yes", "no"), n=3, rate=8000, samples=800):
    """A folder of random sounds for each class."""
    draw = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            with wave.open(str(folder / name / f"{i}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(rate)
                file.writeframes(draw.integers(-9999, 9999, samples, dtype=np.int16).tobytes())
