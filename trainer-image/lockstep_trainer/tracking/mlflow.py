"""One release as one run of MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lockstep_core.protocol.training.tracking import MLflowSpec
from lockstep_trainer.tracking.tracker import Ending

UID_TAG = "lockstep.releaseUID"
RELEASE_TAG = "lockstep.release"
MAX_PARAMETERS = 100
MAX_VALUE = 500
STATUS = {Ending.FINISHED: "FINISHED", Ending.FAILED: "FAILED", Ending.STOPPED: "KILLED"}


class MLflow:
    """A `Backend`. A release that goes on after its pod was lost goes on with its run.

    `clock` gives seconds since 1970.
    """

    name = "mlflow"

    def __init__(
        self,
        spec: MLflowSpec,
        *,
        release: str,
        uid: str,
        settings: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spec, self._release, self._uid = spec, release, uid
        self._settings, self._clock = settings, clock
        self._client: Any = None
        self._run = ""

    def begin(self) -> None:
        # MLflow reports its use to its vendor: a private model must not be announced.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        if self._spec.uri.startswith("file:"):
            # Since 3.7 a folder has to be asked for; it is what a Job without a server can write.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        # Only here: the package is optional, and takes a second to load.
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Param
        except ImportError as error:
            fix = 'build it with EXTRAS="trainer mlflow"'
            raise RuntimeError(f"the image has no MLflow: {fix}") from error
        self._client = MlflowClient(tracking_uri=self._spec.uri)
        experiment = self._experiment()
        runs = self._client.search_runs(
            [experiment], filter_string=f"tags.`{UID_TAG}` = '{self._uid}'", max_results=1
        )
        if runs:
            self._run = runs[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        tags = {UID_TAG: self._uid, RELEASE_TAG: self._release}
        self._run = self._client.create_run(
            experiment, run_name=self._release, tags=tags
        ).info.run_id
        settings = islice(flattened(self._settings).items(), MAX_PARAMETERS)
        parameters = [Param(name, str(value)[:MAX_VALUE]) for name, value in settings]
        self._client.log_batch(self._run, params=parameters)

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = self._spec.experiment
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                # Another release may have made it just now.
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(self._clock() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value in numbers.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self, ending: Ending, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        if numbers:
            self.log(0, numbers)
        for file in files:
            self._client.log_artifact(self._run, str(file))
        self._client.set_terminated(self._run, STATUS[ending])

    def abandon(self) -> None:
        """Nothing keeps the process: its calls are made by a daemon thread."""


def flattened(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay as they are."""
    flat: dict[str, Any] = {}
    for key, part in value.items():
        name = f"{path}.{key}" if path else key
        flat |= flattened(part, name) if isinstance(part, Mapping) else {name: part}
    return flat
