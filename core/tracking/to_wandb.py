"""Weights & Biases, offline: files that stay in the workspace until somebody calls `wandb sync` on them."""

import os

from core.tracking.tracker import PROJECT, Reading, Told


class WandB:
    """Values as `curve/number`, each against the step of its own curve."""

    def __init__(self, told: Told) -> None:
        told.folder.mkdir(parents=True, exist_ok=True)
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):  # else in the home folder
            os.environ[name] = str(told.folder.resolve() / "own")
        import wandb

        self._run = wandb.init(
            project=PROJECT,
            name=told.run,
            dir=str(told.folder),
            mode="offline",
            config=dict(told.parameters),
            settings=wandb.Settings(
                silent=True, console="off", x_disable_stats=True, disable_code=True, disable_git=True, save_code=False
            ),
        )
        self._curves: set[str] = set()

    def tell(self, reading: Reading) -> None:
        """Note numbers."""
        if reading.name not in self._curves:  # its own counter goes up with each call, whatever the sparsity
            self._curves.add(reading.name)
            self._run.define_metric(f"{reading.name}/*", step_metric=f"{reading.name}/step")
        named = {f"{reading.name}/{name}": value for name, value in reading.values.items()}
        self._run.log({**named, f"{reading.name}/step": reading.step})

    def close(self, finished: bool) -> None:
        """Write what is not written yet."""
        self._run.finish(exit_code=0 if finished else 1)
