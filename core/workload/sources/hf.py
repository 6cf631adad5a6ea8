"""`hf:` and `st:`: a folder that transformers or sentence-transformers saved, as a workload."""

import importlib
import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from core import offline
from core.errors import SecateurError
from core.workload.columns import Value
from core.workload.examples import Examples
from core.workload.metrics.by_name import metric_named
from core.workload.sources.columns_of import other_columns
from core.workload.sources.folder import Folder
from core.workload.sources.reference import Reference
from core.workload.sources.sentences import INPUTS
from core.workload.sources.tasks import TASKS, Inferred, infer
from core.workload.workload import Workload

BATCH = 64


def build(reference: Reference) -> Workload:
    """The workload that a reference to a folder stands for.

    Raises:
        SecateurError: as `infer`; or the library is missing, or cannot make the model of the folder.
    """
    found = infer(reference)
    transformers = library()
    with quiet():
        model = loaded_model(found, transformers)
        make, notes = _maker(found, transformers, model)
        model, evaluation, more = make(found)
        others: dict[str, Examples | None] = dict.fromkeys(("calibration", "training", "holdout"))
        for role in others:
            if role in reference.options:
                again = infer(
                    Reference(reference.kind, reference.place, {**reference.options, "data": reference.options[role]})
                )
                if (again.task, again.kind) != (found.task, found.kind):
                    raise SecateurError(
                        f"--{role} is data for {again.task}, and --data for {found.task}; give both alike"
                    )
                others[role] = make(again)[1]
    columns: Mapping[str, list[Value]] = other_columns(found.table, tuple(found.columns.values()))
    blocks = len(evaluation) != found.table.n  # of a running text: rows are no examples
    return Workload(
        name=found.folder.path.name,
        model=model.eval(),
        evaluation=evaluation,
        metric=metric_named(found.metric, tuple(found.folder.id2label.values())),
        calibration=others["calibration"],
        training=others["training"],
        holdout=others["holdout"],
        class_names=tuple(found.folder.id2label.values()) if found.kind == "classes" and evaluation.labels.dim() == 1
        and found.task != "multiple choice" else (),
        batch_size=BATCH,
        columns={} if blocks else columns,
        notes=(*found.lines, *notes, *more),
    )  # fmt: skip


def library() -> Any:
    """The module `transformers`, with nothing that would go to a hub.

    Raises:
        SecateurError: it is not installed, or an older one is.
    """
    offline.seal()
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise SecateurError(
            f"hf: and st: need transformers ({error}); install it: python -m pip install 'secateur[hf]'"
        ) from None
    if int(transformers.__version__.split(".")[0]) < 5:
        raise SecateurError(
            f"hf: and st: need transformers 5, got {transformers.__version__}; "
            "python -m pip install --upgrade 'transformers>=5'"
        )
    return transformers


@contextmanager
def quiet() -> Iterator[None]:
    """The library says much while it loads; what matters is refused or noted by us."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    bars = importlib.import_module("transformers.utils.logging")
    bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)


def loaded_model(found: Inferred, transformers: Any) -> Any:
    """The model of a folder, every weight from its files.

    Raises:
        SecateurError: no such class, or configuration and weights do not fit.
    """
    folder = found.folder
    name, path = folder.architecture, folder.path
    try:
        cls = getattr(transformers, name, None)
    except (ImportError, RuntimeError) as error:
        raise SecateurError(
            f"transformers {transformers.__version__} could not import {name} ({_first_line(error)}); is torchvision "
            "of another build than torch? Install it again, from the same place"
        ) from None
    if not (inspect.isclass(cls) and issubclass(cls, transformers.PreTrainedModel)):
        raise SecateurError(f"transformers {transformers.__version__} has no model {name}; upgrade it, or write a file")
    pretrained: Any = cls
    own = getattr(getattr(cls, "config_class", None), "model_type", None)
    if own != folder.config["model_type"]:
        raise SecateurError(
            f"config.json of {path.name} says model_type {folder.config['model_type']!r}, and {name} is of {own!r}; "
            "restore it"
        )
    # an embedding reads no pooler, and needs none; one that lies in the folder stays, or what is saved would lack it
    has_pooler = any(".pooler." in f".{name}" for name in folder.shapes)
    takes = "add_pooling_layer" in inspect.signature(cls.__init__).parameters
    bare = found.task.startswith("sentence") and takes and not has_pooler
    try:
        model, info = pretrained.from_pretrained(
            path,
            **({"add_pooling_layer": False} if bare else {}),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # of many kinds: of a setting that is wrong whatever its layers raise
        raise SecateurError(
            f"{name} of {path.name} could not be loaded: {_first_line(error)}; restore the folder"
        ) from None
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise SecateurError(
            f"{len(missing)} weight(s) of {name} are not in {path.name} ({missing[0]}) and would be drawn at random; "
            "save the model after it was trained, with its head"
        )
    for key, what in (
        ("mismatched_keys", "have another shape than config.json says"),
        ("error_msgs", "cannot be read"),
    ):
        if info.get(key):
            raise SecateurError(
                f"weights of {path.name} {what} ({str(next(iter(info[key])))[:120]}); restore the folder"
            )
    if getattr(model.config, "use_cache", False):
        model.config.use_cache = False  # nothing is generated, and what is kept of a pass only takes memory
    return model.eval()


def _maker(found: Inferred, transformers: Any, model: Any) -> tuple[Any, tuple[str, ...]]:
    """What makes model and examples of data, the model being the same each time; and notes."""
    kind = TASKS[found.task].data
    if kind != "table":
        from core.workload.sources.seen_and_heard import seen_or_heard

        reader = processor(transformers, found.folder, kind)
        return lambda one: seen_or_heard(one, reader, model), ()
    from core.workload.sources.texts import check_padding, encoded

    tokenizer = tokenizer_of(transformers, found.folder, model)
    whole, notes, shared = model, tuple[str, ...](), list[str]()
    if found.task.startswith("sentence"):
        from core.workload.sources.embeddings import wrapped

        shared = [name for name in INPUTS if name in tokenizer("a") and name in forward_names(model)]
        whole, notes = wrapped(found, model, shared)

    def make(one: Inferred) -> tuple[nn.Module, Examples, tuple[str, ...]]:
        named, labels, more = encoded(one, tokenizer, model)
        if found.task.startswith("sentence"):
            inputs = {name: named[name] for name in shared}
            said = f"inputs: {', '.join(shared)}, by name"
        else:
            inputs, said = as_inputs(model, named)
        check_padding(whole, inputs, named.get("attention_mask"))
        given: Any = inputs  # by name, which the type of what `Examples` holds does not say
        examples = Examples(given) if labels is None else Examples(given, labels)
        return whole, examples, (*more, said)

    return make, notes


def tokenizer_of(transformers: Any, folder: Folder, model: Any) -> Any:
    """The tokenizer of a folder, which knows no more tokens than the model has vectors for.

    Raises:
        SecateurError: it is missing or damaged, or of another model.
    """
    if not any((folder.path / name).is_file() for name in TOKENIZERS):
        raise SecateurError(f"{folder.path.name} has no tokenizer; save it there: tokenizer.save_pretrained(folder)")
    try:
        found = transformers.AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise SecateurError(
            f"the tokenizer of {folder.path.name} could not be loaded: {_first_line(error)}; save it there again"
        ) from None
    embedding = model.get_input_embeddings()
    rows = getattr(embedding, "num_embeddings", None)
    if rows is not None and max(found.get_vocab().values(), default=0) >= rows:
        raise SecateurError(
            f"the tokenizer of {folder.path.name} knows {len(found):,} tokens, and the model has vectors of {rows:,}; "
            "they are of two models: save both from one"
        )
    if model.config.pad_token_id is None and "ForSequenceClassification" in folder.architecture and _is_causal(model):
        raise SecateurError(
            f"{folder.architecture} finds the end of a text by its padding, and config.json of {folder.path.name} has "
            "no pad_token_id; add the one that it was trained with"
        )
    return found


TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")


def _is_causal(model: Any) -> bool:
    return any(getattr(module, "is_causal", False) for module in model.modules())


def processor(transformers: Any, folder: Folder, kind: str) -> Any:
    """What makes tensors of pictures or sounds.

    Raises:
        SecateurError: the folder has none, or it cannot be made.
    """
    name = "AutoFeatureExtractor" if kind == "sounds" else "AutoImageProcessor"
    if not any((folder.path / file).is_file() for file in ("preprocessor_config.json", "processor_config.json")):
        raise SecateurError(f"{folder.path.name} has no preprocessor_config.json; save its processor there")
    try:
        return getattr(transformers, name).from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise SecateurError(
            f"the processor of {folder.path.name} could not be made: {_first_line(error)}; save it there again"
        ) from None


def forward_names(model: nn.Module) -> tuple[str, ...]:
    """Names of what a model's forward takes, in order."""
    return tuple(inspect.signature(model.forward).parameters)


def as_inputs(model: nn.Module, named: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Those of the inputs that the model takes, in its order, by name; and a line that says which.

    Raises:
        SecateurError: it takes none of them.
    """
    taken = [name for name in forward_names(model) if name in named]
    if not taken:
        raise SecateurError(
            f"forward of {type(model).__name__} takes none of what the data give ({', '.join(named)}); wrap it in a "
            "module that does, in a workload file: secateur init my_model.py"
        )
    dropped = [name for name in named if name not in taken]
    said = f"inputs: {', '.join(taken)}, by name" + (f"; {', '.join(dropped)}: not needed" if dropped else "")
    return {name: named[name].contiguous() for name in taken}, said


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:240]}" if text else type(error).__name__


def look(reference: Reference) -> tuple[str, ...]:
    """What is inferred of a reference, before a library is imported."""
    return infer(reference).lines
