"""What each cut costs: sweeps of cells and pairs, their plain values and words, and estimates from gradients.

Front doors: `sweep.Sweep`, `cells.plan_cells`, `pair_sweep.PairSweep`, `preview.preview`; without torch `request`,
`report`, `pairs`, `slices`, `evidence`, `criteria_comparison`, `sweep_words`.
It never knows runs, workers or screens: who asked, and where it is shown.
"""
