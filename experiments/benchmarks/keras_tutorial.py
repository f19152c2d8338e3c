"""The classic tutorial's CNN in Keras 3 on TensorFlow, as the tutorial has it, an epoch at each turn; see `peers.py`.

usage: python keras_tutorial.py DATA.npz EPOCHS
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from turns import report, wait_for_turn


class Turns(keras.callbacks.Callback):
    """Trains an epoch at each turn and reports its seconds, validation apart."""

    def on_train_begin(self, logs: dict | None = None) -> None:  # noqa: ARG002
        """Wait for the first turn."""
        wait_for_turn()

    def on_epoch_begin(self, _epoch: int, logs: dict | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:  # noqa: ARG002
        """Report the seconds at the end of the epoch."""
        if batch == self.params["steps"] - 1:
            report(f"turn {time.perf_counter() - self.start}")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:  # noqa: ARG002
        """Wait for the next turn; validation is over by now."""
        if epoch + 1 < self.params["epochs"] and wait_for_turn() == 0:
            self.model.stop_training = True


def main(data: str, epochs: int) -> None:
    """Train, and report the test accuracy and the version."""
    arrays = np.load(data)
    parts = {split: (arrays[f"{split}_images"] / np.float32(255), arrays[f"{split}_labels"]) for split in SPLITS}
    net = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    net.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [Turns()]
    net.fit(*parts["train"], 128, epochs, verbose=0, callbacks=callbacks, validation_data=parts["val"])
    report(f"accuracy {net.evaluate(*parts['test'], verbose=0)[1]}")
    report(f"version {keras.__version__}")


SPLITS = ("train", "val", "test")

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
