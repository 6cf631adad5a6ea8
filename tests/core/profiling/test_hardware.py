"""What a pattern needs to be fast, judged for machines that this one is not."""

import pytest
import torch
from hypothesis import given

from core import SecateurError
from core.plans.patterns import parse_pattern
from core.profiling.hardware import Machine, holds_two_of_four, requirement, requirement_text, this_machine
from tests.core.pruning.test_patterns import mask_of, weights

AMPERE = Machine("A100", (8, 0), has_cusparselt=True, has_triton=True)
TURING = Machine("T4", (7, 5), has_cusparselt=True, has_triton=True)
BARE = Machine("A100", (8, 0), has_cusparselt=False, has_triton=False)
NONE = Machine(None, None, has_cusparselt=False, has_triton=False)


@pytest.mark.parametrize(
    ("pattern", "machine", "met", "why"),
    [
        ("2:4", AMPERE, True, "A100 has compute capability 8.0, and torch comes with cuSPARSELt"),
        ("2:4", TURING, False, "T4 has compute capability 7.5, whose tensor cores skip no zeros"),
        ("2:4", BARE, None, "this torch comes without cuSPARSELt"),
        ("2:4", NONE, False, "torch sees no NVIDIA GPU"),
        ("1:4", AMPERE, True, "cuSPARSELt"),
        ("4:8", AMPERE, False, "no stock kernel"),
        ("3:4", AMPERE, False, "no stock kernel"),
        ("16x16", AMPERE, None, "how many tiles must go to win"),
        ("32x64", NONE, None, "torch sees no NVIDIA GPU; as W @ x.T on a CPU"),
        ("16x16", BARE, None, "Triton is not installed; as W @ x.T on a CPU"),
        ("4x4", AMPERE, None, "torch's engine for GPUs takes no tiles of 4x4; as W @ x.T on a CPU"),
        ("48x48", AMPERE, None, "takes no tiles of 48x48; as W @ x.T"),  # not a power of 2, but whole tiles of 16
        ("6x6", AMPERE, False, "takes no tiles of 6x6, and no square tiles that its CPU takes"),
        ("1x16", NONE, False, "no square tiles"),
    ],
)
def test_what_a_machine_has_of_what_a_pattern_needs(pattern, machine, met, why):
    found = requirement(pattern, machine)
    assert found.met is met
    assert why in found.why
    assert pattern in found.text


def test_one_line_says_it_in_words():
    line = requirement_text(requirement("2:4", NONE))
    assert line.startswith("2:4 needs an NVIDIA GPU of compute capability 8.0 or newer")
    assert line.endswith("not fast here: torch sees no NVIDIA GPU")
    assert "only timing can tell here" in requirement_text(requirement("16x16", AMPERE))
    assert "no faster than that" in requirement("1:4", AMPERE).text


def test_this_machine_is_looked_at_and_not_guessed():
    here = this_machine()
    assert (here.gpu is None) == (not (torch.cuda.is_available() and torch.version.cuda is not None))
    assert (here.gpu is None) == (here.capability is None)
    assert requirement("2:4") == requirement("2:4", here)


def test_a_bad_pattern_is_refused():
    with pytest.raises(SecateurError, match="a pattern is N:M"):
        requirement("fast", NONE)


@pytest.mark.parametrize("text", ["1:2", "1:4", "2:8", "1:8", "2:4"])
@given(saliency=weights(column=8))
def test_what_is_said_to_be_two_of_four_too_is(text, saliency):
    assert holds_two_of_four(parse_pattern(text))
    assert (mask_of(saliency, text).movedim(1, -1).unflatten(-1, (-1, 4)).sum(-1) <= 2).all()


@pytest.mark.parametrize("text", ["3:4", "4:8", "2:6", "4x4"])
def test_others_are_not(text):
    assert not holds_two_of_four(parse_pattern(text))
