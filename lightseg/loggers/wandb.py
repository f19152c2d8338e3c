"""Weights & Biases logger: sends the run folder's log, without prompts, with timeouts, and without ending a run."""

import contextlib
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightseg.files.printable import printable
from lightseg.loggers.view_logger import ViewLogger
from lightseg.tracking import wandb_run
from lightseg.tracking.wandb_run import WandbMode
from lightseg.tracking.wandb_service import describe_error, unreachable
from lightseg.tracking.wandb_view import View


class Wandb(ViewLogger):
    """Shows the run in W&B; add it with `--config configs/logging/wandb.yaml`.

    The data comes from the run folder. Online, each row of its log is sent as soon as it is complete; offline, all rows
    are written into the run folder at the end of the run, so that W&B's system metrics exist online only. Whatever W&B
    has not received, `python -m lightseg.sync RUN` sends later.

    Args:
        project: W&B project.
        entity: W&B user or team.
        mode: `auto` is online if a key is configured and the service answers, else offline.
        group: Group of the run; default: the experiment's name.
        tags: Tags of the run.
        notes: Notes on the run.
        log_checkpoint: Whether the best checkpoint becomes an artifact when the run is finished.
    """

    tool = "W&B"

    def __init__(
        self,
        project: str = "lightseg",
        entity: str | None = None,
        mode: WandbMode = "auto",
        group: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        log_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.mode = mode
        self._options: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "group": group,
            "tags": tags,
            "notes": notes,
            "log_checkpoint": log_checkpoint,
        }
        self._view: View | None = None
        self._places = contextlib.ExitStack()

    @property
    def experiment(self) -> Any:
        """Return the wandb run for callbacks; offline, one that does nothing until the run has ended.

        Log metrics by `self.log`, which the run folder keeps. Values logged by the returned run are sent to W&B only,
        in the next row of the run folder's log regardless of their step, and not again after a resume or a sync.
        (`wandb.log` would create additional rows, after which W&B rejects those of the run folder.)
        """
        return _Nothing() if self._view is None else _Beside(self._view)

    @rank_zero_only
    def prepare(self) -> None:
        """Choose between online and offline, before the run folder exists.

        Raises:
            ConfigError: If the mode is online, and there is no key.
        """
        self.mode, reason = wandb_run.choose(self.mode)
        if self.mode != "online":
            print(printable(f"W&B: {self.mode} ({reason})"))

    @rank_zero_only
    def attach(self, folder: Path) -> None:
        """Open the W&B run of a new or resumed run folder."""
        if self.mode == "disabled":
            return
        self.folder = folder
        identity = wandb_run.identity(folder, {**self._options, **_sweep_settings()})
        wandb_run.write(folder, identity)
        self._places.enter_context(wandb_run.redirect_files(folder))
        if self.mode == "online" and (problem := unreachable()):
            self.mode = "offline"
            print(printable(f"W&B: offline ({problem}); afterwards: python -m lightseg.sync {folder}"))
        if self.mode == "online":
            self._safely("at the start", lambda: self._open(folder, identity))
            if self._broken:
                self.mode, self._view, self._broken = "offline", None, False
                wandb_run.end_service()

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing; the config is sent at the start, nested as in the YAML."""

    @rank_zero_only
    def finish(self, exit_code: int) -> None:
        """End the W&B run, with a timeout; send the results of a finished run."""
        folder = self.folder
        if folder is None:
            return
        try:
            if self._broken and self._view is not None:
                # W&B has not received everything
                wandb_run.end(self._view.run, exit_code or 1)
            self._safely("at the end", lambda: self._finish(folder, exit_code))
        except KeyboardInterrupt:
            self._warn("at the end: given up, as asked for")
        finally:
            self._places.close()
        wandb_run.clear_delivered(folder)

    def _open(self, folder: Path, identity: dict[str, Any]) -> None:
        self._view = wandb_run.open_view(folder, identity, "online", live=True)
        self._view.follow()

    def _finish(self, folder: Path, exit_code: int) -> None:
        if self._view is None:
            wandb_run.write_offline(folder, exit_code)
        else:
            wandb_run.deliver(self._view, exit_code)

    def _describe(self, error: Exception) -> str:
        return describe_error(error)

    def _remedy(self) -> str:
        return f"afterwards: python -m lightseg.sync {self.folder}"


class _Beside:
    """Wandb run whose `log` creates no rows, after which W&B would reject lightseg's rows of earlier steps."""

    def __init__(self, view: View) -> None:
        self._view = view

    def log(self, data: dict[str, Any], *_: object, **__: object) -> None:
        self._view.beside |= data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view.run, name)


class _Nothing:
    """Run whose methods do nothing; without wandb, whose import may fail on its settings."""

    def __getattr__(self, name: str) -> "_Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> "_Nothing":
        return self

    def __getitem__(self, _: object) -> "_Nothing":
        return self

    def __setitem__(self, _: object, __: object) -> None:
        pass


def _sweep_settings() -> dict[str, str]:
    """Return the settings of a sweep's agent; without an agent, a run id in the environment is ignored."""
    names = {"id": "WANDB_RUN_ID", "project": "WANDB_PROJECT", "entity": "WANDB_ENTITY"}
    if "WANDB_SWEEP_ID" not in os.environ:
        return {}
    return {key: os.environ[name] for key, name in names.items() if name in os.environ}
