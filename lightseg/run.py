"""The run folder: made once, never reused, and enough to repeat and to explain the run."""

import json
import os
import platform
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lightseg.data.cache import write_atomically
from lightseg.errors import UserError

_PACKAGES = (
    "lightseg",
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "segmentation-models-pytorch",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "wandb",
)


def create(runs_dir: str, name: str) -> Path:
    """Make `RUNS_DIR/NAME/<utc>-<hex>/`, a folder that did not exist before.

    Raises:
        UserError: If it cannot be made.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = Path(runs_dir).resolve() / name / f"{now}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True, exist_ok=False)
    except FileExistsError:
        return create(runs_dir, name)
    except OSError as error:
        raise UserError(f"--runs_dir {runs_dir}: cannot make {folder}: {error.strerror}") from None
    return folder


def describe(folder: Path, config: str, command: str, data: dict[str, Any]) -> None:
    """Write what the run is before it starts: resolved config, command, environment, git state, data fingerprint.

    Args:
        folder: The run folder.
        config: The resolved config as YAML; it re-runs as is.
        command: The command line.
        data: The fingerprint of the data.
    """
    write_atomically(folder / "config.yaml", config)
    write_atomically(folder / "command.txt", command + "\n")
    write_json(folder / "env.json", environment())
    write_json(folder / "data.json", data)
    state, difference = _git()
    write_json(folder / "git.json", state)
    if difference:
        write_atomically(folder / "git.diff", difference)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def environment() -> dict[str, Any]:
    """Versions and hardware."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "packages": {package: _version(package) for package in _PACKAGES},
        "cuda": torch.version.cuda if gpus else None,
        "gpus": gpus,
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> tuple[dict[str, Any], str]:
    """Commit and uncommitted difference of the working directory's repository, if it is one."""
    commit = _run_git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None}, ""
    difference = _run_git("diff", "HEAD") or ""
    untracked = (_run_git("ls-files", "--others", "--exclude-standard") or "").splitlines()
    return {"commit": commit.strip(), "dirty": bool(difference), "untracked": untracked[:100]}, difference


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
