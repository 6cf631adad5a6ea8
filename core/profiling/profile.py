"""Profiling: what models cost to keep and to run, measured beside each other."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.drafted import scratch
from core.engines.engine import Build, Forward, quiet, reason_of, trusted
from core.engines.registry import ENGINES
from core.profiling.bench import Bench
from core.profiling.latency import Times, ratios_of, timed_rounds, timings_of, torch_threads, waiter
from core.profiling.layer_costs import Meter, flops_by_module, layer_costs
from core.profiling.machine import this_machine
from core.profiling.memory import bytes_compressed, bytes_on_disk, peak_bytes
from core.profiling.report import LayerCost, ProfileReport, Saving, Size, SpeedRatio, Timing, Unavailable
from core.profiling.request import FEWEST_ROUNDS, ProfileRequest
from core.profiling.savings import Cuts, n_groups, savings
from core.pruning.equality import terms_of

NO_CUTS: Cuts = MappingProxyType({})

FEW = 8  # examples that tell how large the numbers are that an output is made of


def profile(
    variants: Mapping[str, nn.Module],
    inputs: Sequence[Tensor],
    request: ProfileRequest | None = None,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[int, int, str], None] = lambda done, total, phase: None,
    workload: str = "",
    cuts: Cuts = NO_CUTS,
) -> ProfileReport:
    """Measure sizes, times and the costs of layers of some models.

    All models are timed in turn, round after round, in the same engine at the same setting, so that the ratio of two
    holds although the machine is busy with other things too. An engine that cannot run a model, or gives other outputs
    than torch, is no error: the report says why it has no time.

    Args:
        variants: models by name, the one that others are compared with first. Never changed: copies are run, in
            evaluation mode and without gradients.
        inputs: examples, as the model's positional arguments; each (n, ...). Repeated where a batch wants more.
        request: batch sizes, threads, engines, rounds; `None` for the defaults.
        check: called between passes; raises `Cancelled` to stop.
        tell: told how many steps are done, of how many, and what is being done.
        workload: name, for the report.
        cuts: what `request.savings` is measured on, as `single_cuts` makes them; nothing by default.

    Raises:
        SecateurError: nothing to measure, no such device, or a model that torch itself cannot run on such a batch.
    """
    request = request or ProfileRequest()
    bench = Bench(variants, inputs, request.device, check, tell)
    default = torch.get_num_threads()
    threads = tuple(dict.fromkeys(n or default for n in request.threads))
    settings = len(request.batch_sizes) * len(threads)
    steps = len(request.batch_sizes) + settings * (len(request.engines) + n_groups(cuts))
    bench.total = steps * request.rounds
    timings: list[Timing] = []
    ratios: list[SpeedRatio] = []
    missing: list[Unavailable] = []
    layers: list[LayerCost] = []
    saved: list[Saving] = []
    with torch.no_grad():
        for size in request.batch_sizes:  # before anything takes time: a model may refuse a batch
            for name in bench.models:
                bench.expected(name, bench.batch(size))
        flops = {
            name: flops_by_module(model, bench.batch(min(request.batch_sizes))) for name, model in bench.models.items()
        }
        sizes = _sizes(bench, flops, max(request.batch_sizes))
        for size in request.batch_sizes:
            batch = bench.batch(size)
            with torch_threads(threads[0]):
                layers += _layers(bench, batch, flops[bench.baseline], threads[0], request)
            for engine in request.engines:
                for n, times, passes in _times(bench, batch, engine, threads, request, missing):
                    timings += timings_of(times, passes, engine, size, n)
                    ratios += ratios_of(times, bench.baseline, engine, size, n)
            for n in threads if cuts else ():
                with torch_threads(n):
                    saved += savings(bench, cuts, batch, n, request, missing)
    return ProfileReport(
        workload, this_machine(bench.device), sizes, tuple(timings), tuple(ratios), tuple(layers), tuple(missing),
        tuple(saved),
    )  # fmt: skip


def _sizes(bench: Bench, flops: Mapping[str, Mapping[str, float]], batch: int) -> tuple[Size, ...]:
    rows = []
    for name, model in bench.models.items():
        bench.say(f"counting what the {name} model holds")
        parameters = list(model.parameters())  # a tied one once
        rows.append(
            Size(
                name,
                sum(parameter.numel() for parameter in parameters),
                sum(int(parameter.count_nonzero()) for parameter in parameters),
                sum(flops[name].values()),
                bytes_on_disk(model),
                bytes_compressed(model, bench.check),
                peak_bytes(model, bench.batch(batch), bench.device),
                batch,
            )
        )
    return tuple(rows)


def _layers(
    bench: Bench, batch: tuple[Tensor, ...], flops: dict[str, float], threads: int, request: ProfileRequest
) -> tuple[LayerCost, ...]:
    model, wait = bench.models[bench.baseline], waiter(bench.device)

    def clock() -> float:
        wait()
        return time.perf_counter()

    passes: list[dict[str, float]] = []
    step = bench.stepping(request.rounds, f"timing every layer, batch {len(batch[0])}")
    begun = clock()
    with Meter(model, clock) as meter:
        for i in range(-1, request.rounds):  # the first only warms up
            bench.check()
            if i >= FEWEST_ROUNDS and clock() - begun > request.seconds:
                break
            meter.reset()
            model(*batch)
            if i >= 0:
                passes.append(meter.own)
                step(i + 1)
    step(request.rounds)
    return layer_costs(model, flops, passes, len(batch[0]), threads)


def _times(
    bench: Bench,
    batch: tuple[Tensor, ...],
    engine: str,
    threads: Sequence[int],
    request: ProfileRequest,
    missing: list[Unavailable],
) -> list[tuple[int, Times, dict[str, int]]]:
    """Times of the models that the engine can run, for each number of threads; the others are added to `missing`."""
    size, found, runner = len(batch[0]), [], ENGINES[engine]
    expected = {name: bench.expected(name, batch) for name in bench.models}
    few = tuple(tensor[:FEW] for tensor in batch)
    terms = {name: terms_of(model, few) for name, model in bench.models.items()}
    builds: dict[str, Build] = {}
    with scratch() as folder:
        for name, model in bench.models.items():
            bench.check()
            bench.say(f"preparing {name} for {engine}, batch {size}")
            place = Path(folder) / str(len(builds))
            place.mkdir(exist_ok=True)
            try:
                with quiet():
                    builds[name] = runner.load(model, batch, place)
            except Exception as error:
                missing.append(Unavailable(name, engine, size, None, reason_of(error)))
        for n in threads:
            step = bench.stepping(request.rounds, f"timing {engine}, batch {size}, {n} thread{'s' * (n > 1)}")
            with torch_threads(n), runner.around():
                forwards: dict[str, Forward] = {}
                for name, build in builds.items():
                    bench.check()
                    try:
                        with quiet():
                            forwards[name] = trusted(build(n), expected[name], terms[name])
                    except Exception as error:
                        missing.append(Unavailable(name, engine, size, n, reason_of(error)))
                renew = partial(bench.renewed, inputs=batch) if runner.renewed else None
                if forwards:
                    timed = timed_rounds(forwards, request, bench.check, step, waiter(bench.device), renew=renew)
                    found.append((n, *timed))
            step(request.rounds)
    return found
