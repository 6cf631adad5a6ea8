"""Small workloads that can be trained in moments."""

import pytest


@pytest.fixture(scope="session")
def trained_state():
    from tests.core.recovery import learners

    return learners.trained_state()


@pytest.fixture
def learner(trained_state):
    """A trained workload with data to evaluate, to calibrate and to train on."""
    from tests.core.recovery import learners

    return learners.learner(trained_state)
