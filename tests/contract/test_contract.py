"""Every cell of every architecture is right, held against plain torch, or refused with a reason in words."""

import pytest
import torch

from tests.contract import vision_nets
from tests.contract.architectures import ARCHITECTURES, KNOWN
from tests.contract.contract import examine
from tests.contract.run import COMMAND, read, settled

FOUND = read()


def _marked(name: str) -> object:
    marks = pytest.mark.xfail(strict=True, reason=KNOWN[name]) if name in KNOWN else ()
    return pytest.param(name, marks=marks)


@pytest.mark.process  # what a format cannot hold is asked of the product's own check, which starts a process
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [_marked(name) for name in ARCHITECTURES])
def test_every_cell_is_right_or_refused_in_words(name):
    if name in vision_nets.TABLE and (reason := vision_nets.missing()):
        pytest.skip(reason)
    torch.set_num_threads(1)
    found = examine(name)
    assert not found.third, "\n".join(found.third)
    written = {key: FOUND.get(name, {}).get(key) for key in ("right", "said")}
    assert settled(found.to_json()) == written, f"docs/architectures.md is stale; run `{COMMAND}`"


def test_there_are_as_many_architectures_as_were_promised():
    assert len(ARCHITECTURES) >= 60
    assert set(KNOWN) <= set(ARCHITECTURES)
