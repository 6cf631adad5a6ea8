"""What a model is for, by its head; what of the data that takes; what is inferred, in words. No torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from core.errors import SecateurError
from core.workload.metrics.tags import are_tags, tags_of
from core.workload.sources.columns_of import class_ids, column_for, given_columns, label_map_text, numbers_of, texts_of
from core.workload.sources.folder import Folder, checked_folder
from core.workload.sources.media import PICTURES, SOUNDS, by_class, with_masks
from core.workload.sources.reference import Reference
from core.workload.sources.tables import Table, read_table

FEW_CLASSES = 3  # of entailment; more different numbers are a scale
CLASSES = ("accuracy", "f1", "cross_entropy", "agreement", "kl_from_dense")
BLOCK = 256  # tokens of a block that a running text is cut into


@dataclass(frozen=True)
class Task:
    """Something that models are for.

    Attributes:
        heads: how names of the classes of such models end.
        metrics: that can be chosen, the usual one first.
        data: `"table"`, or a folder of `"pictures"`, `"sounds"` or `"masks"`.
    """

    heads: tuple[str, ...]
    metrics: tuple[str, ...]
    data: str = "table"


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "audio classification": Task(("ForAudioClassification",), CLASSES, "sounds"),
        "text classification": Task(("ForSequenceClassification",), CLASSES),
        "token classification": Task(("ForTokenClassification",), ("token_accuracy", "agreement")),
        "masked language modelling": Task(("ForMaskedLM",), ("perplexity", "token_accuracy", "kl_from_dense")),
        "causal language modelling": Task(
            ("ForCausalLM", "LMHeadModel"), ("perplexity", "token_accuracy", "kl_from_dense")
        ),
        "multiple choice": Task(("ForMultipleChoice",), ("accuracy", "cross_entropy", "agreement")),
        "sequence to sequence": Task(
            ("ForConditionalGeneration", "MTModel"),
            ("perplexity", "token_accuracy", "token_rouge_1", "token_rouge_2", "token_rouge_l", "kl_from_dense"),
        ),
        "image classification": Task(
            ("ForImageClassification", "ForImageClassificationWithTeacher"), CLASSES, "pictures"
        ),
        "semantic segmentation": Task(("ForSemanticSegmentation",), ("pixel_accuracy", "iou", "dice"), "masks"),
        "sentence similarity": Task(("Model",), ("spearman", "squared_error")),
        "sentence embedding": Task(("Model",), ("cosine_to_dense",)),
    }
)
SOUND_MODELS = ("wav2vec2", "hubert", "wavlm", "unispeech", "sew", "data2vec-audio")
SEEING = (
    "vit", "deit", "beit", "swin", "convnext", "resnet", "dinov2", "clip", "siglip", "segformer", "detr", "regnet",
)  # fmt: skip
SPEAKING = ("whisper", "speech_to_text", "vision-encoder-decoder", "pix2struct", "blip", "llava", "musicgen")


@dataclass(frozen=True)
class Inferred:
    """All that a reference to a folder leaves open, and what was taken for it.

    Attributes:
        folder: checked.
        task: key of `TASKS`.
        kind: of labels: `"classes"`, `"number"`, `"labels"` (several at a time), or empty.
        table: the data.
        columns: by role, those that are used.
        metric: name of a metric.
        label_map: how labels became classes, in words; empty where they are none.
        length: tokens at most; `None` where there are none.
        notes: what else somebody should know.
    """

    folder: Folder = field(repr=False)
    task: str
    kind: str
    table: Table = field(repr=False)
    columns: Mapping[str, str]
    metric: str
    label_map: str = ""
    length: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """For people: `name: what was taken`, a line each."""
        used = ", ".join(f"{role} = {column}" for role, column in self.columns.items())
        rows = "lines" if self.table.path.suffix == ".txt" else "examples"
        found = [
            f"model: {self.folder.architecture} in {self.folder.path.name}, {self.folder.n_bytes / 1e6:.1f} MB",
            f"task: {self.task}, by the head of the model",
            f"data: {self.table.n:,} {rows} of {self.table.path.name}",
            f"columns: {used}",
            *([f"labels: {self.label_map}"] if self.label_map else []),
            f"metric: {self.metric}",
            *([f"length: at most {self.length} tokens"] if self.length else []),
            *self.notes,
        ]
        return tuple(found)


def infer(reference: Reference) -> Inferred:
    """What a reference to a folder means, and whether data and model fit.

    Raises:
        SecateurError: the folder, the data, or what they say of each other is not as it must be.
    """
    folder = checked_folder(Path(reference.place))
    options = reference.options
    task = _task(folder, options.get("task"))
    table = data_of(Path(options["data"]), task)
    given = given_columns(options.get("columns"))
    task, kind, columns, label_map, notes = _fitted(folder, task, table, given)
    metrics = TASKS[task].metrics if kind != "number" else ("spearman", "squared_error")
    metrics = ("label_accuracy",) if kind == "labels" else metrics
    if task == "token classification":
        names = tuple(folder.id2label.values())
        metrics = ("span_f1", *metrics) if are_tags(names) else (*metrics, "span_f1")
        if options.get("metric") == "span_f1":
            tags_of(names)  # says which is none
    metric = options.get("metric", metrics[0])
    if metric not in metrics:
        raise SecateurError(f"{task} is measured by {', '.join(metrics)}, and not by {metric!r}; choose one of them")
    length = text_length(folder, options.get("length"), task) if TASKS[task].data == "table" else None
    return Inferred(folder, task, kind, table, columns, metric, label_map, length, notes)


def data_of(path: Path, task: str) -> Table:
    """The data of a task."""
    kind = TASKS[task].data
    if kind == "pictures":
        return by_class(path, PICTURES, "pictures")
    if kind == "sounds":
        return by_class(path, SOUNDS, "sounds")
    return with_masks(path) if kind == "masks" else read_table(path)


def _task(folder: Folder, wanted: str | None) -> str:
    """By the class of the model; a name that was given must say the same."""
    model_type = str(folder.config["model_type"])
    found = next(
        (name for name, task in TASKS.items() if any(folder.architecture.endswith(head) for head in task.heads)), None
    )
    if found == "text classification" and model_type in SOUND_MODELS:
        found = "audio classification"
    if found == "sequence to sequence" and (
        model_type in SPEAKING or not folder.config.get("is_encoder_decoder", True)
    ):
        found = None
    # a bare encoder of texts; of pictures or sounds there is no pair of sentences to compare
    if found == "sentence similarity" and (model_type in (*SOUND_MODELS, *SPEAKING, *SEEING) or _has_decoder(folder)):
        found = None
    if found is None:
        raise SecateurError(
            f"{folder.architecture} of {folder.path.name} is for none of the tasks that are known by their head: "
            f"{', '.join(TASKS)}; give it with its data and metric in a workload file: secateur init my_model.py"
        )
    alike = [name for name in TASKS if TASKS[name].heads == TASKS[found].heads]
    wanted_name = (wanted or found).replace("-", " ").replace("_", " ").lower()
    if wanted is not None and wanted_name not in alike:
        raise SecateurError(f"{folder.architecture} does {' or '.join(alike)}, and not {wanted!r}; leave --task out")
    return wanted_name


def _has_decoder(folder: Folder) -> bool:
    return bool(folder.config.get("is_encoder_decoder"))


Fitted = tuple[str, str, dict[str, str], str, tuple[str, ...]]


def _fitted(folder: Folder, task: str, table: Table, given: Mapping[str, str]) -> Fitted:
    """Task, kind of labels, columns by role, how labels were matched, and notes."""
    if task in ("image classification", "audio classification"):
        text = _class_labels(folder, table, "label")
        return task, "classes", {"file": "file", "label": "label"}, text, ()
    if task == "semantic segmentation":
        return task, "", {"file": "file", "mask": "mask"}, "numbers of id2label, 255 is left out", ()
    if task == "text classification":
        return _classified_texts(folder, task, table, given)
    if task.startswith("sentence"):
        return _sentences(task, table, given)
    if task == "token classification":
        roles = _roles(table, given, "tokens", "tags")
        words_and_tags(table, roles, folder)
        return task, "classes", roles, f"{roles['tags']}: of id2label, on the first part of each word", ()
    if task == "multiple choice":
        return _choices(task, table, given)
    if task == "sequence to sequence":
        roles = _roles(table, given, "source", "target")
        for column in roles.values():
            texts_of(table, column)
        return task, "", roles, "", ("loss: teacher-forced, per token of the target, padding left out",)
    roles = _roles(table, given, "text")
    texts_of(table, roles["text"])
    if task == "causal language modelling":
        whole = table.path.suffix == ".txt"
        note = "text: running, cut into blocks" if whole else "text: a row is an example; padding is left out"
        return task, "", roles, "", (note, "labels: the next token; shifted here, not by the model")
    return task, "", roles, "", ("labels: 15 % of the tokens of each text, masked; the same in every load",)


def _roles(table: Table, given: Mapping[str, str], *roles: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for role in roles:
        column = column_for(table, role, {**found, **given})
        assert column is not None
        found[role] = column
    if len(set(found.values())) < len(found):
        raise SecateurError(f"{' and '.join(found)} are the same column of {table.path.name}; say which is which: "
                            f"--columns {roles[0]}=NAME,{roles[-1]}=NAME")  # fmt: skip
    return found


def _class_labels(folder: Folder, table: Table, column: str) -> str:
    values = table.columns[column]
    class_ids(table, values, column, folder.id2label)
    return label_map_text(column, values, folder.id2label)


def text_columns(table: Table, given: Mapping[str, str]) -> dict[str, str]:
    """A pair of texts where there is one, else a text."""
    first = column_for(table, "first", given, needed="first" in given or "second" in given)
    second = column_for(table, "second", given, needed=first is not None)
    if second is not None and first is None:
        column_for(table, "first", given)  # says what is missing
    if first is not None and second is not None:
        return {"first": first, "second": second}
    text = column_for(table, "text", given)
    assert text is not None
    return {"text": text}


def _classified_texts(folder: Folder, task: str, table: Table, given: Mapping[str, str]) -> Fitted:
    names = folder.id2label
    columns = text_columns(table, given)
    for column in columns.values():
        texts_of(table, column)
    taken = {**columns, **given}
    if folder.config.get("problem_type") == "multi_label_classification":
        missing = [name for name in names.values() if name not in table.columns]
        if missing:
            raise SecateurError(
                f"{folder.path.name} gives several labels at a time, and {table.path.name} has no column "
                f"{missing[0]!r}; it needs one of 0 and 1 for each of {', '.join(names.values())}"
            )
        for name in names.values():
            if odd := next((value for value in table.columns[name] if str(value) not in ("0", "1")), None):
                raise SecateurError(f"column {name!r} of {table.path.name} must hold 0 and 1, got {odd!r:.40}")
        return task, "labels", {**columns, **{name: name for name in names.values()}}, "a column each, 0 and 1", ()
    if len(names) == 1:
        score = column_for(table, "score", taken)
        assert score is not None
        numbers_of(table, score)
        return task, "number", {**columns, "score": score}, "", ("labels: numbers, for the model has one output",)
    label = column_for(table, "label", taken)
    assert label is not None
    return task, "classes", {**columns, "label": label}, _class_labels(folder, table, label), ()


def _sentences(task: str, table: Table, given: Mapping[str, str]) -> Fitted:
    columns = text_columns(table, given)
    for column in columns.values():
        texts_of(table, column)
    score = column_for(table, "score", {**columns, **given}, needed="score" in given)
    if "first" in columns and score is not None:
        numbers = numbers_of(table, score)
        if "score" not in given and score.lower() == "label" and len(set(numbers)) <= FEW_CLASSES:
            raise SecateurError(
                f"column {score!r} of {table.path.name} holds {len(set(numbers))} different numbers: classes, as of "
                f"inference, or similarities? Say which column is one: --columns score={score}, or measure without: "
                "--task 'sentence embedding'"
            )
        if len(set(numbers)) < 2:
            raise SecateurError(
                f"all of column {score!r} of {table.path.name} are {numbers[0]:g}; a rank needs two values"
            )
        return (
            "sentence similarity",
            "number",
            {**columns, "score": score},
            "",
            ("score: cosine of the two embeddings",),
        )
    note = "labels: none are needed; embeddings are held against the dense model's"
    if "first" in columns:
        note += f". Similarities would be measured against a column {' or '.join(('score', 'similarity', 'label'))}"
    return "sentence embedding", "", columns, "", (note,)


def _choices(task: str, table: Table, given: Mapping[str, str]) -> Fitted:
    question = column_for(table, "question", given)
    answer = column_for(table, "answer", given)
    assert question is not None
    assert answer is not None
    choices = choice_columns(table, given)
    answers(table, answer, len(choices) if len(choices) > 1 else len(table.columns[choices[0]][0]))
    return task, "classes", {"question": question, "answer": answer, "choices": ", ".join(choices)}, "", ()


def choice_columns(table: Table, given: Mapping[str, str]) -> tuple[str, ...]:
    """One column of lists, or several that are called alike with a number: ending0, ending1, …"""
    numbered = tuple(sorted(name for name in table.columns if re.fullmatch(r"(?i)(ending|choice|option)_?\d+", name)))
    if len(numbered) > 1:
        for name in numbered:
            texts_of(table, name)
        return numbered
    column = column_for(table, "choices", given)
    assert column is not None
    lengths = {len(value) if isinstance(value, list) else 0 for value in table.columns[column]}
    if len(lengths) != 1 or lengths == {0} or lengths == {1}:
        raise SecateurError(
            f"column {column!r} of {table.path.name} must hold lists of equally many choices, got {sorted(lengths)}; "
            "give JSON lines, or columns ending0, ending1, …"
        )
    return (column,)


def answers(table: Table, column: str, n: int) -> list[int]:
    """Numbers of the right choices, from 0.

    Raises:
        SecateurError: one is no number of a choice.
    """
    return class_ids(table, table.columns[column], column, {i: str(i) for i in range(n)})


def words_and_tags(table: Table, roles: Mapping[str, str], folder: Folder) -> tuple[list[list[str]], list[list[int]]]:
    """Words of each example and their classes.

    Raises:
        SecateurError: an example has no words, or another number of tags, or a tag that the model has no class for.
    """
    words, tags = (list(map(_split, table.columns[roles[role]])) for role in ("tokens", "tags"))
    for row, (one, other) in enumerate(zip(words, tags, strict=True)):
        given = table.columns[roles["tokens"]][row]
        if isinstance(given, str) and re.fullmatch(r"""\[\s*['"].*['"]\s*\]""", given.strip(), re.DOTALL):
            raise SecateurError(
                f"{table.where(row)}: tokens are a list written as text, {given!r:.60}; give words with spaces "
                "between, or JSON lines, which hold lists"
            )
        if "" in one:
            raise SecateurError(f"{table.where(row)}: word {one.index('') + 1} is empty; leave it and its tag out")
        if not one or not all(isinstance(word, str) and word.strip() for word in one):
            raise SecateurError(
                f"{table.where(row)}: tokens must be words, a list or with spaces between; got {one!r:.60}"
            )
        if len(one) != len(other):
            raise SecateurError(
                f"{table.where(row)} has {len(one)} word(s) and {len(other)} tag(s); give each word one"
            )
    flat = [tag for example in tags for tag in example]
    rows = [row for row, example in enumerate(tags) for _ in example]
    ids = iter(class_ids(table, flat, roles["tags"], folder.id2label, "tags", rows))
    return words, [[next(ids) for _ in example] for example in tags]


def _split(value: object) -> list[str]:
    return value.split() if isinstance(value, str) else list(value) if isinstance(value, list) else []


def text_length(folder: Folder, given: str | None, task: str) -> int:
    """Tokens that a text may have at most: as given, else what tokenizer and positions allow.

    Raises:
        SecateurError: it is no whole number of at least 4, or more than the model has positions for.
    """
    config, name = folder.config, folder.path.name
    text_config = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    assert isinstance(text_config, Mapping)
    positions = next(
        (text_config[key] for key in ("max_position_embeddings", "n_positions", "max_seq_len") if key in text_config),
        None,
    )
    limits = [positions] if isinstance(positions, int) else []
    if isinstance(positions, int) and any(
        word in str(config["model_type"]) for word in ("roberta", "camembert", "mpnet")
    ):
        limits = [positions - 2]  # their positions begin behind that of padding
    for file, key in (("tokenizer_config.json", "model_max_length"), ("sentence_bert_config.json", "max_seq_length")):
        value = folder.json(file).get(key)
        if isinstance(value, int) and 0 < value < 10**9:
            limits.append(value)
    most = min(limits, default=512)
    if given is None:
        return max(4, min(most, BLOCK) if task == "causal language modelling" else min(most, 512))
    if not given.isdecimal() or int(given) < 4:
        raise SecateurError(f"--length must be a whole number of tokens, at least 4; got {given!r}")
    if int(given) > most:
        raise SecateurError(f"--length {given} is more than {name} takes, {most}; give no more than that")
    return int(given)
