"""Every family of refusal has an entry on the page of errors: what it says, why, how to mend it."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.cli import COMMANDS
from tests.core.cli.running import secateur
from tests.docs.messages import ROOT, Message, all_messages, messages_of

PAGE = ROOT / "docs" / "errors.md"

# places that pass on the words of another refusal, which is collected where it is made
PASSED_ON = {
    ("core/cli/merge.py", "SecateurError(f'{error}{before}')"),
    ("core/delivery/formats/engine_files.py", "CannotHoldError(str(error))"),
    ("core/delivery/formats/onnx_graph.py", "CannotHoldError(str(error))"),
    ("core/delivery/formats/packed_weights.py", "CannotHoldError(str(error))"),
    ("core/delivery/formats/quantized_graph.py", "CannotHoldError(str(error))"),
    ("core/jobs/cluster/dispatch.py", "SecateurError(answer.error)"),
    ("core/jobs/works/frontier.py", "SecateurError(f'{ADAPTERS[request.engine].title}: {error}')"),
    ("core/plans/plan.py", "SecateurError(f'{shortened(str(path))}: {error}')"),
    ("core/pruning/criteria/calibration.py", "CannotScoreError(found)"),
    ("core/pruning/criteria/channels.py", "CannotScoreError(reason)"),
    ("core/pruning/masks.py", "CannotScoreError(reason)"),
    ("core/pruning/masks.py", "SecateurError(f'{error}{made_for}')"),
    ("core/recovery/rounds.py", "DivergedError(f'{error}; {what}')"),
}
# said by click, or by the dashboard, or of what no check foresaw; each is called forth below
SAID_ELSEWHERE = {
    "No such option": ("sweep", "m", "--nonsense"),
    "Missing argument": ("sweep",),
    "Missing option": ("minimise", "m"),
    "unexpected extra argument": ("runs", "x"),
    "is not a valid": ("sweep", "m", "--seed", "x"),
    "is not one of": ("sweep", "m", "--mode", "fast"),
    "is not in the range": ("broken", "r", "t", "--limit", "0"),
    "No such command": ("zzzzzz",),
}


@dataclass(frozen=True)
class Entry:
    """One family: its title, the words it is found by, and what is told."""

    title: str
    says: tuple[str, ...]
    why: str
    mend: str


def entries_of(text):
    found = []
    for part in text.split("\n### ")[1:]:
        title, _, rest = part.partition("\n")
        rest = rest.partition("\n## ")[0]
        told = re.fullmatch(r"\*Says\*: (.*?)\n\n\*Why\*: (.*?)\n\*Mend\*: (.*)", rest.strip(), re.DOTALL)
        assert told, f"{title}: expected *Says*, an empty line, *Why* and *Mend*"
        says, why, mend = told.groups()
        found.append(Entry(title, tuple(re.findall(r"`([^`]+)`", says)), why, mend))
    return found


ENTRIES = entries_of(PAGE.read_text(encoding="utf-8"))
FEW = 9  # letters
PATTERNS = [pattern for entry in ENTRIES for pattern in entry.says]


def matches(pattern, text):
    """Whether the words of a pattern stand in a text in this order; `…` is anything.

    Few words are the whole text: they would fit too much.
    """
    return read_once(pattern).search(text.replace("`", "")) is not None


@functools.cache  # each is held against a thousand texts, and `re` remembers half as many patterns
def read_once(pattern):
    if len(re.sub(r"[\W_]", "", pattern)) < FEW:
        return re.compile(rf"\A(?:{re.escape(pattern).replace('…', '…+')})\Z")
    words = [re.escape(part.strip()) for part in pattern.split("…") if part.strip()]
    return re.compile(".*".join(words), re.DOTALL)


def without_entry(messages):
    return [
        f"{message.where}: {message.text or message.source}"
        for message in messages
        if (message.where.partition(":")[0], message.source) not in PASSED_ON
        if message.text is None or not any(matches(pattern, message.text) for pattern in PATTERNS)
    ]


def test_every_refusal_has_an_entry():
    left_out = without_entry(all_messages())
    assert not left_out, "no entry of docs/errors.md says these:\n" + "\n".join(left_out)


def test_a_refusal_without_an_entry_is_seen():
    invented = Message("core/x.py:1", "the moon is in the way of …; wait a week", "SecateurError(…)")
    elsewhere = Message("core/x.py:2", None, "SecateurError(words)")
    assert without_entry([invented, elsewhere]) == [
        "core/x.py:1: the moon is in the way of …; wait a week",
        "core/x.py:2: SecateurError(words)",
    ]


def test_the_reader_of_messages_sees_all_that_is_raised(tmp_path):
    (tmp_path / "core" / "cli").mkdir(parents=True)
    (tmp_path / "core" / "a.py").write_text(
        "class SmallerError(SecateurError): ...\n"
        "class SmallestError(SmallerError): ...\n"
        "def words(n):\n    if n:\n        return f'{n} words'\n    return 'no ' + f'word'\n"
        "def f(x, y):\n"
        "    raise SecateurError(f'no {x}; ' f'but {y}')\n"
        "    raise SmallestError('a' if x else y or 'b')\n"
        "    return errors.SecateurError(words(x))\n"
        "    raise SecateurError(y)\n"
        "    raise ValueError('ours')\n"
        "    x.fail('not of the command line')\n"
    )
    (tmp_path / "core" / "cli" / "b.py").write_text(
        "def f(self):\n    self.fail('c')\n    raise click.UsageError('d')\n"
    )
    found = messages_of(tmp_path / "core")
    assert [message.text for message in found] == ["no …; but …", "a", "b", "… words", "no word", None, "c", "d"]
    assert found[0].where == "core/a.py:8"


def test_places_that_pass_words_on_are_still_there():
    there = {(message.where.partition(":")[0], message.source) for message in all_messages()}
    assert there >= PASSED_ON


def test_every_word_of_the_page_is_still_said():
    texts = [message.text for message in all_messages() if message.text]
    own = (*SAID_ELSEWHERE, "this is a fault of Secateur, please report it", "port … is taken")
    stale = [pattern for pattern in PATTERNS if pattern not in own and not any(matches(pattern, t) for t in texts)]
    assert not stale


@pytest.mark.parametrize(("pattern", "words"), SAID_ELSEWHERE.items())
def test_what_click_says_has_an_entry(pattern, words):
    assert pattern in PATTERNS
    assert pattern in secateur(*words).stderr


def test_what_is_said_outside_of_core_has_an_entry():
    assert "is taken; `secateur --port 0`" in (ROOT / "dashboard" / "__main__.py").read_text()
    assert "this is a fault of Secateur, please report it" in (ROOT / "core" / "cli" / "__init__.py").read_text()
    assert {"port … is taken", "this is a fault of Secateur, please report it"} <= set(PATTERNS)


def test_few_words_fit_nothing_but_themselves():
    assert matches("… raised …: …", "… raised …: ……")
    assert not matches("… raised …: …", "the moon raised …: …")
    assert matches("no plan … of … in", "no plan … of … in …; …")
    assert not matches("no plan … of … in", "no plan in … of …")


def test_every_entry_says_why_and_how_to_mend_it():
    assert len(ENTRIES) >= 50
    assert len({entry.title for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert entry.says, entry.title
        assert len(entry.why) > 20, entry.title
        assert len(entry.mend) > 10, entry.title


def test_a_refusal_names_only_commands_that_there_are():
    for message in all_messages():
        for name in re.findall(r"`secateur ([a-z]+)", message.text or ""):
            assert name in COMMANDS, f"{message.where}: {message.text}"


def test_the_page_says_whom_it_is_for():
    title, empty, first = Path(PAGE).read_text(encoding="utf-8").splitlines()[:3]
    assert (title, empty, first[:4]) == ("# Errors", "", "For ")
