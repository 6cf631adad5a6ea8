import pytest

from tests.core.jobs.places.contract import ASKED


@pytest.fixture(params=ASKED)
def place_mode(request):
    """Each kind of run that a place may measure."""
    return request.param
