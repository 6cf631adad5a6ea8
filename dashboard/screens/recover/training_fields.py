"""The fields of how a pruned model is trained in every round."""

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from streamlit.delta_generator import DeltaGenerator

from core.recovery.settings import Decay, FineTuning, Optimiser
from core.workload.description import Description

OPTIMISERS: tuple[Optimiser, ...] = get_args(Optimiser)
DECAYS: tuple[Decay, ...] = get_args(Decay)
Number = TypeVar("Number", int, float)


def draw(
    ref: str, found: Description, place: DeltaGenerator, more: DeltaGenerator, usual: FineTuning
) -> dict[str, Any]:
    """The fields; those that few need go into `more`.

    Args:
        ref, found: the model.
        place, more: where they stand.
        usual: what stands in them at first.

    Returns:
        What stands in them, as fields of `FineTuning`.
    """

    def number(
        where: DeltaGenerator, name: str, label: str, low: Number, high: Number | None, step: Number, **words: Any
    ) -> Number:
        """A field whose number is the setting's own."""
        return where.number_input(
            label, low, high, getattr(usual, name), step, key=f"recover-{name}-{ref}", persist_state="session", **words
        )  # fmt: skip

    def percent(where: DeltaGenerator, name: str, label: str, **words: Any) -> float:
        """A field in percent of a setting that is a fraction in [0, 1)."""
        key, share = f"recover-{name}-{ref}", 100 * getattr(usual, name)
        return where.number_input(label, 0.0, 99.0, share, 5.0, key=key, persist_state="session", **words) / 100

    a, b, c, d = more.columns(4, vertical_alignment="bottom")
    steps = a.number_input(
        "Steps per round", 0, None, usual.steps, 10, key=f"recover-steps-{ref}", persist_state="session",
        placeholder="by epochs", help="Optimiser steps in place of epochs; empty for epochs.",
    )  # fmt: skip
    asked: dict[str, Any] = {
        "steps": steps,
        "last": number(b, "last", "Last round, times as long", 1.0, None, 1.0),
        "batch_size": number(c, "batch_size", "Batch size", 1, None, 16),
        "seed": number(d, "seed", "Seed", 0, None, 1, help="Of the order of examples, augmentation and dropout."),
    }
    a, b, c, d = more.columns(4, vertical_alignment="bottom")
    asked["optimiser"] = a.selectbox(
        "Optimiser", OPTIMISERS, OPTIMISERS.index(usual.optimiser), key=f"recover-optimiser-{ref}",
        persist_state="session",
    )  # fmt: skip
    asked["momentum"] = percent(b, "momentum", "Momentum, %", disabled=asked["optimiser"] != "sgd", help="Of SGD.")
    asked["weight_decay"] = number(c, "weight_decay", "Weight decay", 0.0, None, 1e-2, format="%.3g")
    asked["clip"] = number(
        d, "clip", "Gradients, largest norm", 0.0, None, 0.5, format="%.3g", help="Of all together; 0 for no limit."
    )  # fmt: skip
    a, b, c, d = more.columns(4, vertical_alignment="bottom")
    asked["decay"] = a.selectbox(
        "Decay of the rate", DECAYS, DECAYS.index(usual.decay), key=f"recover-decay-{ref}", persist_state="session",
        help="How the learning rate goes to zero in every round, or that it stays.",
    )  # fmt: skip
    asked["warmup"] = percent(b, "warmup", "Warm-up, %", help="Share of a round's steps over which the rate rises.")
    asked["patience"] = number(
        c, "patience", "Patience, epochs", 0, None, 1,
        help="Epochs without progress on held-back training examples that end a round; 0: never.",
    )  # fmt: skip
    asked["validation"] = percent(
        d, "validation", "Held back, %", disabled=not asked["patience"], help="Of the training examples, for patience."
    )  # fmt: skip
    a, b, c, d = more.columns(4, vertical_alignment="bottom")
    asked["temperature"] = number(
        a, "temperature", "Temperature", 0.1, None, 0.5, format="%.3g",
        help="Of distillation: both models' outputs are divided by it before they are compared.",
    )  # fmt: skip
    names = sorted({target.name for target in (*found.block_targets, *found.weight_targets)})
    known = [*names, *(one for one in usual.hints if one not in names)]  # others can be typed
    hints = b.multiselect(
        "Hints", known, list(usual.hints), key=f"recover-hints-{ref}", persist_state="session", accept_new_options=True,
        placeholder="none", help="Modules whose outputs shall be like the dense model's; others can be typed.",
    )  # fmt: skip
    asked["hints"] = tuple(hints)
    asked["hint_weight"] = number(
        c, "hint_weight", "Weight of hints", 0.0, None, 0.5, format="%.3g", disabled=not hints
    )  # fmt: skip
    asked["recalibrate"] = d.checkbox(
        "Recalibrate", usual.recalibrate, key=f"recover-recalibrate-{ref}", persist_state="session",
        help="Estimate the statistics of batch normalisation anew, before training and after.",
    )  # fmt: skip
    if greyed := greyed_text(asked["optimiser"], asked["patience"], hints):
        more.caption(greyed)
    a, b, c = place.columns(3, vertical_alignment="bottom")
    asked["epochs"] = number(
        a, "epochs", "Epochs per round", 0.0, None, 0.5, disabled=steps is not None,
        help="Passes over the training examples; 0 trains nothing.",
    )  # fmt: skip
    asked["rate"] = number(
        b, "rate", "Learning rate", 0.0, None, 1e-4, format="%.3g", help="The highest of a round."
    )  # fmt: skip
    asked["distillation"] = number(
        c, "distillation", "Distillation", 0.0, 1.0, 0.1,
        help="Weight of the loss against the dense model's outputs; the labels' has the rest.",
    )  # fmt: skip
    if steps is not None:
        place.caption("Greyed: epochs, for *Steps per round* (more about the training) take their place.")
    return asked


def greyed_text(optimiser: str, patience: float, hints: Sequence[str]) -> str:
    """Which of the fields that few need are greyed and why; empty if none is."""
    why = [
        *(["momentum, which is SGD's"] if optimiser != "sgd" else []),
        *(["what is held back, which only a patience looks at"] if not patience else []),
        *(["the weight of hints, of which there are none"] if not hints else []),
    ]
    return f"Greyed: {'; '.join(why)}." if why else ""
