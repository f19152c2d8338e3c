"""Best checkpoint, which is scored at the end of a run."""

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`, the weights with the highest validation score."""

    # saves after validations only
    on_train_batch_end = L.Callback.on_train_batch_end

    def __init__(self) -> None:
        # at the end of the validation, so that the next `last.ckpt` contains its state
        super().__init__(
            monitor="val/score",
            mode="max",
            filename="best",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """Return a key that differs from that of a recipe's `ModelCheckpoint` with the same options."""
        return "Best"
