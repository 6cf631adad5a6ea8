"""MLflow: a run in a SQLite store, by its client alone, which starts no server and no thread of its own."""

import re

from core.tracking.tracker import PROJECT, Reading, Told


class MLflow:
    """Metrics as `curve/number`; letters that MLflow takes in no name are underscores."""

    def __init__(self, told: Told) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric = Metric
        told.folder.mkdir(parents=True, exist_ok=True)
        folder = told.folder.resolve()
        self._client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        known = self._client.get_experiment_by_name(PROJECT)
        number = (
            known.experiment_id
            if known is not None
            else self._client.create_experiment(PROJECT, (folder / "artifacts").as_uri())
        )
        self._run = self._client.create_run(number, run_name=told.run).info.run_id
        self._client.log_batch(self._run, params=[Param(name, value) for name, value in told.parameters.items()])

    def tell(self, reading: Reading) -> None:
        """Note numbers."""
        named = [(re.sub(r"[^\w\-. /]", "_", f"{reading.name}/{name}"), x) for name, x in reading.values.items()]
        self._client.log_batch(self._run, [self._metric(name, x, 0, reading.step) for name, x in named])

    def close(self, finished: bool) -> None:
        """Say how the run ended."""
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")
