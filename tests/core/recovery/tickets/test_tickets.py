"""Lottery tickets, on a model of a few weights."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core import Examples, Workload, accuracy, load_workload
from core.errors import SecateurError
from core.recovery.settings import FineTuning
from core.recovery.tickets.experiment import Tickets
from core.recovery.tickets.masks import packed, prune, shuffled, unpacked
from core.recovery.tickets.report import VARIANTS, TicketReport, Trained, chance_above, over_seeds
from core.recovery.tickets.request import TicketRequest
from core.recovery.training.initial_weights import initialise
from core.workload.discovery import find_targets
from sample_models.fashion_vit import FashionViT
from sample_models.tiny_gpt import TinyGPT

SETTINGS = FineTuning(steps=4, distillation=0.0, batch_size=8)


def small() -> Workload:
    points = torch.randn(48, 2, generator=torch.Generator().manual_seed(1))
    labels = (points[:, 0] > points[:, 1]).long()
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
    training = Examples(points[:32], labels[:32])
    return Workload("small", model, Examples(points[32:], labels[32:]), accuracy(), training=training)


def request(**fields):
    return TicketRequest("small", **{"rounds": 2, "seeds": (0, 1), "fine_tuning": SETTINGS, **fields})


def test_a_run_that_goes_on_gives_the_same_report_as_one_that_was_never_stopped(tmp_path):
    whole = Tickets(small(), request(rewind_step=2)).run()
    seen = []

    def stop(unit):
        seen.append(unit)
        if len(seen) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Tickets(small(), request(rewind_step=2), tmp_path, stop).run()
    again = Tickets(small(), request(rewind_step=2), tmp_path)
    assert again.run() == whole
    assert len(whole.trained) == again.n_units == 14
    assert TicketReport.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def test_the_smallest_of_the_rest_go_globally_or_per_layer():
    state = {"a": torch.tensor([[1.0, -2.0]]), "b": torch.tensor([[3.0, 4.0]])}
    masks = {name: torch.ones(1, 2, dtype=torch.bool) for name in state}
    assert prune(state, masks, 0.5, "global")["a"].tolist() == [[False, False]]
    assert prune(state, masks, 0.5, "layer")["b"].tolist() == [[False, True]]
    cut = prune(state, masks, 0.5, "layer")
    assert all(torch.equal(mask, cut[name]) for name, mask in unpacked(packed(cut), masks).items())
    assert [int(m.sum()) for m in shuffled(cut, 3).values()] == [1, 1]


def test_rewound_weights_are_bit_equal_where_kept_and_masks_are_held():
    experiment = Tickets(small(), request())
    start = experiment.start(1).model
    model = small().model
    initialise(model, 1)
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items())
    masks = prune(start, experiment._all, 0.5, "global")
    experiment._model.load_state_dict(start)
    experiment._fit(1, masks)
    trained = experiment._model.state_dict()
    assert all(not trained[name][~mask].count_nonzero() for name, mask in masks.items())


def shaken(inputs, generator):
    return inputs + 0.1 * torch.randn(inputs.shape, generator=generator) * torch.rand(())  # of torch's own too


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("step", [1, 4, 6])  # 4 steps an epoch: inside the first, at its end, inside the second
def test_a_rewound_ticket_that_keeps_everything_is_the_dense_model(step, optimiser):
    model = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2))
    how = replace(SETTINGS, steps=9, optimiser=optimiser)
    experiment = Tickets(replace(small(), model=model, augment=shaken), request(rewind_step=step, fine_tuning=how))
    start = experiment.start(1)
    steps, ends = {}, {}
    for _ in range(2):  # the moment is as it was after a training went on from it
        for variant in ("dense", "ticket", "reinitialised"):
            steps[variant] = experiment._train(1, 1, variant, experiment._all, start).steps
            ends[variant] = {name: tensor.clone() for name, tensor in experiment._model.state_dict().items()}
        assert all(torch.equal(tensor, ends["ticket"][name]) for name, tensor in ends["dense"].items())
        assert not torch.equal(ends["dense"]["0.weight"], ends["reinitialised"]["0.weight"])
    assert steps == {"dense": 9, "ticket": 9 - step, "reinitialised": 9}


def test_a_rewound_run_makes_what_is_left_of_the_dense_steps_under_its_masks():
    experiment = Tickets(small(), request(rewind_step=3))
    report = experiment.run()
    found = {(unit.variant, unit.steps) for unit in report.trained}
    assert found == {("dense", 4), ("ticket", 1), ("random_mask", 1), ("reinitialised", 4)}
    masks = prune(experiment.start(0).model, experiment._all, 0.5, "global")
    for variant in ("ticket", "random_mask"):
        experiment._train(0, 1, variant, masks, experiment.start(0))
        zeros = sum(int((experiment._model.get_parameter(name) == 0).sum()) for name in masks)
        assert zeros == 12  # half of 24, though the optimiser remembers their gradients


def test_a_dense_training_that_stops_before_the_step_to_rewind_to_is_refused():
    how = replace(SETTINGS, steps=40, rate=0.0, patience=1, validation=0.25)  # 3 steps an epoch; nothing gets better
    with pytest.raises(SecateurError, match="seed 0 stopped early, after 6 steps, and never came to rewind_step 20"):
        Tickets(small(), request(rewind_step=20, fine_tuning=how)).run()


def test_trainings_of_another_course_are_not_taken_for_these(monkeypatch):
    now = Tickets(small(), request()).key()
    monkeypatch.setattr("core.recovery.tickets.experiment.COURSE", 1)
    assert Tickets(small(), request()).key() != now


def test_modules_that_cannot_be_reset_are_refused_by_name():
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(SecateurError, match="the model itself"):
        initialise(model, 0)


def better_by(*rounds, dense=0.4):
    """A report of rounds: of each, by how many points every seed's ticket is better than both controls."""
    units = []
    for seed in range(len(rounds[0])):
        ticket = 0.5 + 0.001 * seed  # over dense of 3 seeds: 0.101, standard error 0.001 / sqrt(3)
        units.append(Trained(seed, 0, "dense", 0.0, dense, 1000, 1))
        for number, points in enumerate(rounds, start=1):
            control = ticket - points[seed] / 100
            values = {"ticket": ticket, "reinitialised": control, "random_mask": control}
            units += [Trained(seed, number, name, 1 - 0.5**number, value, 1000, 1) for name, value in values.items()]
    return TicketReport(accuracy().scale, tuple(units))


def test_a_ticket_wins_only_if_every_claim_is_shown():
    assert [row.round for row in better_by((3, 4, 5)).winning()] == [1]
    assert "at sparsities 50 %" in better_by((3, 4, 5)).verdict()
    assert better_by((1, 2, 3)).verdict().startswith("No winning")  # 2 points, standard error 0.577: t(2) = 3.46
    assert better_by((1, 2, 3)).rows()[0].chance == pytest.approx(0.0371, abs=1e-4)
    assert not better_by((3, 4, 5), dense=0.6).winning()


def test_what_is_found_among_several_sparsities_must_be_surer_than_of_one():
    nothing = (0, 1, -1)
    assert not better_by((3, 4, 5), nothing, nothing).winning()  # 0.0101 of one, but 3 * 0.0101 > 0.025
    # Holm's: 4 * 0.0017, 3 * 0.0065, 2 * 0.0101 and 1 * 0.0371 against 0.025; by Bonferroni's only the first is left
    several = better_by((1, 2, 3), (4, 5, 6), (9, 10, 11), (3, 4, 5))
    assert [row.round for row in several.winning()] == [2, 3, 4]
    assert "(of 4 sparsities looked at, with Holm's correction for so many)" in several.verdict()
    assert "of 3 sparsities looked at" in better_by(nothing, nothing, nothing).verdict()


def test_seeds_that_all_say_the_same_are_no_certainty():
    for n in (2, 5):
        assert (over_seeds([0.1] * n).low, over_seeds([0.0] * n).high) == (-math.inf, math.inf)
        assert not better_by((10,) * n).winning()
    assert over_seeds([0.9 - 0.8, 0.8 - 0.7]).low == -math.inf  # which differ by 3e-17
    equal = over_seeds([0.1] * 6)  # a range of six values holds the median with 1 - 2 / 2**6 = 97 %
    assert (equal.low, equal.high) == pytest.approx((0.1, 0.1))
    assert (chance_above(equal, 0.0), chance_above(equal, 0.2)) == (1 / 64, 1.0)
    assert chance_above(over_seeds([0.0, 1.0]), 0.5) == pytest.approx(0.5)
    assert chance_above(over_seeds([0.3]), 0.0) == 1.0


@pytest.mark.parametrize(("n_seeds", "rounds", "n"), [(2, 20, 10), (5, 40, 10_000), (8, 20, 20)])
def test_of_three_arms_that_are_alike_at_most_one_search_in_twenty_finds_a_ticket(n_seeds, rounds, n):
    generator = np.random.default_rng(3)
    arms = ("ticket", "reinitialised", "random_mask")
    units = [Trained(seed, 0, "dense", 0.0, -100.0 - seed, n, 1) for seed in range(n_seeds)]  # it decides nothing
    places = [(seed, number, name) for seed in range(n_seeds) for number in range(1, rounds + 1) for name in arms]
    false = 0
    for _ in range(400):
        right = generator.binomial(n, 0.95, len(places)) / n
        drawn = [Trained(*place, 0.9, float(x), n, 1) for place, x in zip(places, right, strict=True)]
        false += bool(TicketReport(accuracy().scale, (*units, *drawn)).winning())
    assert false <= 20  # 5 %


def test_the_interval_over_two_seeds_is_students():
    found = over_seeds([0.0, 2.0])  # mean 1, standard error 1, t(1) = 12.706
    assert (found.value, found.n) == (1.0, 2)
    assert found.high == pytest.approx(13.706, abs=1e-3)


class Drawn(nn.Module):
    """A model that draws a parameter of its own, and one of its layer's again."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.scale = nn.Parameter(torch.empty(2))
        self.register_buffer("calls", torch.zeros(()))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.constant_(self.scale, 1.0)
        nn.init.constant_(self.layer.weight, 0.25)

    def forward(self, x):
        if self.training:
            self.calls += 1
        return self.layer(x) * self.scale * (1 + self.calls / 100)


def test_a_module_that_holds_others_has_the_last_word_about_their_weights():
    model = nn.Sequential(nn.Linear(2, 3), Drawn())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    initialise(model, 0)
    assert (model[1].scale == 1).all()
    assert (model[1].layer.weight == 0.25).all()
    assert not (model[0].weight == 7).any()
    assert not (model[1].layer.bias == 7).any()


def test_a_buffer_that_nobody_resets_starts_every_training_alike(tmp_path):
    workload = replace(small(), model=nn.Sequential(nn.Linear(2, 3), Drawn()))
    whole = Tickets(workload, request(), tmp_path).run()
    for path in tmp_path.rglob("1-*.json"):
        path.unlink()
    assert Tickets(workload, request(), tmp_path).run() == whole


def test_other_code_of_the_initial_weights_is_another_experiment():
    class Wider(Drawn):
        def reset_parameters(self):
            super().reset_parameters()
            nn.init.constant_(self.layer.weight, 0.5)

    one, other = (nn.Sequential(nn.Linear(2, 3), make()) for make in (Drawn, Wider))
    other.load_state_dict(one.state_dict())
    keys = {Tickets(replace(small(), model=model), request()).key() for model in (one, other)}
    assert len(keys) == 2


class Frozen(nn.Module):
    """A part that the author froze, in a module that would draw it anew, before a layer that learns."""

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(2, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)
        self.scale = nn.Parameter(torch.full((6,), 3.0), requires_grad=False)
        self.reset_parameters()
        self.norm.running_mean.fill_(0.5)
        for part in (self.body, self.norm):
            part.requires_grad_(False)

    def reset_parameters(self):
        for parameter in (self.scale, self.body.weight, self.head.weight):
            nn.init.normal_(parameter)
        self.norm.reset_running_stats()

    def forward(self, x):
        return self.head(self.norm(self.body(x)).relu() * self.scale)


def test_what_the_author_froze_is_neither_drawn_nor_cut_nor_trained():
    workload = replace(small(), model=Frozen())
    before = {name: tensor.clone() for name, tensor in workload.model.state_dict().items()}
    experiment = Tickets(workload, request(rewind_step=1))
    assert list(experiment._all) == ["head.weight"]
    start = experiment.start(0).model
    assert not torch.equal(start["head.weight"], before["head.weight"])
    for variant in ("dense", *VARIANTS):
        masks = prune(start, experiment._all, 0.5, "global")
        experiment._train(0, 1, variant, masks, experiment.start(0))
        for name, parameter in experiment._model.named_parameters():
            assert torch.equal(parameter, before[name]) == (not name.startswith("head")), (variant, name)
    experiment._initialise(1)
    assert torch.equal(experiment._model.norm.running_mean, before["norm.running_mean"])


def test_a_frozen_parameter_needs_no_way_to_draw_it():
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("scale", nn.Parameter(torch.ones(1), requires_grad=False))
    initialise(model, 0)
    assert model.scale == 1


def test_a_model_that_is_frozen_as_a_whole_was_loaded_to_be_used_and_all_of_it_is_trained():
    free, frozen = small(), replace(small(), model=small().model.requires_grad_(False))
    experiments = [Tickets(workload, request()) for workload in (free, frozen)]
    assert experiments[0].key() == experiments[1].key()
    assert experiments[0].run() == experiments[1].run()
    assert not any(parameter.requires_grad for parameter in frozen.model.parameters())


def test_a_model_with_another_part_frozen_is_another_experiment_and_one_without_a_free_layer_is_none():
    workload, bias = small(), small()
    bias.model[2].bias.requires_grad_(False)
    assert Tickets(workload, request()).key() != Tickets(bias, request()).key()
    for layer in (bias.model[0], bias.model[2]):
        layer.weight.requires_grad_(False)
    with pytest.raises(SecateurError, match="no layer whose weights can be cut and are not frozen"):
        Tickets(bias, request())


@pytest.mark.parametrize("name", ["fashion-resnet", "fashion-vit", "tiny-gpt"])
def test_tickets_of_every_sample_prune_what_a_sweep_could(name):
    workload = load_workload(name)
    targets = [target for target in find_targets(workload.model)[0] if target.granularity == "weight"]
    asked = request(rounds=1, per_round=0.5, samples=20, fine_tuning=FineTuning(steps=1, distillation=0, batch_size=4))
    before = {name: tensor.clone() for name, tensor in workload.model.state_dict().items()}
    experiment = Tickets(workload, asked)
    assert {n: m.numel() for n, m in experiment._all.items()} == {t.parameter: t.n_weights for t in targets}
    report = experiment.run()
    assert len(report.trained) == experiment.n_units == 8
    assert [unit.sparsity for unit in report.trained if unit.round] == pytest.approx([0.5] * 6, abs=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in workload.model.state_dict().items())


@pytest.mark.parametrize("make", [FashionViT, TinyGPT])
def test_a_sample_is_reset_to_the_spread_that_its_constructor_draws(make):
    torch.manual_seed(0)  # of a few values the spread varies
    model = make()
    fresh = {name: parameter.detach().std().item() for name, parameter in model.named_parameters()}
    initialise(model, 5)
    for name, parameter in model.named_parameters():
        assert parameter.detach().std().item() == pytest.approx(fresh[name], rel=0.35), name


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(SecateurError, match="device 'cuda' cannot be used here"):
        Tickets(small(), request(device="cuda"))


def test_trainings_by_another_loss_are_not_taken_for_these():
    def doubled(outputs, labels):
        return 2 * nn.functional.cross_entropy(outputs, labels, reduction="none")

    other = replace(small(), metric=replace(small().metric, loss=doubled))
    assert Tickets(other, request()).key() != Tickets(small(), request()).key()


def test_a_ticket_is_judged_on_none_of_the_examples_that_are_set_aside_for_certificates():
    x = torch.randn(1500, 2, generator=torch.Generator().manual_seed(2))
    labels = (x[:, 0] > x[:, 1]).long()
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    others = labels.clone()
    others[order[1200:]] = 1 - labels[order[1200:]]
    asked = request(rounds=1, per_round=0.5)

    def found(labels, **fields):
        workload = replace(small(), evaluation=Examples(x, labels))
        return [(unit.n, unit.metric) for unit in Tickets(workload, replace(asked, **fields)).run().trained]

    assert found(labels) == found(others)  # what is set aside might be labelled in any way
    assert {n for n, _ in found(labels)} == {1200}
    others = labels.clone()
    others[order[300:]] = 1 - labels[order[300:]]
    assert found(labels, samples=300) == found(others, samples=300)  # drawn, not the first of the file
    with pytest.raises(SecateurError, match="300 of the 1,500 evaluation examples of small are set aside"):
        Tickets(replace(small(), evaluation=Examples(x, labels)), request(samples=1300))


def test_trainings_of_older_builds_are_taken_where_they_were_judged_on_the_same_examples():
    workload = small()
    whole = Tickets(workload, request()).key()
    part = Tickets(workload, request(samples=12)).key()
    assert whole != part
    assert Tickets(workload, request(samples=16)).key() != whole  # another request, as before
