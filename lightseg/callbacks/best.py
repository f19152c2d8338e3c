"""Checkpoint that is scored in the end."""

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`, the weights of the validation with the highest score."""

    # nothing is saved between validations
    on_train_batch_end = L.Callback.on_train_batch_end

    def __init__(self) -> None:
        # at the end of the validation, since the state of the training that is saved next must know of it
        super().__init__(
            monitor="val/score",
            mode="max",
            filename="best",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """Another one than that of a `ModelCheckpoint` with the same options in a recipe."""
        return "Best"
