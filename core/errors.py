"""The one error that a person can mend."""


class SecateurError(ValueError):
    """Something given to Secateur cannot be used; the message says what, and how to mend it.

    The command line prints it on one line and ends with exit code 2; the dashboard shows it as it is.
    """
