"""Commands that end badly: one line on standard error, and exit code 2; of one that was interrupted 130."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class Failure(click.ClickException):
    """Ends a command with exit code 2 and one line on standard error, however many the message had."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Click's hook."""
        click.echo(f"secateur: {' '.join(self.message.split())}", err=True)


class Interrupted(Failure):
    """Ends a command that a person, or whoever looks after it, has interrupted: exit code 130, as shells have it."""

    exit_code = 130


def hear_no_more() -> None:
    """From here on an interrupt is ignored: the last word is on its way, and one more would cut it off."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def signals_as_before() -> Iterator[None]:
    """After the block signals do what they did before: the program may go on, as a notebook does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sent: signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Inside the block SIGTERM is what Ctrl-C is: a run is not left without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
