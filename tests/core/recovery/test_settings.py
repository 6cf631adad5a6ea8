"""How to fine-tune, checked before anything is trained."""

import pytest

from core import FineTuning, SecateurError


def test_the_rate_rises_and_falls():
    how = FineTuning(rate=1.0, warmup=0.2, decay="linear")
    assert [round(how.rate_at(step, 10), 6) for step in range(10)] == [
        0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125
    ]  # fmt: skip
    assert FineTuning(rate=2.0, warmup=0.0, decay="constant").rate_at(7, 10) == 2
    cosine = FineTuning(rate=1.0, warmup=0.0)
    assert (cosine.rate_at(0, 4), cosine.rate_at(2, 4)) == (1.0, pytest.approx(0.5))


@pytest.mark.parametrize(
    ("fields", "n", "last"),
    [
        ({"epochs": 2}, 8, 8),
        ({"epochs": 0.5, "last": 3}, 2, 6),
        ({"steps": 5, "last": 2}, 5, 10),
        ({"steps": 0}, 0, 0),
        ({"epochs": 0.01}, 1, 1),
        ({"epochs": 0}, 0, 0),
    ],
)
def test_steps_of_a_round_by_hand(fields, n, last):
    how = FineTuning(batch_size=100, **fields)  # 350 examples: 4 steps an epoch
    assert (how.n_steps(350, is_last=False), how.n_steps(350, is_last=True)) == (n, last)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimiser": "lion"}, r"no optimiser 'lion'; choose one of \['adamw', 'sgd'\]"),
        ({"decay": "step"}, "no decay 'step'"),
        ({"rate": -1}, "rate of the fine-tuning must be a number of at least 0"),
        ({"rate": float("nan")}, "rate of the fine-tuning"),
        ({"epochs": float("inf")}, "epochs of the fine-tuning"),
        ({"distillation": 1.5}, r"a fraction in \[0, 1\]"),
        ({"temperature": 0}, "above 0"),
        ({"validation": 1.0}, "validation of the fine-tuning must be a fraction"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"patience": 2, "validation": 0}, "patience wants examples that are held back"),
        ({"last": 0.5}, "last of the fine-tuning must be a number of at least 1"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(SecateurError, match=message):
        FineTuning(**fields)


def test_whoever_waits_for_progress_holds_back_at_least_one_example():
    assert [FineTuning(patience=1, validation=share).n_held(300) for share in (0.001, 0.1)] == [1, 30]
    assert FineTuning(validation=0.1).n_held(300) == 0
