"""Why a model without some channels or heads does not run, in words: what torch says to programmers is no reason."""

import re
from collections.abc import Callable

_SHAPE = re.compile(r"shape '\[[^']*\]' is invalid|split_with_sizes expects|unflatten|view size is not compatible")
_STATE = re.compile(r"Expected hidden(\[[01]\])? size|inconsistent hidden_size")
_INPUT = re.compile(r"must be equal to input_size|inconsistent input_size|[Ee]xpected input size")
_MATCH = re.compile(r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)")
_EXPANDED = re.compile(r"The expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\)")
_MATRICES = re.compile(r"cannot be multiplied|[Ee]xpected (size for first two dimensions|batch2)|shapes must be|einsum")
_CONVOLVED = re.compile(r"Given groups=\d+|to have \d+ channels")
_NORM = re.compile(r"Given normalized_shape|running_mean should|num_channels|Expected weight to be a vector")
_INDEX = re.compile(r"index .*out of (bounds|range)|out of range|chunk expects|select\(\)")
_CONCATENATED = re.compile(r"Sizes of tensors must match except|stack expects each tensor")


def in_words(error: Exception, at: str, kind: str = "") -> str:
    """A sentence without a full stop: what stands in the way in the module that failed.

    Only what follows from the error is claimed: a reshape failed, so its sizes are no result of the layers that were
    made smaller; two sizes differ, so one of them did not go along.

    Args:
        error: that a model without some of its channels raised.
        at: path of the innermost module that ran; empty for the model itself.
        kind: class of that module.
    """
    if re.search("(RMS|Layer|Group)Norm", kind):
        return f"{kind} {at} takes the mean of its channels, so without some the others would change"
    where = f"{at}, a {kind}," if at and kind else at or "the model's own code"
    text = str(error).splitlines()[0] if str(error) else ""
    if isinstance(error, AttributeError) and "'PassOn'" in text:  # what surgery leaves in a block's place
        return f"{where} looks into the block that would be gone, so it cannot be taken out; skip another, or keep it"
    for pattern, say in _SAYS:
        if found := pattern.search(text):
            return say(where, found)
    return (
        f"without these channels {where} does not run, for a reason that Secateur does not know: it sees "
        f"{type(error).__name__.removesuffix('Error').lower() or 'a failure'}; look at what it does with their number"
    )


def _pair(where: str, found: re.Match[str]) -> str:
    few, many = sorted(map(int, found.groups()))
    return (
        f"{where} joins them with a tensor that keeps all its entries ({few} would meet {many}): a mask or table of "
        "fixed size or made elsewhere, or a layer that was not followed"
    )


_SAYS: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str]], str]], ...] = (
    (
        _STATE,
        lambda where, _: (
            f"{where} is given a first state whose width does not follow from the smaller layer: leave it out where it "
            "is zero, or make it as wide as the layer's own hidden_size"
        ),
    ),
    (
        _INPUT,
        lambda where, _: (
            f"{where} also reads what keeps all its entries: the model's input, say, or what a view to a fixed number "
            "gives; leave it whole, or let the view follow the tensor"
        ),
    ),
    (
        _SHAPE,
        lambda where, _: (
            f"{where} reshapes or splits to sizes that do not follow from the smaller layers: they are numbers in its "
            "code or configuration, or the width of its input"
        ),
    ),
    (_MATCH, _pair),
    (_EXPANDED, _pair),
    (
        _MATRICES,
        lambda where, _: f"{where} multiplies them with a matrix of full size, by a way that was not followed",
    ),
    (
        _CONVOLVED,
        lambda where, _: f"{where} reads them too, by a way that was not followed (are its outputs used?)",
    ),
    (_NORM, lambda where, _: f"{where} normalises them, by a way that was not followed"),
    (_INDEX, lambda where, _: f"{where} picks them by a number that is out of reach once there are fewer"),
    (
        _CONCATENATED,
        lambda where, _: f"{where} concatenates or stacks them with tensors that keep their full size",
    ),
)
