"""Checkpoints on disk: written whole or not at all, with the one before kept."""

import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightseg.errors import RunError
from lightseg.files.atomic import atomic_write
from lightseg.files.names import PREVIOUS


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, and keeps the one before it."""

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
            RunError: If the disk is full or will not take it; the checkpoint that was there before still is. Or if it
                holds more than tensors and plain data, so that it could not be loaded.
        """
        path, content = Path(path), io.BytesIO()
        # in memory first: what torch does when a disk is full is to end the process
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
        """See once that what is saved can be loaded, rather than when it is needed."""
        if self._is_plain:
            return
        content.seek(0)
        try:
            torch.load(content, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            class_name = _foreign(error)
            raise RunError(
                f"a checkpoint of this run could not be loaded: it holds more than tensors and plain data{class_name}. "
                "Let the state_dict of your callback, or of your net, hold numbers, texts, lists and tensors alone"
            ) from None
        self._is_plain = True


def _foreign(error: pickle.UnpicklingError) -> str:
    """Return the class that has no place in a checkpoint, in parentheses, if torch says which."""
    match = re.search(r"Unsupported (?:global|class|operand).*?([\w.]+\.\w+)", str(error))
    return f" ({match[1]})" if match else ""
