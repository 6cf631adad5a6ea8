"""Where engines that models are shipped to are: here, or where SECATEUR_ENGINES_PYTHON says; else tests are skipped."""

import os

import pytest

from core.engines.adapters.installed import installed
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable


def there(name):
    """Version of an engine, and the interpreter that has it, `None` for the one that runs us."""
    try:
        return installed(ADAPTERS[name]), None
    except EngineUnavailable as error:
        python = os.environ.get("SECATEUR_ENGINES_PYTHON")
        if not python:
            pytest.skip(str(error))
        return installed(ADAPTERS[name], python), python  # of the one that is named all must be there
