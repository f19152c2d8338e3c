"""The run folder: made once, never reused, and enough to repeat and to explain the run."""

import contextlib
import math
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lightseg.cores import processor_name, usable_cores
from lightseg.errors import UserError
from lightseg.files import write_atomically, write_json

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

_NAME_BYTES = 200
"""Bytes of an experiment's name; a folder's may have 255."""


def require_name(name: str) -> None:
    """See that an experiment's name can be that of a folder in RUNS_DIR.

    Raises:
        UserError: If it cannot.
    """
    has_folder = "/" in name or "\\" in name or name in (".", "..")
    if has_folder or not name.isprintable() or name != name.strip() or not 0 < len(name.encode()) <= _NAME_BYTES:
        raise UserError(
            f"--name {name[:_NAME_BYTES]!r}: is no name of a folder; "
            f"give up to {_NAME_BYTES} printable characters without / and \\"
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
    except OSError as error:
        # not where a link that leads nowhere is in the way
        if isinstance(error, FileExistsError) and folder.exists():
            return create(runs_dir, name)
        raise UserError(f"--runs_dir {runs_dir}: cannot make {folder}: {error.strerror}") from None
    return folder


def discard(folder: Path) -> None:
    """Remove a run folder, and the folders above it that `create` has made for it and that hold nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for above in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            above.rmdir()


def job() -> str | None:
    """The scheduler's name for this job, the same when it starts the job again; None where there is no scheduler."""
    if "SLURM_JOB_ID" in os.environ:
        return f"slurm-{os.environ['SLURM_JOB_ID']}"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        name = os.environ["TORCHELASTIC_RUN_ID"]
        # what torchrun is not told it calls none; then the address of the job tells it from others
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}" if name == "none" else ""
        return f"torchrun-{name}{address}"
    return None


def restarted(made: float) -> bool:
    """Whether this job has been started again since it made a run folder, `made` seconds after 1970 began."""
    if any(int(os.environ.get(name, 0)) > 0 for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")):
        return True
    # torchrun counts only the failures of its own node; but it outlives the processes that it starts
    return "TORCHELASTIC_RUN_ID" in os.environ and made > _started(os.getppid())


def _started(process: int) -> float:
    """When a process was started, in seconds since 1970; never, where that cannot be known."""
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
        boot = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return math.inf
    return int(boot[1]) + ticks / os.sysconf("SC_CLK_TCK") if boot else math.inf


def requeue() -> None:
    """Ask SLURM, if it runs this job, to start it again; then the run goes on by itself."""
    if "SLURM_JOB_ID" in os.environ:
        try:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
        except OSError as error:
            print(f"warning: scontrol: {error.strerror}; the job is not queued again", file=sys.stderr, flush=True)


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
