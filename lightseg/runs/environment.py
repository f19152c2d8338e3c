"""Records of a run at its start: resolved config, command, versions, hardware, git state, data and cost."""

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
"""Options that keep git from running monitors and hooks of an untrusted working directory."""

_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--submodule=short", "HEAD")
"""Diff programs of the repository are not run; submodules are not entered, since git would run there without these
options."""

_EMPTY = "LIGHTSEG_EMPTY"
_GIT_ENVIRONMENT = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", _EMPTY: ""}
"""Nothing is fetched, since fetching may run a program; the variable is the value of options that must be empty."""


def describe(folder: Path, config: str, command: str, data: dict[str, Any], cost: dict[str, Any]) -> None:
    """Write the records of a run before it starts: resolved config, command, environment, git state, data, cost.

    Args:
        folder: Run folder.
        config: Resolved config as YAML, a complete recipe.
        command: Command line.
        data: Fingerprints of the splits.
        cost: Parameters and GFLOPs of the net, and its origin if it started from trained weights.
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
    """Return versions and hardware."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "time": time.time(),
        "job": job(),
        # a resumed run looks for custom classes here
        "import_path": [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))],
        "packages": {package: _version(package) for package in _PACKAGES},
        "cuda": torch.version.cuda if gpus else None,
        "gpus": gpus,
        "processor": processor_name(),
        "cpu_count": os.cpu_count(),
        "usable_cores": usable_cores(),
        **kernels(),
    }


def kernels() -> dict[str, Any]:
    """Return what decides the order in which a CPU adds up, and so the last digits of a run's numbers."""
    return {
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onednn_max_cpu_isa": os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA"),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> tuple[dict[str, Any], str]:
    """Return the commit and the uncommitted changes of the repository of the working directory, if it is in one."""
    commit = _run_git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None}, ""
    options = _without_filters()
    difference = None if options is None else _run_git(*options, *_DIFF)
    untracked = (_run_git("ls-files", "--others", "--exclude-standard") or "").splitlines()
    dirty = None if difference is None else bool(difference)
    return {"commit": commit.strip(), "dirty": dirty, "untracked": untracked[:100]}, difference or ""


def _without_filters() -> list[str] | None:
    """Return options of git that turn off the filters configured in the repository; the user's, such as LFS, stay on.

    Returns:
        None if git cannot list the filters.
    """
    settings = _run_git("config", "--list", "--show-scope", "--name-only", "-z")
    if settings is None:
        return None
    words = settings.split("\0")
    keys = [key for scope, key in zip(words[::2], words[1::2], strict=False) if scope in ("local", "worktree")]
    names = sorted({key.removeprefix("filter.").rpartition(".")[0] for key in keys if key.startswith("filter.")})
    # with an empty `process`, git does not run `clean` and `smudge`, either
    return [f"--config-env=filter.{name}.{key}={_EMPTY}" for name in names for key in ("process", "required")]


def _run_git(*arguments: str) -> str | None:
    command, environment = ["git", *_GIT_OPTIONS, *arguments], {**os.environ, **_GIT_ENVIRONMENT}
    try:
        result = subprocess.run(command, capture_output=True, timeout=20, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode(errors="replace") if result.returncode == 0 else None
