"""docs/architectures.md is what the contract's run has found."""

from tests.contract.page import PAGE, page
from tests.contract.run import COMMAND, read


def test_the_page_is_what_was_found():
    assert PAGE.read_text(encoding="utf-8") == page(read()), f"docs/architectures.md is stale; run `{COMMAND}`"


def test_a_reason_stands_once_and_is_named_by_all_who_have_it():
    found = {
        name: {"family": "kinds", "right": {"weights": 2}, "said": {"channels": ["they are mixed by an operation"]}}
        for name in ("a", "b")
    }
    text = page(found)
    assert text.count("they are mixed by an operation") == 1
    assert "| a | 2 | – | r1 | – | – | – |\n| b | 2 | – | r1 | – | – | – |" in text
