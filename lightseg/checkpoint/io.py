"""Atomic checkpoint writing that keeps the previous file."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightseg.errors import RunError
from lightseg.files.atomic import atomic_write
from lightseg.files.names import PREVIOUS
from lightseg.files.pickles import refused_class


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint plugin that writes a file completely or not at all, and keeps the previous one."""

    def __init__(self) -> None:
        super().__init__()
        self._is_plain = False

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ARG002
    ) -> None:
        """Write a checkpoint to a file.

        Raises:
            RunError: If the file cannot be written, such as on a full disk; the previous checkpoint is unchanged. Or
                if the content holds more than tensors and plain data, so that it could not be loaded.
        """
        path, content = Path(path), io.BytesIO()
        # in memory first, since torch.save terminates the process on a full disk
        torch.save(checkpoint, content)
        self._require_plain(content)
        rotate = path.name in PREVIOUS and path.exists()
        try:
            with atomic_write(path.with_name(f"next-{path.name}") if rotate else path) as temporary:
                temporary.write_bytes(content.getbuffer())
            if rotate:
                path.replace(path.with_name(PREVIOUS[path.name]))
                path.with_name(f"next-{path.name}").replace(path)
        except OSError as error:
            raise RunError(
                f"{path}: cannot be written: {os.strerror(error.errno or 0)}; the checkpoint before it is as it was.\n"
                f"Make room, then go on with: python -m lightseg.fit --resume {path.parent.parent}"
            ) from None

    def _require_plain(self, content: io.BytesIO) -> None:
        """Check, at the first save, that the checkpoint can be loaded again."""
        if self._is_plain:
            return
        content.seek(0)
        try:
            torch.load(content, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            class_name = refused_class(error)
            raise RunError(
                f"a checkpoint of this run could not be loaded: it holds more than tensors and plain data{class_name}. "
                "Let the state_dict of your callback, or of your net, hold numbers, texts, lists and tensors alone"
            ) from None
        self._is_plain = True
