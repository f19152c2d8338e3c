"""TensorBoard logger: event files in the run folder."""

from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lightseg.errors import require
from lightseg.loggers.view_logger import PictureLogger
from lightseg.tracking.picture_view import PictureView


class TensorBoard(PictureLogger):
    """Writes the run as event files into `RUN/tensorboard`; add it with `--config configs/logging/tensorboard.yaml`.

    The data comes from the run folder: names, pictures and final scores are those of W&B.
    """

    tool = "TensorBoard"

    @rank_zero_only
    def prepare(self) -> None:
        """Check that tensorboard is installed.

        Raises:
            ConfigError: If it is not.
        """
        require(
            find_spec("tensorboard") is not None,
            "trainer.logger: TensorBoard is not installed; pip install 'lightseg[tensorboard]'",
        )

    def _open(self, folder: Path) -> PictureView:
        from lightseg.tracking.tensorboard_view import TensorBoardView

        return TensorBoardView(folder)
