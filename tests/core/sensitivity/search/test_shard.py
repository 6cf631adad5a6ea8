"""Shards: the same split everywhere, parts that cost about the same, and which part this process is."""

import pytest

from core import SecateurError
from core.sensitivity.search.shard import Shard, checked_shard, mine, parts_of, shard_here

pytestmark = [pytest.mark.plain]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_every_target_belongs_to_one_part_and_stays_whole(n):
    targets = [f"t{i}" for i in range(20) for _ in range(1 + i % 3)]
    parts = [mine(targets, f"{k}/{n}") for k in range(1, n + 1)]
    assert [sum(one) for one in zip(*parts, strict=True)] == [1] * len(targets)
    for part in parts:
        names = {name for name, is_mine in zip(targets, part, strict=True) if is_mine}
        assert part == [name in names for name in targets]


def test_parts_cost_about_the_same_whether_cells_are_replayed_or_not():
    targets = [f"t{i}" for i in range(152) for _ in range(10)]
    found = parts_of(targets, 8)
    full, replayed = [0] * 9, [0] * 9
    for i in range(152):
        full[found[f"t{i}"]] += 10
        replayed[found[f"t{i}"]] += 10 * (152 - i)
    for costs in (full[1:], replayed[1:]):
        assert max(costs) <= 1.12 * sum(costs) / 8


def test_the_split_hangs_on_nothing_but_names_and_numbers():
    targets = [f"t{i}" for i in range(50)]
    assert parts_of(targets, 4) == parts_of(list(targets), 4)
    assert parts_of(targets, 4) != parts_of(targets, 5)


def test_more_parts_than_targets_are_refused_by_those_that_have_nothing():
    assert sum(mine(["a", "b"], "1/3")) + sum(mine(["a", "b"], "2/3")) == 2
    with pytest.raises(SecateurError, match=r"shard 3/3 has nothing to measure: .* at most 2 shards"):
        mine(["a", "b"], "3/3")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1", "a/b", "1/3/5", "-1/3", "1/9999999", "", None, 1, "١/٣ "])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(SecateurError, match=r"a shard is K/N"):
        checked_shard(text)


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("2/3", {"SECATEUR_SHARD": "1/9"}, "2/3"),
        ("auto", {"SECATEUR_SHARD": "1/9", "SLURM_ARRAY_TASK_ID": "7"}, "1/9"),
        ("auto", {"SECATEUR_SHARD": "4", "SECATEUR_SHARD_COUNT": "9"}, "4/9"),
        ("auto/5", {"SECATEUR_SHARD": "4"}, "4/5"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "4"}, "1/4"),
        (
            "auto",
            {
                "SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "4",
            },
            "3/4",
        ),
        ("auto/8", {"JOB_COMPLETION_INDEX": "0"}, "1/8"),
        ("auto", {"JOB_COMPLETION_INDEX": "7", "SECATEUR_SHARD_COUNT": "8"}, "8/8"),
    ],
)  # fmt: skip
def test_a_job_says_which_part_it_is(text, environment, shard):
    assert str(shard_here(text, environment)) == shard


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("auto", {}, "nothing here says which shard this is"),
        ("auto", {"JOB_COMPLETION_INDEX": "3"}, "not of how many; give --shard auto/N"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "3"}, "does not say of how many it is"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "3"}, "does not say of how many it is"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "3"}, "a shard is K/N"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "3"}, "a shard is K/N"),
        ("auto", {"SECATEUR_SHARD": "2"}, "a shard is K/N"),
        ("automatic", {}, "a shard is K/N"),
    ],
)
def test_a_job_that_does_not_say_it_is_refused(text, environment, said):
    with pytest.raises(SecateurError, match=said):
        shard_here(text, environment)


def test_a_hundred_thousand_targets_are_dealt_to_a_thousand_parts():
    found = parts_of([f"t{i}" for i in range(100_000)], 1_000)
    assert sorted(set(found.values())) == list(range(1, 1_001))
    assert str(Shard(1, 2)) == "1/2"
