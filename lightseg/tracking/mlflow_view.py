"""View of a run folder in MLflow: a run with its config as parameters, its curves as metrics, its pictures as files."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from lightseg.config.recipe_schema import MLFLOW
from lightseg.config.schema import require_form
from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import write_json
from lightseg.files.printable import printable_line
from lightseg.runs.records import read_record
from lightseg.tracking.identity import read_identity
from lightseg.tracking.log_view import facts
from lightseg.tracking.picture_view import PictureView
from lightseg.tracking.rows import STEP

_FILE = "mlflow.json"
"""File of the identity of an MLflow run."""

_SETTINGS = {
    # without it, MLflow sends what is used to its makers
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # its small package has no database
    "MLFLOW_ALLOW_FILE_STORE": "true",
    # by default a training would wait minutes for a server that does not answer
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Environment variables of MLflow, unless they are set."""

_DEFAULT = "mlruns"
"""Folder of MLflow where no address is given."""

_METRICS, _PARAMETERS, _LENGTH = 500, 100, 500
"""Limits of MLflow: metrics and parameters of one request, and characters of a parameter."""

_REASON = 300
"""Limit of the characters of an error of MLflow in a message."""

_PLATFORMS = ("databricks", "databricks-uc", "uc")
"""Names that MLflow takes instead of an address."""

_INVALID = re.compile(r"[^\w\-. :/]")
"""Characters that MLflow does not take in a name."""


class MlflowView(PictureView):
    """Sends the rows of a run to an MLflow run.

    Args:
        folder: The run folder.
        client: `MlflowClient`.
        run_id: The MLflow run.
    """

    def __init__(self, folder: Path, client: Any, run_id: str) -> None:
        self._client, self._run_id = client, run_id
        super().__init__(folder, max(_steps(client, run_id, STEP), default=-1))
        # a kill may have left a part of the row behind
        self._may_have_part = True

    def end(self, exit_code: int) -> None:
        """End the MLflow run."""
        status = "FINISHED" if exit_code == 0 else "KILLED" if exit_code >= 128 else "FAILED"
        self._client.set_terminated(self._run_id, status)

    def _write(self, step: int, numbers: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        from mlflow.entities import Metric

        for name, path in pictures.items():
            self._send_picture(name, path, step)
        # the step comes last, and marks the row as complete
        names = [*(name for name in numbers if name != STEP), STEP]
        if self._may_have_part:
            names = [name for name in names if step not in _steps(self._client, self._run_id, name)]
            self._may_have_part = False
        now = int(1000 * time.time())
        for part in _parts(names, _METRICS):
            metrics = [Metric(_valid_name(name), float(numbers[name]), now, step) for name in part]
            self._client.log_batch(self._run_id, metrics=metrics)

    def _send_picture(self, name: str, path: Path, step: int) -> None:
        """Send a picture into the folder of its name; one of the same step replaces it."""
        with TemporaryDirectory() as temporary:
            file = shutil.copy(path, Path(temporary, f"{step:08d}.png"))
            self._client.log_artifact(self._run_id, str(file), name)


def open_view(folder: Path, experiment: str, tracking_uri: str | None, tags: Mapping[str, str] | None) -> MlflowView:
    """Start or resume the MLflow run of a run folder.

    Args:
        folder: The run folder.
        experiment: Name of the experiment of a new run.
        tracking_uri: Server or folder; another one than before creates a new run. None for that of the environment, of
            the MLflow run so far, or of the recipe.
        tags: Tags of a new run.

    Raises:
        DataError: If `mlflow.json` is damaged.
    """
    client, address, run_id = _connect(folder, tracking_uri)
    if run_id:
        client.update_run(run_id, status="RUNNING")
    else:
        run_id = _create_run(client, folder, experiment, tags or {})
        write_json(folder / _FILE, {"run_id": run_id, "tracking_uri": address})
    view = MlflowView(folder, client, run_id)
    try:
        _send_config(client, run_id, folder)
    except Exception:
        # MLflow would show it as running
        with contextlib.suppress(Exception):
            view.end(1)
        raise
    return view


def newest_step(folder: Path, tracking_uri: str | None) -> int:
    """Return the newest step of a run that MLflow has completely; -1 if it has none.

    Args:
        folder: The run folder.
        tracking_uri: As of `open_view`.

    Raises:
        ConfigError: If MLflow cannot be reached, or its address is named by the run folder alone.
        DataError: If `mlflow.json` is damaged.
        UserError: If MLflow has the run no longer.
    """
    uri = _find_uri(folder, tracking_uri)
    if not (tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")) and uri != _full_uri(_DEFAULT):
        # before the client, which creates the tables of a database
        address = without_password(uri)
        raise ConfigError(
            f"{folder}: its records alone name MLflow at {address}, and a run folder may be another person's: nothing "
            f"is sent there; if it is yours, give --tracking_uri {address}"
        )
    client, address, run_id = _connect(folder, tracking_uri)
    try:
        client.search_experiments(max_results=1)
    except Exception as error:  # of MLflow, of its database, or of a network library
        reason = printable_line(str(error))[:_REASON]
        raise ConfigError(f"MLflow at {address} cannot be reached: {reason}; nothing was sent") from None
    if run_id is None:
        return -1
    if not _exists(client, run_id):
        raise UserError(
            f"{folder / _FILE}: MLflow at {address} no longer has this run; restore it there, or delete this file, and "
            "the run becomes a new one in MLflow"
        )
    return max(_steps(client, run_id, STEP), default=-1)


def recipe_options(folder: Path) -> dict[str, Any]:
    """Return the options that the recipe of a run gives its MLflow logger; empty if it has none.

    Raises:
        UserError: If the recipe is damaged.
    """
    path = folder / "config.yaml"
    loggers = (read_record(path).get("trainer") or {}).get("logger")
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        if isinstance(logger, dict) and str(logger.get("class_path")).rpartition(".")[2] == "MLflow":
            options: dict[str, Any] = logger.get("init_args") or {}
            require_form(MLFLOW, options, path, "trainer.logger.init_args")
            return options
    return {}


def _connect(folder: Path, tracking_uri: str | None) -> tuple[Any, str, str | None]:
    """Return the client of MLflow, its address without password, and the run of a folder there; None if it is new."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    uri, record = _find_uri(folder, tracking_uri), _read_record(folder)
    address = without_password(uri)
    run_id = record.get("run_id") if record.get("tracking_uri") == address else None
    return MlflowClient(tracking_uri=uri), address, run_id


def _find_uri(folder: Path, tracking_uri: str | None) -> str:
    """Return the address of MLflow for a run, as of `open_view`."""
    # before the record, which has no password
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _read_record(folder).get("tracking_uri")
    return _full_uri(uri or recipe_options(folder).get("tracking_uri") or _DEFAULT)


def _full_uri(uri: str) -> str:
    """Return an address, or the absolute one of a folder."""
    return uri if ":" in uri or uri in _PLATFORMS else Path(uri).resolve().as_uri()


def _read_record(folder: Path) -> dict[str, str]:
    """Return the run in MLflow that a run folder names, and its address; empty if it has none."""
    return read_identity(folder / _FILE, ("run_id", "tracking_uri"), "MLflow")


def _exists(client: Any, run_id: str) -> bool:
    """Return whether MLflow has a run that is not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def _steps(client: Any, run_id: str, name: str) -> set[int]:
    """Return the steps of a metric that MLflow has."""
    return {metric.step for metric in client.get_metric_history(run_id, _valid_name(name))}


def _create_run(client: Any, folder: Path, experiment: str, tags: Mapping[str, str]) -> str:
    """Return the id of a new run, with the name and the group that it has in W&B."""
    record = client.get_experiment_by_name(experiment)
    experiment_id = record.experiment_id if record else client.create_experiment(experiment)
    group = read_record(folder / "config.yaml").get("group") or folder.parent.name
    name = f"{folder.parent.name}-{folder.name}"
    run_id: str = client.create_run(experiment_id, run_name=name, tags={"group": group, **tags}).info.run_id
    return run_id


def _send_config(client: Any, run_id: str, folder: Path) -> None:
    """Send the recipe, as parameters and as a file, and the facts of the run; what MLflow has stays as it is."""
    from mlflow.entities import Param

    keys = dict(_flat(read_record(folder / "config.yaml")))
    parameters = [Param(_valid_name(key), str(value)[:_LENGTH]) for key, value in keys.items()]
    for part in _parts(parameters, _PARAMETERS):
        client.log_batch(run_id, params=part)
    client.log_artifact(run_id, str(folder / "config.yaml"))
    client.log_text(run_id, json.dumps(facts(folder), indent=1), "run.json")


def without_password(uri: str) -> str:
    """Return an address without user and password, since run folders are shared."""
    user, mark, _ = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(f"{user}@", "", 1) if mark else uri


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of a nested mapping as they are written on the command line, with their values."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _valid_name(name: str) -> str:
    """Return a name in which MLflow takes all characters; a hash tells apart those that differ in others alone."""
    valid = _INVALID.sub("_", name)
    return valid if valid == name else f"{valid}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
