"""Pruning in rounds, with fine-tuning between them while the masks are held.

Front doors: `rounds.Recovery`, `iterative.IterativePruner`, `recovered.recovered`, `checkpoint`; without torch
`settings`, `request`, `history`, `making`, `round_file`, `recovery_words`.
It never knows runs of a worker: it is told where rounds are kept and whom to tell.
"""
