"""MLflow logger: a run of a tracking server, or of a local folder."""

from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lightseg.errors import require
from lightseg.loggers.view_logger import PictureLogger
from lightseg.tracking.mlflow_view import open_view, without_password
from lightseg.tracking.picture_view import PictureView


class MLflow(PictureLogger):
    """Shows the run in MLflow; add it with `--config configs/logging/mlflow.yaml`.

    The data comes from the run folder: names, pictures and final scores are those of W&B.

    Args:
        experiment: MLflow experiment.
        tracking_uri: Address of a tracking server, or a folder; default: MLFLOW_TRACKING_URI, else the folder `mlruns`.
        tags: Tags of the run.
    """

    tool = "MLflow"

    def __init__(
        self, experiment: str = "lightseg", tracking_uri: str | None = None, tags: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self._experiment, self._tracking_uri, self._tags = experiment, tracking_uri, tags

    @rank_zero_only
    def prepare(self) -> None:
        """Check that MLflow is installed, and that no password would be kept in the run folder.

        Raises:
            ConfigError: If it is not, or one would be.
        """
        require(
            find_spec("mlflow") is not None,
            "trainer.logger: MLflow is not installed; pip install 'lightseg[mlflow]'",
        )
        address = self._tracking_uri and without_password(self._tracking_uri)
        require(
            address == self._tracking_uri,
            "trainer.logger.tracking_uri: has a user or a password, which the run folder would keep; give the whole "
            f"address as MLFLOW_TRACKING_URI, or {address} here, and MLFLOW_TRACKING_USERNAME and _PASSWORD",
        )

    def _remedy(self) -> str:
        place = f" --tracking_uri {self._tracking_uri}" if self._tracking_uri else ""
        return f"{super()._remedy()}{place}"

    def _open(self, folder: Path) -> PictureView:
        return open_view(folder, self._experiment, self._tracking_uri, self._tags)
