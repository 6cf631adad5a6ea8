"""Lottery tickets, on a model of a few weights."""

import json

import pytest
import torch
from torch import nn

from core import Examples, Workload, accuracy
from core.errors import SecateurError
from core.recovery.settings import FineTuning
from core.recovery.ticket_report import TicketReport, Trained, over_seeds
from core.recovery.ticket_request import TicketRequest
from core.recovery.tickets import Tickets, initialise, packed, prune, shuffled, unpacked

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
    start = experiment.start(1)
    model = small().model
    initialise(model, 1)
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items())
    masks = prune(start, experiment._all, 0.5, "global")
    experiment._model.load_state_dict(start)
    experiment._fit(1, masks)
    trained = experiment._model.state_dict()
    assert all(not trained[name][~mask].count_nonzero() for name, mask in masks.items())


def test_modules_that_cannot_be_reset_are_refused_by_name():
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(SecateurError, match="the model itself"):
        initialise(model, 0)


def test_a_ticket_wins_only_if_every_interval_says_so():
    def report(dense):
        values = {"ticket": 0.9, "reinitialised": 0.8, "random_mask": 0.7}
        units = [Trained(seed, 1, name, 0.8, value, 10, 1) for seed in (0, 1) for name, value in values.items()]
        units += [Trained(seed, 0, "dense", 0.0, dense, 10, 1) for seed in (0, 1)]
        return TicketReport(accuracy().scale, tuple(units))

    assert report(0.85).rows()[0].wins
    assert "80 %" in report(0.85).verdict()
    assert not report(0.95).rows()[0].wins
    assert report(0.95).verdict().startswith("No winning")


def test_the_interval_over_two_seeds_is_students():
    found = over_seeds([0.0, 2.0])  # mean 1, standard error 1, t(1) = 12.706
    assert (found.value, found.n) == (1.0, 2)
    assert found.high == pytest.approx(13.706, abs=1e-3)
