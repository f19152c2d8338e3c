"""Weights & Biases as a view of the run folder; it never prompts, never waits for long, and never ends a run."""

import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from lightseg.labels import IGNORE
from lightseg.pictures import Example

Mode = Literal["auto", "online", "offline", "disabled"]


class Wandb(WandbLogger):
    """Lightning's `WandbLogger`, made safe; add it with `--config configs/logging/wandb.yaml`.

    Args:
        project: W&B project.
        entity: W&B user or team.
        mode: `auto` is online where a key is configured and the server answers, else offline.
        group: Group of the run; the experiment's name if left out.
        tags: Tags of the run.
        notes: Notes on the run.
    """

    def __init__(
        self,
        project: str = "lightseg",
        entity: str | None = None,
        mode: Mode = "auto",
        group: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
    ) -> None:
        super().__init__(project=project, entity=entity, tags=tags, notes=notes)
        # Lightning still passes a parameter that wandb has given up and warns about
        self._wandb_init.pop("anonymous", None)
        self.mode, self.group, self.folder, self._broken = mode, group, Path(), False

    def attach(self, folder: Path) -> None:
        """Put everything that wandb writes into the run folder, and name the run after it."""
        import wandb

        self.folder = folder
        # payloads of offline artifacts would land in the home folder otherwise
        os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb"))
        mode, reason = _resolve(self.mode)
        print(f"W&B: {mode} ({reason})")
        self._save_dir = self._wandb_init["dir"] = str(folder)
        self._wandb_init |= {
            "name": f"{folder.parent.name}-{folder.name}",
            "group": self.group or folder.parent.name,
            "mode": mode,
            # the default of 15 s loses all of a short run to a kill; without a bound a lost server holds the run's end
            "settings": wandb.Settings(
                x_transaction_log_flush_interval=1, finish_timeout=60, init_timeout=30, silent=True
            ),
        }

    @property
    def _run(self) -> Any:
        return self.experiment

    @property
    @rank_zero_only
    def experiment(self) -> Any:
        """The wandb run; a disabled one where it cannot be made."""
        try:
            return super().experiment
        except Exception as error:
            import wandb

            self._say("start", error)
            self._experiment = wandb.init(mode="disabled")
            return self._experiment

    @rank_zero_only
    def log_config(self, config: Mapping[str, Any]) -> None:
        """Log the whole resolved config, nested as it is in the YAML."""
        self._safely("config", lambda: self._run.config.update(dict(config), allow_val_change=True))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers; a failure is said once and training goes on."""
        self._safely("logging", lambda: super(Wandb, self).log_metrics(metrics, step))

    @rank_zero_only
    def log_picture(self, key: str, path: Path) -> None:
        """Log a picture file."""
        import wandb

        self._safely("a picture", lambda: self._run.log({key: wandb.Image(str(path))}))

    @rank_zero_only
    def log_masks(self, key: str, examples: Sequence[Example], classes: Sequence[str]) -> None:
        """Log images with prediction and ground truth as overlays that can be switched on and off."""
        import wandb

        labels = {**dict(enumerate(classes)), IGNORE: "void"}

        def picture(example: Example) -> Any:
            layers = {"prediction": example.prediction, "ground_truth": example.target}
            masks = {name: {"mask_data": mask.astype("uint8"), "class_labels": labels} for name, mask in layers.items()}
            return wandb.Image(example.image, masks=masks, caption=example.name)

        self._safely("masks", lambda: self._run.log({key: [picture(example) for example in examples]}))

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Nothing: `log_config` logs all of the config, once."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Let Lightning end what it began."""
        self._safely("ending", lambda: super(Wandb, self).finalize(status))

    @rank_zero_only
    def finish(self, exit_code: int) -> None:
        """End the W&B run, within a bounded time."""
        run = self._experiment
        if run is not None:
            self._safely("ending", lambda: run.finish(exit_code=exit_code))

    def _safely(self, what: str, action: Callable[[], object]) -> None:
        if not self._broken:
            try:
                action()
            except Exception as error:  # whatever a service does, the training is worth more
                self._say(what, error)

    def _say(self, what: str, error: Exception) -> None:
        self._broken = True
        warnings.warn(
            f"W&B: {what} failed ({type(error).__name__}: {error}); the run goes on and its numbers are in "
            f"{self.folder / 'metrics.jsonl'}",
            stacklevel=3,
        )


def _resolve(mode: Mode) -> tuple[str, str]:
    """The mode to run in, and why; asks no question and waits three seconds at most."""
    if mode != "auto":
        return mode, "asked for"
    if wanted := os.environ.get("WANDB_MODE"):
        return {"dryrun": "offline", "run": "online"}.get(wanted, wanted), "WANDB_MODE"
    import wandb

    url = urlsplit(wandb.setup().settings.base_url)
    try:
        socket.create_connection((url.hostname, url.port or 443), timeout=3).close()
        known = wandb.login(prompt=False)
    except Exception as error:
        return "offline", f"no connection to {url.hostname}: {type(error).__name__}"
    return ("online", "logged in") if known else ("offline", "no API key; run `wandb login`")
