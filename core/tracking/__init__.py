"""What a run measured, told to an experiment tracker on this machine: TensorBoard, MLflow, Weights & Biases, Trackio.

Front doors: `registry.checked`, `teller.Teller`.
A tracker is imported only when it is named, in the process of the command, never in that of the worker: it cannot stop
or lose a run. Each writes below `tracking/` in the workspace and sends nothing (`core.offline.trackers_offline`).
"""
