"""Files of a Hugging Face folder: of the model, and of its tokenizer or processor, which are taken along. No code."""

import shutil
from pathlib import Path

from core.errors import SecateurError

MODEL_FILES = frozenset({"config.json", "model.safetensors", "generation_config.json", "model.safetensors.index.json"})
# tables and settings that a tokenizer or a processor is read from: JSON, text and SentencePiece's own format
COMPANIONS = frozenset(
    {
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "vocab.txt", "merges.txt", "chat_template.jinja", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
        "preprocessor_config.json", "processor_config.json", "image_processor_config.json",
    }
)  # fmt: skip
FILES = MODEL_FILES | COMPANIONS


def taken_along(source: Path, folder: Path) -> tuple[str, ...]:
    """Copy the tokenizer's and the processor's files of a model's own folder into the one that was written of it.

    Args:
        source: the folder that the dense model was read from.
        folder: of the smaller model, there already; what it holds is not replaced.

    Returns:
        Names of what was copied, in order.

    Raises:
        SecateurError: a file cannot be read or written.
    """
    names = []
    for name in sorted(COMPANIONS):
        if (source / name).is_file() and not (folder / name).exists():
            try:
                shutil.copyfile(source / name, folder / name)
            except OSError as error:
                raise SecateurError(f"cannot copy {source / name}: {error.strerror}; look at its rights") from None
            names.append(name)
    return tuple(names)


def odd_files(folder: Path) -> list[str]:
    """Names of what stands in a folder and is neither the model's nor a tokenizer's or processor's."""
    return sorted(file.name for file in folder.iterdir() if file.name not in FILES)
