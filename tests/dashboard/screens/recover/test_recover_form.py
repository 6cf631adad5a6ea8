"""The form of the Recover screen: every field reaches the request, and bad text is answered in words."""

import pytest

from core import SecateurError
from core.recovery.recovery_words import GIVEN
from core.recovery.request import RecoverRequest
from dashboard.screens.recover.cutting_fields import CRITERIA, Cutting, fractions_of
from tests.dashboard.screens.tune.test_plans import button, texts
from tests.dashboard.test_screens import figure


def asked(runs, ref):
    (run,) = runs.list("recover", ref)
    return RecoverRequest.from_json(dict(run.request))


@pytest.mark.parametrize("text", ["50, 75, 90", "50 75 90", "50 %; 75 %; 90 %", " 50,75 ,90% "])
def test_percentages_are_read_however_they_are_separated(text):
    assert fractions_of(text) == (0.5, 0.75, 0.9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Type the sparsity after each round in percent, such as 50, 75, 90."),
        ("50, half", "“half” is no number; type percentages, such as 50, 75, 90."),
        ("50, 100", "100 % cannot be removed"),
        ("-5", "-5 % cannot be removed"),
        ("nan", "nan % cannot be removed"),
    ],
)
def test_what_is_no_list_of_percentages_is_answered_in_words(text, words):
    with pytest.raises(SecateurError) as caught:
        fractions_of(text)
    assert words in str(caught.value)


def test_with_a_plan_what_was_typed_is_stretched_to_end_with_what_the_plan_removes():
    cutting = Cutting(object(), GIVEN, 0.0, 0.3, 0, "20, 50, 60", "global", "magnitude", "all", "cpu")
    assert cutting.schedule().sparsities() == pytest.approx((0.1, 0.25, 0.3))


def test_sparsities_of_ones_own_are_drawn_and_asked_for(trained, started, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    app.selectbox(key=f"recover-schedule-{ref}").set_value(GIVEN).run()
    field = app.text_input(key=f"recover-given-{ref}")
    for text, words in (("50, half", "“half” is no number"), ("90, 50", "fall from 0.9 to 0.5")):
        field.set_value(text).run()
        assert words in texts(app)
        assert button(app, "Start").disabled
        assert not app.exception
    field.set_value("40, 60, 80").run()
    assert figure(app, "Planned sparsity")["data"][0]["y"] == pytest.approx([0, 40, 60, 80])
    button(app, "Start").click().run()
    assert asked(runs, ref).schedule.sparsities() == (0.4, 0.6, 0.8)


def test_what_few_need_is_in_the_request_too(trained, started, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    numbers = {
        "initial": 20.0, "samples": 500, "steps": 7, "last": 2.0, "batch_size": 32, "seed": 3, "weight_decay": 0.05,
        "clip": 0.5, "warmup": 25.0, "temperature": 4.0, "patience": 2,
    }  # fmt: skip
    for name, value in numbers.items():
        app.number_input(key=f"recover-{name}-{ref}").set_value(value)
    for name, value in (("criterion", "l2"), ("optimiser", "sgd"), ("decay", "linear")):
        app.selectbox(key=f"recover-{name}-{ref}").set_value(value)
    hints = app.multiselect(key=f"recover-hints-{ref}")
    hints.set_value(hints.options[:1])
    app.checkbox(key=f"recover-recalibrate-{ref}").uncheck()
    app.run()
    app.number_input(key=f"recover-hint_weight-{ref}").set_value(0.5)
    app.number_input(key=f"recover-momentum-{ref}").set_value(80.0)
    app.number_input(key=f"recover-validation-{ref}").set_value(20.0)
    app.text_input(key=f"recover-device-{ref}").set_value(" cpu ").run()
    assert app.number_input(key=f"recover-epochs-{ref}").disabled  # steps take their place
    assert "Greyed: epochs, for *Steps per round*" in texts(app)
    button(app, "Start").click().run()
    assert not app.exception, app.exception
    request = asked(runs, ref)
    how = request.fine_tuning
    assert (request.schedule.initial_sparsity, request.samples, request.criterion) == (0.2, 500, "l2")
    assert request.device == "cpu"
    assert (how.steps, how.last, how.batch_size, how.seed, how.weight_decay, how.clip) == (7, 2.0, 32, 3, 0.05, 0.5)
    assert (how.optimiser, how.momentum, how.decay, how.warmup) == ("sgd", 0.8, "linear", 0.25)
    assert (how.temperature, how.patience, how.validation) == (4.0, 2, 0.2)
    assert (how.hints, how.hint_weight, how.recalibrate) == (tuple(hints.options[:1]), 0.5, False)


def test_all_examples_are_asked_for_as_all_and_nothing_else_differs_from_the_defaults(trained, started, open_screen):
    runs, ref = trained
    button(open_screen("recover", ref), "Start").click().run()
    request = asked(runs, ref)
    usual = RecoverRequest(request.workload, tolerance=request.tolerance)
    assert request == usual


def test_a_device_that_there_is_not_and_a_start_beyond_the_end_are_answered_in_words(trained, started, open_screen):
    _, ref = trained
    app = open_screen("recover", ref)
    app.text_input(key=f"recover-device-{ref}").set_value("gpu").run()
    assert "There is no device “gpu”; write cpu, cuda" in texts(app)
    assert figure(app, "Planned sparsity")["data"][0]["y"][-1] == 90.0  # the schedule is fine
    app.text_input(key=f"recover-device-{ref}").set_value("cpu")
    app.number_input(key=f"recover-initial-{ref}").set_value(95.0).run()
    assert "final_sparsity 0.9 is below initial_sparsity 0.95" in texts(app)
    assert button(app, "Start").disabled


def test_criteria_that_change_the_weights_that_stay_are_not_offered():
    assert "magnitude" in CRITERIA
    assert "sparsegpt" not in CRITERIA
