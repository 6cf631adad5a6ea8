"""A plugin of pytest that breaks one check of honesty before the tests run: which, says SECATEUR_MUTATION."""

import os

from tests.contract.mutations import MUTATIONS


def pytest_configure() -> None:
    if name := os.environ.get("SECATEUR_MUTATION"):
        MUTATIONS[name].break_it()
