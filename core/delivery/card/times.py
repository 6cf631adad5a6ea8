"""Milliseconds of the models on a card: briefly, one example at a time, all in turn. A profile tells more."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.delivery.card.models import DENSE
from core.drafted import scratch
from core.engines import onnx_runtime
from core.engines.onnx_writer import write_onnx
from core.errors import SecateurError
from core.profiling.bench import Bench
from core.profiling.latency import Times, ratios_of, timed_rounds, timings_of, torch_threads, waiter
from core.profiling.machine import this_machine
from core.profiling.request import ProfileRequest
from core.sensitivity.measuring.measurement import Measurement

SECONDS = 2.0  # of timing in each engine; `FEWEST_ROUNDS` are made in any case
ROUNDS = 30
BATCH = 1
EAGER, ONNX = "eager", "onnx"


def times_of(
    measurement: Measurement, models: Mapping[str, nn.Module], graphs: Mapping[str, Path], seconds: float = SECONDS
) -> dict[str, Any]:
    """Time models as torch runs them, and ONNX graphs beside one of the dense model.

    Args:
        measurement: entered; the first of its examples is what they run on.
        models: by name, the dense one first. Copies are run.
        graphs: by name, files that ONNX Runtime reads; none: ONNX Runtime is not timed.
        seconds: of timing in each engine.

    Returns:
        `"machine"`, `"timings"` and `"ratios"` to the dense model, as in `core.profiling.report`; a model that
        an engine cannot run has none.
    """
    request = ProfileRequest((BATCH,), (None,), (EAGER,), ROUNDS, seconds)
    threads = torch.get_num_threads()
    given = measurement.inputs(0)
    bench = Bench(models, given, str(given[0].device), measurement.check, lambda done, total, phase: None)
    batch = bench.batch(BATCH)
    found: dict[str, tuple[Times, dict[str, int]]] = {}
    with torch.no_grad(), torch_threads(threads):
        forwards = {name: partial(model, *batch) for name, model in bench.models.items()}
        renew = partial(bench.renewed, inputs=batch)
        found[EAGER] = timed_rounds(forwards, request, bench.check, wait=waiter(bench.device), renew=renew)
        if graphs:
            with _sessions(bench, graphs, threads) as sessions:
                found[ONNX] = timed_rounds(sessions, request, bench.check)
    timings = [timing for name, times in found.items() for timing in timings_of(*times, name, BATCH, threads)]
    ratios = [ratio for name, (times, _) in found.items() for ratio in ratios_of(times, DENSE, name, BATCH, threads)]
    return {
        "machine": asdict(this_machine(bench.device)),
        "timings": [asdict(timing) for timing in timings],
        "ratios": [asdict(ratio) for ratio in ratios],
    }


@contextlib.contextmanager
def _sessions(bench: Bench, graphs: Mapping[str, Path], threads: int) -> Iterator[dict[str, Callable[[], Any]]]:
    """Forward passes of the graphs, and of the dense model's where it can be exported."""
    batch = tuple(tensor.cpu() for tensor in bench.batch(BATCH))
    with scratch() as folder:
        paths = dict(graphs)
        with contextlib.suppress(SecateurError):
            dense = Path(folder, "dense.onnx")
            write_onnx(bench.copy_of(bench.models[DENSE]).cpu(), tuple(t.cpu() for t in bench.batch(2)), dense)
            paths = {DENSE: dense, **graphs}
        yield {name: onnx_runtime.session(path, batch, threads) for name, path in paths.items()}
