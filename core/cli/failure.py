"""Commands that end badly: one line on standard error, and exit code 2; of one that was interrupted 130."""

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
