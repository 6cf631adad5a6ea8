"""Texts as tensors: what the tokenizer of a folder makes of the rows of a table, padded to the right. Imports torch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.workload.inputs.spilled import Columns
from core.workload.inputs.stacking import column_of
from core.workload.metrics.reading import IGNORED
from core.workload.outputs import tensors_of
from core.workload.sources.columns_of import class_ids, numbers_of
from core.workload.sources.tasks import Inferred, answers, words_and_tags

MASKED, SEED = 0.15, 0  # of masked language modelling, Devlin et al. 2019, arXiv:1810.04805
Encoded = tuple[dict[str, Tensor], Tensor | None, tuple[str, ...]]  # inputs by name, labels, notes


def encoded(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    """Inputs by name, labels, and what somebody should know of both.

    Raises:
        SecateurError: the tokenizer lacks what the task takes, or nothing is left to measure.
    """
    return ENCODERS[found.task](found, tokenizer, model)


def _classified(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    inputs, notes = _texts(found, tokenizer)
    if found.kind == "labels":
        names = list(found.folder.id2label.values())
        rows = [[float(found.table.columns[name][row]) for name in names] for row in range(found.table.n)]
        return inputs, torch.tensor(rows), notes
    if found.kind == "number":
        return inputs, torch.tensor(numbers_of(found.table, found.columns["score"])), notes
    column = found.columns["label"]
    values = found.table.columns[column]
    return inputs, torch.tensor(class_ids(found.table, values, column, found.folder.id2label)), notes


def _sentences(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    columns = [
        found.table.columns[column] for role, column in found.columns.items() if role in ("text", "first", "second")
    ]
    flat = [text for row in zip(*columns, strict=True) for text in row]
    if found.folder.json("sentence_bert_config.json").get("do_lower_case"):
        flat = [text.lower() for text in flat]
    settings = found.folder.json("config_sentence_transformers.json")
    prompt = (settings.get("prompts") or {}).get(settings.get("default_prompt_name"), "")
    inputs, notes = padded((_ids(tokenizer, found, prompt + text) for text in flat), len(flat), tokenizer, found)
    notes = (*notes, f"text: {prompt!r} is put before each, as the folder says") if prompt else notes
    if found.task == "sentence similarity":
        inputs = {name: tensor.unflatten(0, (-1, 2)) for name, tensor in inputs.items()}
        return inputs, torch.tensor(numbers_of(found.table, found.columns["score"])), notes
    return inputs, None, notes


def _tokens(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    if not getattr(tokenizer, "is_fast", False):
        raise SecateurError(f"the tokenizer of {found.folder.path.name} does not say which part is of which word; "
                            "save a fast one (tokenizer.json)")  # fmt: skip
    words, tags = words_and_tags(found.table, found.columns, found.folder)
    labels: list[list[int]] = []

    def encoded_words(one: list[str], classes: list[int]) -> dict[str, list[int]]:
        parts = tokenizer(one, is_split_into_words=True, truncation=True, max_length=found.length)
        before = [None, *parts.word_ids()]
        firsts = [word is not None and word != last for last, word in zip(before, parts.word_ids(), strict=False)]
        labels.append(
            [classes[word] if first else IGNORED for first, word in zip(firsts, parts.word_ids(), strict=True)]
        )
        return dict(parts)

    rows = (encoded_words(one, classes) for one, classes in zip(words, tags, strict=True))
    inputs, notes = padded(rows, len(words), tokenizer, found)
    n, judged = sum(map(len, words)), sum(label != IGNORED for row in labels for label in row)
    if judged < n:
        notes += (f"words: {n - judged:,} of {n:,} lie beyond the length, or give no token, and are not judged",)
    splits = str(getattr(getattr(tokenizer, "backend_tokenizer", None), "pre_tokenizer", ""))
    if "ByteLevel(add_prefix_space=False" in splits:  # the tokenizer's own field says so of all of them
        notes += ("words: the tokenizer puts no space before a word (add_prefix_space); was the model trained so?",)
    return inputs, _ragged(labels, IGNORED), notes


def _masked(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    if tokenizer.mask_token_id is None:
        raise SecateurError(f"the tokenizer of {found.folder.path.name} has no mask token; is it that of this model?")
    inputs, notes = _texts(found, tokenizer)
    ids = inputs["input_ids"]
    special = torch.tensor(sorted(tokenizer.all_special_ids))
    can = inputs["attention_mask"].bool() & ~torch.isin(ids, special)
    draws = torch.rand(ids.shape, generator=torch.Generator().manual_seed(SEED))
    chosen = can & (draws < MASKED)
    none = ~chosen.any(1) & can.any(1)  # a short text: its likeliest token, so that it counts
    chosen[none, draws.masked_fill(~can, 2).argmin(1)[none]] = True
    labels = ids.masked_fill(~chosen, IGNORED)
    return {**inputs, "input_ids": ids.masked_fill(chosen, tokenizer.mask_token_id)}, labels, notes


def _causal(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    length, column = found.length or 2, found.table.columns[found.columns["text"]]
    notes: tuple[str, ...] = ()
    if found.table.path.suffix == ".txt":
        ids = tokenizer("\n".join(column), add_special_tokens=False, verbose=False)["input_ids"]
        n = len(ids) // (length + 1)
        if n < 2:
            raise SecateurError(
                f"{found.table.path.name} has {len(ids)} tokens, not two blocks of {length + 1}; give more text or a "
                "smaller --length"
            )
        blocks = torch.tensor(ids[: n * (length + 1)]).view(n, length + 1)
        return (
            {"input_ids": blocks[:, :-1].contiguous()},
            blocks[:, 1:].contiguous(),
            (f"blocks: {n:,} of {length} tokens",),
        )
    inputs, notes = _texts(found, tokenizer)
    ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
    labels = torch.full_like(ids, IGNORED)
    labels[:, :-1] = ids[:, 1:].masked_fill(~mask[:, 1:], IGNORED)
    return inputs, labels, notes


def _choices(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    columns = found.columns["choices"].split(", ")
    table = found.table
    if len(columns) == 1:
        rows = table.columns[columns[0]]
    else:
        rows = [list(row) for row in zip(*(table.columns[name] for name in columns), strict=True)]
    pairs = (
        _ids(tokenizer, found, question, choice)
        for question, choices in zip(table.columns[found.columns["question"]], rows, strict=True)
        for choice in choices
    )
    inputs, notes = padded(pairs, table.n * len(rows[0]), tokenizer, found)
    right = answers(table, found.columns["answer"], len(rows[0]))
    return {name: x.unflatten(0, (-1, len(rows[0]))) for name, x in inputs.items()}, torch.tensor(right), notes


def _sequences(found: Inferred, tokenizer: Any, model: Any) -> Encoded:
    start = model.config.decoder_start_token_id
    if start is None:
        raise SecateurError(f"config.json of {found.folder.path.name} has no decoder_start_token_id; add it")
    table = found.table
    sources = table.columns[found.columns["source"]]
    inputs, notes = padded((_ids(tokenizer, found, text) for text in sources), len(sources), tokenizer, found)
    targets = [
        tokenizer(text_target=text, truncation=True, max_length=found.length)["input_ids"]
        for text in table.columns[found.columns["target"]]
    ]
    labels = _ragged(targets, IGNORED)
    shifted = torch.cat([torch.full((len(labels), 1), start), labels[:, :-1]], 1)
    # behind the end of a target nothing is counted, and a decoder never looks ahead: any token will do there
    pad = _pad_id(tokenizer)
    decoder = {
        "decoder_input_ids": shifted.masked_fill(shifted == IGNORED, pad),
        "decoder_attention_mask": (labels != IGNORED).long(),  # no score against the dense model counts what is not
    }
    return {**inputs, **decoder}, labels, notes


def _texts(found: Inferred, tokenizer: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    columns = [
        found.table.columns[found.columns[role]] for role in ("text", "first", "second") if role in found.columns
    ]
    rows = (_ids(tokenizer, found, *row) for row in zip(*columns, strict=True))
    return padded(rows, found.table.n, tokenizer, found)


def _ids(tokenizer: Any, found: Inferred, *texts: str) -> dict[str, list[int]]:
    return dict(tokenizer(*texts, truncation=True, max_length=found.length))


def padded(
    rows: Iterable[Mapping[str, list[int]]], n: int, tokenizer: Any, found: Inferred
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tokens of different numbers as tensors (n, longest), padded to the right, whatever side the tokenizer likes.

    Raises:
        SecateurError: a text has no token.
    """
    columns, lengths = Columns(n), list[int]()
    for i, row in enumerate(rows):
        if not row["input_ids"]:
            raise SecateurError(f"text {i + 1} of {found.table.path.name} gives no token; leave it out")
        lengths.append(len(row["input_ids"]))
        columns.add({name: torch.tensor(values) for name, values in row.items()})
    columns.close()
    fill = {"input_ids": _pad_id(tokenizer)}
    inputs = {
        str(name): column_of(column, False, torch.int64, max(lengths), fill.get(str(name), 0))
        for name, column in columns.by_name.items()
    }
    n_cut = sum(length >= (found.length or 0) for length in lengths)
    notes = [f"texts: {min(lengths)} to {max(lengths)} tokens, padded to {max(lengths)}"]
    if n_cut:
        notes.append(f"cut: {n_cut:,} of {len(lengths):,} texts fill {found.length} tokens and may have lost their end")
    if columns.on_disk:
        notes.append("memory: the tokens lie in a temporary file, being too large for it")
    return inputs, tuple(notes)


def check_padding(model: nn.Module, inputs: Mapping[str, Tensor], mask: Tensor | None) -> None:
    """Refuse a model that sees padding: its scores would depend on which texts stand beside one.

    Args:
        model: in evaluation mode.
        inputs: of all examples, by name.
        mask: (n, length) or (n, choices, length), 0 where there is padding; `None` where there is none.

    Raises:
        SecateurError: the shortest text is judged otherwise without its padding.
    """
    if mask is None or mask.all():
        return
    lengths = mask.sum(-1).reshape(len(mask), -1).amax(1)
    row, length, padded_to = int(lengths.argmin()), int(lengths.min()), mask.shape[-1]
    whole = {name: x[row : row + 1] for name, x in inputs.items()}
    bare = {name: x if name.startswith("decoder") else x[..., :length] for name, x in whole.items()}
    with torch.inference_mode():
        one, other = (tensors_of(getattr(out, "logits", out))[0].float() for out in (model(**whole), model(**bare)))
    if one.shape != other.shape:  # of every token
        one = one[:, :length]
    close = 1e-3 if next(model.parameters()).dtype == torch.float32 else 5e-2
    if one.shape != other.shape or not torch.allclose(one, other, rtol=close, atol=close * float(other.abs().amax())):
        raise SecateurError(
            f"{type(model).__name__} gives the shortest text another output without its {padded_to - length} tokens of "
            "padding: it looks at them; wrap it in a module that does not, in a workload file: secateur init mine.py"
        )


def _pad_id(tokenizer: Any) -> int:
    """A tokenizer of a causal model has none; the mask, or the label, then says what is padding."""
    for name in ("pad_token_id", "eos_token_id"):
        if getattr(tokenizer, name, None) is not None:
            return int(getattr(tokenizer, name))
    return 0


def _ragged(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    made = torch.full((len(rows), max(map(len, rows))), fill)
    for i, row in enumerate(rows):
        made[i, : len(row)] = torch.tensor(row)
    return made


ENCODERS = {
    "text classification": _classified,
    "sentence similarity": _sentences,
    "sentence embedding": _sentences,
    "token classification": _tokens,
    "masked language modelling": _masked,
    "causal language modelling": _causal,
    "multiple choice": _choices,
    "sequence to sequence": _sequences,
}
