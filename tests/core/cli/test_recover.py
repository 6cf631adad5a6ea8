"""`secateur recover`: what it prints, and how it refuses."""

import json

import pytest

from tests.core.cli.running import secateur

pytestmark = pytest.mark.usefixtures("own_folder")


def test_every_round_is_a_row_and_the_best_within_the_tolerance_is_named(trained):
    done = secateur("recover", trained, "--final", "0.5", "--rounds", "2", "--steps", "3", "--within", "100")
    assert done.exit_code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line[:1] in ("1", "2")]
    assert [row[:3] for row in rows] == [["1", "44", "%"], ["2", "50", "%"]]  # cubic: 0.5 · 7/8
    assert "n = 40" in done.stdout
    assert "Best round within 100.00 points: 2, with 50 % of the weights gone" in done.stdout
    assert "recoveries/" in done.stdout


def test_a_plan_in_a_file_is_followed(trained, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(secateur("plan", trained, "--uniform", "0.5").stdout)
    done = secateur("recover", trained, plan, "--schedule", "linear", "--rounds", "2", "--steps", "2", "--json")
    assert done.exit_code == 0, done.stderr
    run = json.loads(done.stdout)["run"]
    assert [round(row["sparsity"], 2) for row in run["result"]["history"]] == [0.25, 0.5]
    assert run["result"]["best"] is None


def test_rolling_back_to_a_round_goes_on_after_it_with_other_settings(trained):
    words = ("recover", trained, "--final", "0.5", "--rounds", "3", "--steps", "2", "--json")
    first = json.loads(secateur(*words).stdout)["run"]
    back = json.loads(secateur(*words, "--from", first["id"], "--round", "1", "--rate", "1e-4").stdout)["run"]
    histories = [run["result"]["history"] for run in (first, back)]
    assert histories[0][0] == histories[1][0]
    assert histories[0][1]["after"]["n"] == histories[1][1]["after"]["n"]
    for extra, message in (
        (("--round", "2"), "--round says which round of --from RUN"),
        (("--from", first["id"], "--round", "4"), "has the rounds 1 to 3, got round 4"),
        (("--from", "ffffffff"), "no run"),
    ):
        assert message in secateur(*words, *extra).stderr


def test_a_recovered_model_is_a_workload_that_can_be_swept(trained, tmp_path):
    out = tmp_path / "recovered.py"
    words = ("recover", trained, "--final", "0.5", "--rounds", "2", "--steps", "3", "--out", out)
    done = secateur(*words, "--json")
    assert done.exit_code == 0, done.stderr
    last = json.loads(done.stdout)["run"]["result"]["history"][-1]
    swept = json.loads(secateur("sweep", out, "--sparsities", "0.4", "--samples", "all", "--json").stdout)["report"]
    assert swept["dense"]["value"] == last["after"]["value"]
    assert "exists already; choose another name" in secateur(*words).stderr


def test_geometric_takes_the_rounds_that_a_fifth_each_needs(trained):
    done = secateur("recover", trained, "--schedule", "geometric", "--final", "0.5", "--steps", "0", "--json")
    assert len(json.loads(done.stdout)["run"]["result"]["history"]) == 4  # 0.8 ** 3 = 0.512, 0.8 ** 4 = 0.41


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--final", "90"), "Given a percentage? Divide by 100."),
        (("--schedule", "soon"), "no schedule 'soon'"),
        (("--rate", "-1"), "rate of the fine-tuning must be"),
        (("--given", "0.5,0.4"), "fall from 0.5 to 0.4"),
        (("--given", ""), "--given is empty"),
        (("--given", "0.5,0.8", "--rounds", "5"), "--given says every round, so --rounds would have no effect"),
        (("--criterion", "sparsegpt"), "changes the weights that stay, which training does anyway"),
        (("--within", "-1"), "expected a drop of at least 0 in points"),
        (("--out", "no/such/dir.py"), "there is no folder no/such; make it first"),
        (("--out", "model.txt"), "ends in .py, got model.txt"),
        (("--out", "model.py", "--detach"), "--detach does not wait"),
        (("--given", "0.5,x"), "expected values such as 0.5,0.8"),
        (("--spread", "even"), "no spread 'even'"),
        (("--optimiser", "lion"), "no optimiser 'lion'"),
        (("--hints", "fc7", "--steps", "1"), "no module 'fc7'"),
        (("--rate", "1e30", "--optimiser", "sgd", "--clip", "0", "--warmup", "0"), "lower the learning rate"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(trained, words, message):
    done = secateur("recover", trained, *words)
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert message in line


def test_tickets_are_held_against_dense_and_two_controls(trained):
    words = (
        "tickets",
        trained,
        "--rounds",
        "2",
        "--per-round",
        "0.5",
        "--seeds",
        "2",
        "--steps",
        "4",
        "--within",
        "1",
    )
    done = secateur(*words)
    assert done.exit_code == 0, done.stderr
    rows = [line.split()[:2] for line in done.stdout.splitlines() if line[:2] in ("50", "75")]
    assert rows == [["50", "%"], ["75", "%"]]
    assert "on 40 examples, mean of 2 seeds" in done.stdout
    assert "inning ticket" in done.stdout  # that there is one, or that there is none
    run = json.loads(secateur(*words, "--json").stdout)["run"]
    assert run["done"] == run["total"] == 2 * (1 + 3 * 2)
    assert run["result"]["tolerance"] == 0.01
    for extra, message in (
        (("--seeds", "1"), "at least two different whole numbers"),
        (("--rewind-step", "4"), "rewind_step must be below the 4 steps"),
        (("--scope", "row"), "no scope 'row'"),
    ):
        assert message in secateur(*words, *extra).stderr


def test_a_model_without_training_data_is_refused(net_file):
    done = secateur("recover", net_file)
    assert done.exit_code == 2
    assert "give the workload training=Examples(inputs, labels)" in done.stderr


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_learning_rate_of_10_ends_with_honest_figures_or_says_what_is_kept(trained, optimiser):
    words = ("recover", trained, "--final", "0.5", "--rounds", "2", "--steps", "30", "--optimiser", optimiser)
    done = secateur(*words, "--rate", "10", "--clip", "0", "--within", "1", "--json")
    if done.exit_code:
        (line,) = [line for line in done.stderr.splitlines() if line.strip()]
        assert "lower the learning rate, which is 10" in line
        assert "is kept" in line or "the dense model is what is left" in line
        return
    for row in json.loads(done.stdout)["run"]["result"]["history"]:
        assert row["after"]["n"] == 40  # a drop of what it is, or of what cannot be calculated: never none
        assert row["drop"]["value"] == pytest.approx(row["drop"]["value"])


def test_a_round_of_another_model_is_no_start(trained, write_file, net_text, with_training):
    words = ("--final", "0.5", "--rounds", "2", "--steps", "2", "--json")
    first = json.loads(secateur("recover", trained, *words).stdout)["run"]
    other = write_file("other.py", with_training(net_text.replace("manual_seed(0)", "manual_seed(1)")))
    refused = secateur("recover", other, *words, "--from", first["id"], "--round", "1")
    assert refused.exit_code == 2
    assert "made of other dense weights" in refused.stderr
    assert "choose a round of this model" in refused.stderr


def test_training_a_recovered_model_further_keeps_its_sparsity(trained, tmp_path):
    out = tmp_path / "recovered.py"
    words = ("--rounds", "1", "--steps", "3", "--json")
    assert secateur("recover", trained, "--final", "0.5", *words, "--out", out).exit_code == 0
    (row,) = json.loads(secateur("recover", out, "--final", "0", *words).stdout)["run"]["result"]["history"]
    assert row["sparsity"] == 0.5


@pytest.mark.plain
@pytest.mark.parametrize("option", [("--final", "0.9"), ("--spread", "lamp"), ("--criterion", "l2")])
def test_beside_a_plan_an_option_that_it_says_already_is_refused(trained, tmp_path, option):
    plan = tmp_path / "plan.json"
    plan.write_text(secateur("plan", trained, "--uniform", "0.5").stdout)
    done = secateur("recover", trained, str(plan), *option)
    assert done.exit_code == 2
    assert f"{option[0]} says what the plan" in done.stderr


def test_beside_a_plan_an_initial_sparsity_says_where_its_targets_start(trained, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(secateur("plan", trained, "--uniform", "0.5").stdout)
    words = ("--schedule", "linear", "--rounds", "2", "--steps", "0", "--initial", "0.25", "--json")
    done = secateur("recover", trained, plan, *words)
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["run"]["result"]["history"]
    assert [row["sparsity"] for row in rows] == pytest.approx([0.375, 0.5], abs=0.03)  # halfway from 0.25, the end


def test_rolling_back_to_more_than_is_asked_for_is_refused(trained):
    words = ("recover", trained, "--steps", "0", "--rounds", "2")
    run = json.loads(secateur(*words, "--final", "0.8", "--json").stdout)["run"]["id"]
    done = secateur(*words, "--final", "0.3", "--from", run, "--round", "1")
    assert done.exit_code == 2
    assert "weights that are gone do not come back" in done.stderr
