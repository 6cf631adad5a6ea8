"""A model while it is measured: how its outputs are computed, and that it is afterwards what it was."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from core.errors import SecateurError
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.forwards.exported import CannotReplay
from core.sensitivity.forwards.padded import padding_matters
from core.sensitivity.forwards.partners import dependence, dependence_of_scores
from core.sensitivity.forwards.passes import FullForwards, Names, OpenBatch, digest
from core.sensitivity.forwards.replayed import ReplayForwards
from core.sensitivity.measuring.stopping import Cancelled
from core.workload.device import free_memory
from core.workload.kept_state import KeptState, given_copies
from core.workload.loading import where
from core.workload.target import is_skip
from core.workload.workload import Workload


class HeldModel:
    """A workload's model in evaluation mode on a device, until `restore`.

    Args:
        workload: hooks of its model are left alone.
        device: where it runs.
        batches: that it runs on.
        check: called before each forward pass; raises `Cancelled` to stop.

    Attributes:
        full: passes through the whole model.
        forwards: how outputs are computed: by full passes, until `replay`.
        notes: what had to be done about it, in words.
    """

    def __init__(self, workload: Workload, device: torch.device, batches: Batches, check: Callable[[], None]) -> None:
        self._workload, self._device, self._batches, self._check = workload, device, batches, check
        self._guards = ExitStack()
        self.notes: tuple[str, ...] = ()
        self._kept = KeptState(workload.model)
        try:
            workload.model.to(device).eval()
        except BaseException:  # a device that is full half way
            self._kept.restore()
            raise
        self._kept.note_working_state()
        self.full = FullForwards(workload.model, self._kept, lambda i: batches.trimmed_inputs(i, device))
        self.forwards: FullForwards | ReplayForwards = self.full
        self._no_replay: str | None = None

    def restore(self) -> None:
        """Mode, buffers, weights and device are again what they were."""
        self._guards.close()
        self._kept.restore()

    def seconds_of_a_pass(self) -> float:
        """Seconds of a full pass over the first batch, once two of them gave the same.

        Raises:
            SecateurError: they differ, so that no difference could be blamed on a cut; an example's output depends on
                the others in its batch, so that its score is not its own; or the model raised.
        """
        with self._kept.guarded_parameters(), self._errors_named():
            self._check()
            padding = padding_matters(self._workload.metric, self._run, self._batches, self._device)
            if padding is not None:
                self._keep_padding(padding)
            inputs = self.full.inputs(0)
            given = digest(inputs)
            outputs = self.full.run_on(inputs, {})
            first = digest(outputs)
            if digest(inputs) != given:
                self._guards.enter_context(given_copies(self._workload.model))
                self.notes += ("The model writes into its inputs (an operation in place): it is given copies of them.",)
            start, cpu = time.perf_counter(), time.process_time()
            differ = digest(self.full.run(0, {})) != first
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            if self._device.type == "cpu":  # on a machine that others use, the clock tells of them
                seconds = min(seconds, cpu)
            self._batches.check_unchanged(self._workload.name, [0])
            by = None if differ else self._dependence(outputs)
        if differ:
            raise SecateurError(
                f"two passes of {self._workload.name} over the same examples differ: no drop could be blamed on a cut; "
                "make the model deterministic in evaluation mode (dropout? random sampling?)"
            )
        if by is not None:
            raise SecateurError(
                f"what {self._workload.name} says of an example depends on the others in its batch, so that no score "
                f"is its own: it {by}"
            )
        return seconds

    def _run(self, inputs: tuple[Tensor, ...]) -> Any:
        return self.full.run_on(inputs, {})

    def _keep_padding(self, how: str) -> None:
        """Measure examples padded as they were given, and say so; refuse if it was not their owner who padded them."""
        if self._workload.evaluation.padded:
            raise SecateurError(
                f"what {self._workload.name} says of an example depends on how much padding stands behind it ({how}), "
                "and its examples, of many lengths, were padded here: let the model heed attention_mask, or give "
                "all of them padded to the length that the model meets in use"
            )
        self._batches.keep_padding()
        self.notes += (
            f"What the model says of an example depends on how much padding stands behind it ({how}): each is measured "
            "padded as it was given. Is that how the model is used? If it heeded attention_mask, it would not matter.",
        )

    def _dependence(self, outputs: Any) -> str | None:
        run = self._run
        if self._batches.padding is not None:  # all of it included: examples of other batches have other lengths
            outputs = run(self._batches.inputs(0, self._device))

        def inputs_at(positions: Tensor) -> tuple[Tensor, ...]:
            return self._batches.inputs_at(positions, self._device)

        try:
            by = dependence(self._workload.model, run, inputs_at, self._batches, outputs)
            with torch.inference_mode():
                labels = self._batches.labels(0, self._device)
                return by or dependence_of_scores(self._workload.metric, outputs, labels)
        finally:
            self._kept.restore_buffers()

    def replay(self, sizes: Sequence[int], memory: int | None, keep: bool) -> bool:
        """From now on compute of a cut only what it changes; whether the model can be replayed.

        Args:
            sizes: examples in each batch.
            memory: bytes of dense values that may be kept; `None` for a quarter of what is free.
            keep: hold the dense values of several batches, for a search that comes back to them.
        """
        with self._errors_named():
            try:
                bound = free_memory(self._device) // 4 if memory is None else memory
                lengths = [tuple(self._batches.length(i).values()) for i in range(len(self._batches))]
                self.forwards = ReplayForwards(self._workload.model, self.full, sizes, bound, keep, lengths)
            except CannotReplay as error:
                self._no_replay = str(error)
                return False
            finally:
                self._kept.restore_buffers()  # tracing runs the model's code
        return True

    def full_passes(self) -> tuple[str, ...]:
        """Why some cuts, or all, are measured by full passes though replay was asked for; empty if none is."""
        if self._no_replay is not None:
            return (self._no_replay,)
        if isinstance(self.forwards, FullForwards):
            return ()
        cut = {names: reason for names, reason in self.forwards.reasons.items() if not any(map(is_skip, names))}
        return tuple(f"{', '.join(sorted(names))}: {reason}" for names, reason in cut.items())

    def open(self, i: int, wanted: Sequence[Names], dense: bool) -> Iterator[OpenBatch]:
        """As `FullForwards.open`, or `ReplayForwards.open`."""
        self._check()
        with self._errors_named():
            yield from self.forwards.open(i, wanted, dense)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except (SecateurError, Cancelled):
            raise
        except Exception as error:
            raise SecateurError(
                f"the dense {self._workload.name} raised {type(error).__name__} on its evaluation data: "
                f"{error}{where(error)}; do its inputs fit the model?"
            ) from error
