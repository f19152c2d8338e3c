"""Versions, hardware, code state and recipe of a run, as the files of its folder."""

import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lightseg.files.atomic import write_atomically, write_json
from lightseg.hardware.cpu import processor_name, usable_cores
from lightseg.runs.scheduler import job

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
    "pillow",
    "tifffile",
    "numpy",
    "wandb",
)


_GIT_OPTIONS = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}")
"""The working directory may be somebody else's, whose monitors and hooks are not run."""

_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--submodule=short", "HEAD")
"""Nor are its programs that show a difference; and a submodule is not looked into, by a git without these options."""

_EMPTY = "LIGHTSEG_EMPTY"
_GIT_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", _EMPTY: ""}
"""Nothing is fetched, which may run a program, either; and a variable for options that are to be empty."""


def describe(folder: Path, config: str, command: str, data: dict[str, Any], cost: dict[str, Any]) -> None:
    """Write what the run is before it starts: resolved config, command, environment, git state, data, cost.

    Args:
        folder: The run folder.
        config: The resolved config as YAML; it re-runs as is.
        command: The command line.
        data: The fingerprint of the data.
        cost: What the net costs.
    """
    write_atomically(folder / "config.yaml", config)
    write_atomically(folder / "command.txt", command + "\n")
    write_json(folder / "env.json", environment())
    write_json(folder / "data.json", data)
    write_json(folder / "model.json", cost)
    state, difference = _git()
    write_json(folder / "git.json", state)
    if difference:
        write_atomically(folder / "git.diff", difference)


def environment() -> dict[str, Any]:
    """Versions and hardware."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "time": time.time(),
        "job": job(),
        # a class of one's own is looked for here when the run goes on
        "import_path": [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))],
        "packages": {package: _version(package) for package in _PACKAGES},
        "cuda": torch.version.cuda if gpus else None,
        "gpus": gpus,
        "processor": processor_name(),
        "cpu_count": os.cpu_count(),
        "usable_cores": usable_cores(),
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
    options = _without_filters()
    difference = None if options is None else _run_git(*options, *_DIFF)
    untracked = (_run_git("ls-files", "--others", "--exclude-standard") or "").splitlines()
    dirty = None if difference is None else bool(difference)
    return {"commit": commit.strip(), "dirty": dirty, "untracked": untracked[:100]}, difference or ""


def _without_filters() -> list[str] | None:
    """Options of git that turn off the filters of the repository's own configuration; the user's stay, such as LFS.

    Returns:
        None if git cannot tell which there are.
    """
    listed = _run_git("config", "--list", "--show-scope", "--name-only", "-z")
    if listed is None:
        return None
    words = listed.split("\0")
    keys = [key for scope, key in zip(words[::2], words[1::2], strict=False) if scope in ("local", "worktree")]
    names = sorted({key.removeprefix("filter.").rpartition(".")[0] for key in keys if key.startswith("filter.")})
    # an empty process keeps git from the filter's other programs, too
    return [f"--config-env=filter.{name}.{key}={_EMPTY}" for name in names for key in ("process", "required")]


def _run_git(*arguments: str) -> str | None:
    command, environment = ["git", *_GIT_OPTIONS, *arguments], {**os.environ, **_GIT_ENVIRONMENT}
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
