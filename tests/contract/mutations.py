"""Breaks the checks of honesty on purpose, one at a time; for each a test must fail.

    python -m tests.contract.mutations               all of them, a minute or two
    python -m tests.contract.mutations "no trial"    this one

Ends with 1 where a mutation survives: a check that no test would miss.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[2]
CELLS = "tests/contract/test_contract.py::test_every_cell_is_right_or_refused_in_words"
HONESTY = "tests/contract/test_honesty.py::test"


def put(home: str, name: str, thing: Any) -> Callable[[], None]:
    """Something else in place of a name: `put("core.a.b:Class", "method", new)`."""

    def break_it() -> None:
        module, _, inside = home.partition(":")
        owner = importlib.import_module(module)
        if inside:
            owner = getattr(owner, inside)
        assert hasattr(owner, name), f"{home} has no {name} any more: say which check this mutation breaks"
        setattr(owner, name, thing)

    return break_it


def both(*steps: Callable[[], None]) -> Callable[[], None]:
    """One after the other."""

    def break_it() -> None:
        for step in steps:
            step()

    return break_it


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """A check that never objects."""


@contextmanager
def _no_guard(_self: Any) -> Iterator[None]:
    yield


def _everything_counts(_self: Any, labels: Any) -> Any:
    import torch

    return torch.ones(len(labels), dtype=torch.bool)


def _as_it_comes(_self: Any, outputs: Any, _name: str) -> Any:
    return outputs if not hasattr(outputs, "logits") else outputs.logits


def _believed_replay(self: Any, names: Any, _weights: Any) -> None:
    self._exact[names] = True


def _largest_of_all(theirs: Any, ours: Any, _terms: Any = None) -> float | None:
    """The measure that one huge entry blinds."""
    from core.workload.outputs import tensors_of

    first, second = tensors_of(theirs), tensors_of(ours)
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        return None
    largest = max(float(tensor.abs().nan_to_num(0, 0, 0).max()) for tensor in first)
    apart = max(float((a - b).nan_to_num(0, 0, 0).abs().max()) for a, b in zip(first, second, strict=True))
    return apart / largest if largest else 0.0


@dataclass(frozen=True)
class Mutation:
    """A check that is broken.

    Attributes:
        break_it: breaks it in this process, before any test runs.
        fails: tests each of which must fail then.
    """

    break_it: Callable[[], None]
    fails: tuple[str, ...]


REPLAYS = "tests/core/sensitivity/statistics/test_replays.py::test"
REPLAY = "tests/core/sensitivity/forwards/test_replay.py::test"
COMPARING = ("pt2_program", "onnx_graph", "huggingface_folder")
READING, EQUALITY = "core.workload.metrics.reading:Reading", "core.pruning.equality"
TRIAL, HELD = "core.pruning.trial:Trial", "core.sensitivity.measuring.held_model"
MUTATIONS: Mapping[str, Mutation] = MappingProxyType(
    {
        "a metric does not look at what it is given": Mutation(
            both(put(READING, "check", _nothing), put(READING, "check_labels", _nothing)),
            (f"{HONESTY}_a_metric_that_does_not_fit_is_refused",),
        ),
        "a declared range is believed": Mutation(
            put("core.workload.metric:Metric", "_check_range", _nothing),
            (f"{HONESTY}_a_score_outside_of_the_range_that_its_metric_declares_is_refused",),
        ),
        "losses in the type of the logits": Mutation(
            put(READING, "outputs", _as_it_comes), (f"{CELLS}[bfloat16 language model]",)
        ),
        "ignored labels count": Mutation(put(READING, "counted", _everything_counts), (f"{CELLS}[ignored labels]",)),
        "everything is equal": Mutation(
            put(EQUALITY, "distance", lambda *_: 0.0), (f"{CELLS}[mean taken off]", f"{CELLS}[softmax inside]")
        ),
        "equality is held against the largest entry": Mutation(
            put(EQUALITY, "distance", _largest_of_all),
            (f"{CELLS}[action mask]", f"{CELLS}[action mask of the smallest number]"),
        ),
        "no trial": Mutation(
            put(TRIAL, "failures", lambda *_: {}), (f"{CELLS}[mean taken off]", f"{CELLS}[interleaved gate]")
        ),
        "heads are offered by their names": Mutation(
            put("core.pruning.coupling.head_traces", "untraced_heads", lambda *_: ({}, {})),
            (
                f"{CELLS}[size heads order]",
                "tests/core/pruning/coupling/test_head_traces.py::test_what_is_no_head_is_no_row",
            ),
        ),
        "an example may look at its batch": Mutation(
            put(HELD, "dependence", _nothing), (f"{CELLS}[in batch statistics]", f"{CELLS}[drifting buffer]")
        ),
        "scores may look at their batch": Mutation(
            put(HELD, "dependence_of_scores", _nothing),
            (
                "tests/core/sensitivity/forwards/test_partners.py::test_a_metric_that_takes_its_negatives_from_the_batch_is_refused",
            ),
        ),
        "data may change with every load": Mutation(
            put("core.workload.examples", "TWICE", 0),
            ("tests/core/workload/test_examples.py::test_items_that_are_others_when_they_are_drawn_again_are_refused",),
        ),
        "a sample shows its whole tail": Mutation(
            put("core.sensitivity.statistics.reach", "tails", lambda *_: (0.0, 0.0)),
            (
                f"{REPLAYS}_intervals_hold_the_truth_where_tails_are_heavy_or_examples_rarely_move",
                f"{REPLAYS}_one_score_that_moves_a_little_does_not_switch_the_floor_off",
            ),
        ),
        "twenty examples may decide": Mutation(
            put("core.sensitivity.search.curtailment", "LEAST", 2),
            (
                "tests/core/sensitivity/search/test_curtailment.py::test_a_few_examples_without_a_range_decide_nothing_however_clear_they_are",
            ),
        ),
        "evidence is read as it lies": Mutation(
            put("core.sensitivity.evidence", "seal", lambda *_: b""),
            (f"{HONESTY}_damaged_evidence_is_not_served",),
        ),
        "what came by merging is one's own": Mutation(
            put("core.jobs.strangers", "is_stranger", lambda *_: False),
            ("tests/core/jobs/test_strangers.py::test_nothing_starts_on_a_file_that_came_by_merging",),
        ),
        "nobody runs the model twice": Mutation(
            put(f"{HELD}:HeldModel", "seconds_of_a_pass", lambda _self: 0.0), (f"{CELLS}[random in evaluation]",)
        ),
        "a model may write into its weights": Mutation(
            put("core.workload.kept_state:KeptState", "guarded_parameters", _no_guard),
            (f"{HONESTY}_a_model_that_writes_into_its_weights_is_refused",),
        ),
        "buffers stay as a pass left them": Mutation(
            both(
                put("core.workload.kept_state:KeptState", "restore_buffers", _nothing),
                put("core.workload.kept_state:KeptState", "restore", _nothing),
            ),
            (f"{CELLS}[counts in a buffer]",),
        ),
        "weights are believed": Mutation(
            put("core.workload.workload:Workload", "_check_weights", _nothing),
            (f"{HONESTY}_weights_that_are_no_numbers_are_refused",),
        ),
        "calibration may be evaluation": Mutation(
            put("core.workload.examples:Examples", "example_hashes", lambda _self: set()),
            (f"{HONESTY}_examples_that_a_criterion_has_seen_are_not_judged_on",),
        ),
        "the workspace is believed about the dense model": Mutation(
            put("core.sensitivity.forwards.dense_scores", "_alike", lambda *_: True),
            (f"{HONESTY}_what_the_workspace_remembers_of_the_dense_model_is_compared_with_a_fresh_pass",),
        ),
        "a replay is believed": Mutation(
            put("core.sensitivity.forwards.replayed:ReplayForwards", "verify", _believed_replay),
            (f"{REPLAY}_a_replay_that_gives_something_else_is_not_relied_on",),
        ),
        "what a format gives is believed": Mutation(
            both(*(put(f"core.delivery.formats.{home}", "compared_outputs", lambda *_: 0.0) for home in COMPARING)),
            ("tests/core/delivery/formats/test_formats.py::test_small_models_are_held_and_a_change_in_memory_is_seen",),
        ),
        "a program may name anything": Mutation(
            put("core.workload.programs.archive", "_check_program", _nothing),
            ("tests/core/delivery/formats/test_pt2_gate.py::test_an_operator_that_reaches_outside_is_refused",),
        ),
    }
)


def _run(tests: tuple[str, ...], mutation: str | None) -> set[str]:
    """Run tests in a process; those that failed."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-p", "tests.contract.mutating"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop("SECATEUR_MUTATION", None)
    if mutation is not None:
        env["SECATEUR_MUTATION"] = mutation
    ran = subprocess.run([*command, "-q", "-rfE", "--tb=no", *tests], cwd=ROOT, env=env, capture_output=True, text=True)
    lines = ran.stdout.splitlines()
    failed = {line.split(" ", 1)[1].split(" - ")[0] for line in lines if line.startswith(("FAILED ", "ERROR "))}
    if ran.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return failed


def survivors(names: list[str]) -> list[str]:
    """Mutations that some of their tests do not notice, with the tests; and tests that fail without any."""
    wanted = tuple(sorted({test for name in names for test in MUTATIONS[name].fails}))
    found = [f"{test} fails without a mutation" for test in _run(wanted, None)]
    for name in names:
        failed = _run(MUTATIONS[name].fails, name)
        missed = [test for test in MUTATIONS[name].fails if not any(one.startswith(test) for one in failed)]
        print(
            f"{'survives' if missed else 'noticed ':8}  {name}",
            *missed,
            sep="\n            " if missed else "",
            flush=True,
        )
        found += [f"{name}: {test} does not notice" for test in missed]
    return found


if __name__ == "__main__":
    alive = survivors(sys.argv[1:] or list(MUTATIONS))
    print(*alive, sep="\n")
    sys.exit(bool(alive))
