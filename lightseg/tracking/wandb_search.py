"""W&B run of a search, beside those of its trials: the table of the trials, the Pareto pictures and the final scores.

It is a function of the search folder alone.
"""

import secrets
import shutil
from pathlib import Path
from typing import Any, Literal

from lightseg.runs.records import read_mapping
from lightseg.tracking import wandb_run
from lightseg.tracking.wandb_service import unreachable

JOB_TYPE = "search"


def show_search(folder: Path, trial: Path, group: str, study: dict[str, Any]) -> str | None:
    """Show a finished search in W&B, in the mode and the project of a trial; online it is shown once.

    Args:
        folder: Folder of the search, with its report.
        trial: Run folder of a trial.
        group: Group of the trials.
        study: Settings of the search.

    Returns:
        The mode, or None where the trial is not in W&B, or all has been shown before.
    """
    of_trial, record = wandb_run.read(trial), wandb_run.read(folder)
    if not of_trial or record.get("delivered"):
        return None
    is_offline = any((trial / "wandb").glob("offline-run-*"))
    mode = wandb_run.choose("offline" if is_offline else "auto")[0]
    if mode == "disabled":
        return None
    place = {key: of_trial.get(key) for key in ("project", "entity")}
    name = f"{folder.parent.name}-{folder.name}"
    identity = {"id": secrets.token_hex(4), **record, **place, "name": name, "group": group, "job_type": JOB_TYPE}
    wandb_run.write(folder, identity)
    with wandb_run.redirect_files(folder):
        used: Literal["online", "offline"] = "online" if mode == "online" and not unreachable() else "offline"
        for earlier in (folder / "wandb").glob("offline-run-*"):
            shutil.rmtree(earlier)
        _send(folder, identity, study, used)
    return used


def _send(folder: Path, identity: dict[str, Any], study: dict[str, Any], mode: Literal["online", "offline"]) -> None:
    import wandb

    report = read_mapping(folder / "report.json")
    run = wandb.init(
        **{key: identity.get(key) for key in ("id", "project", "entity", "name", "group", "job_type")},
        dir=str(folder),
        config={"study": study},
        mode=mode,
        resume="allow",
        settings=wandb_run.settings(is_live=False),
    )
    pictures = {file.stem: wandb.Image(str(file)) for file in sorted(folder.glob("pareto_*.png"))}
    run.log({"trials": _table(report), **pictures})
    run.summary.update(_summary(report))
    if wandb_run.end(run, 0) and mode == "online":
        wandb_run.write(folder, {**identity, "delivered": True})


def _table(report: dict[str, Any]) -> Any:
    """Return a row for each trial: its run, its state, its objectives and its values."""
    import wandb

    trials, objective = report["trials"], report["objective"]
    keys = list(trials[0]["options"])
    rows = [
        [
            trial["number"],
            trial["run"],
            trial["state"],
            trial["number"] in report["front"],
            *((trial["values"] or {}).get(name) for name in objective),
            *(trial["options"].get(key) for key in keys),
        ]
        for trial in trials
    ]
    return wandb.Table(["trial", "run", "state", "is on the front", *objective, *keys], rows)


def _summary(report: dict[str, Any]) -> dict[str, Any]:
    """Return the score of the winner as it was selected, and as it was trained again."""
    winner = report["winner"]
    scores = {
        f"{kind}/{split}/score": score["value"]
        for kind in ("selection", "retraining")
        for split, score in winner[kind].items()
    }
    return {"winner": winner["trial"], **scores}
