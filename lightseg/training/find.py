"""Search for the learning rate or the batch size of a run, in a process of its own before the run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from lightseg.cli.child_process import run_child
from lightseg.cli.find_option import KEYS
from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.config.schema import require_form
from lightseg.distributed import environment, startup
from lightseg.errors import ConfigError, require
from lightseg.files.atomic import write_json
from lightseg.files.names import FINDINGS
from lightseg.runs.records import read_mapping
from lightseg.training.agreement import Agreement
from lightseg.training.resume import folders_of_job

PICTURE = "lr_find.png"
"""File of a run folder with the curve of the learning-rate range test."""


class Finding(BaseModel):
    """Value of a setting that was searched.

    Attributes:
        value: The value.
        reason: Half a sentence for the start line.
        curve: Learning rate and loss of each step of a range test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: int | float
    reason: str
    curve: list[tuple[float, float]] = []


Findings = dict[str, Finding]
"""Findings by name, as in `KEYS`."""

_SCHEMA = TypeAdapter(Findings)


def find(names: Sequence[str], arguments: Sequence[str], cli: LightsegCLI, agreement: Agreement) -> Findings:
    """Search settings on the first process; all processes get its findings.

    The other runs of a series take those of its first run, and a job that its scheduler starts again takes those of the
    run that it was training.

    Args:
        names: Settings to search, as in `KEYS`.
        arguments: The command line without `--find`.
        cli: The parsed recipe.
        agreement: The trainer of the recipe.

    Raises:
        ConfigError: If a search fails.
    """
    trainer, findings = agreement.trainer, Findings()
    require(
        trainer.num_nodes == 1 or agreement.is_distributed,
        "--find: the machines of this run do not know each other before it; start it by torchrun or srun",
    )
    with startup.raise_on_all_ranks(trainer, agreement.is_distributed):
        if trainer.is_global_zero or not agreement.is_distributed:
            earlier = _earlier_record(cli)
            findings = _search(names, arguments, cli, agreement) if earlier is None else read_findings(earlier)
    return trainer.strategy.broadcast(findings) if agreement.is_distributed else findings


def as_options(findings: Mapping[str, Finding]) -> list[str]:
    """Return findings as arguments of `fit`."""
    return [f"--{KEYS[name]}={finding.value}" for name, finding in findings.items()]


def describe(findings: Mapping[str, Finding]) -> str:
    """Return the findings as one line, `found lr 0.0032 (…), batch_size 48 (…)`; empty if there are none."""
    texts = [f"{name} {finding.value} ({finding.reason})" for name, finding in findings.items()]
    return f"found {', '.join(texts)}" if texts else ""


def write_findings(folder: Path, findings: Mapping[str, Finding]) -> None:
    """Write `find.json` and, for a learning rate, `lr_find.png` into a run folder; nothing without findings."""
    if not findings:
        return
    write_json(folder / FINDINGS, {name: finding.model_dump() for name, finding in findings.items()})
    if "lr" in findings:
        from lightseg.visualization.figures import range_test

        range_test(findings["lr"].curve, findings["lr"].value, folder / PICTURE)


def read_findings(path: Path) -> Findings:
    """Read a `find.json`.

    Raises:
        UserError: If it is missing or damaged.
    """
    content = read_mapping(path)
    require_form(_SCHEMA, content, path)
    return _SCHEMA.validate_python(content)


def _earlier_record(cli: LightsegCLI) -> Path | None:
    """Return the findings of the first run of the series, or of the run that this job was training; None without."""
    if variable := os.environ.get(environment.FINDINGS):
        return Path(variable)
    runs = Path(cli.config.runs_dir).resolve() / cli.config.name
    return next((folder / FINDINGS for folder in folders_of_job(runs) if (folder / FINDINGS).is_file()), None)


def _search(names: Sequence[str], arguments: Sequence[str], cli: LightsegCLI, agreement: Agreement) -> Findings:
    """Search one setting after another, each with the values of those before it."""
    trainer, findings = agreement.trainer, Findings()
    device = trainer.strategy.root_device
    require(
        "batch_size" not in names or device.type == "cuda",
        f"--find batch_size: needs a GPU with CUDA, and the device is {device.type}, where time limits a batch before "
        "memory does; give --data.batch_size",
    )
    for name in names:
        print(f"--find {name}: searching …", flush=True)
        job = {
            "name": name,
            "arguments": [*arguments, *as_options(findings), f"--trainer.precision={cli.precision.precision}"],
            "processes": trainer.world_size,
            "device": device.index,
        }
        findings[name] = _run(name, job)
    return findings


def _run(name: str, job: Mapping[str, Any]) -> Finding:
    """Run a search in a child process, so that memory and random generators of this process stay as they are.

    Raises:
        ConfigError: With the message of the process, if it fails.
    """
    variables = {**environment.without_launcher(), environment.SERIES_PROCESS: str(os.getpid())}
    try:
        return Finding.model_validate_json(run_child("lightseg.training.find_process", job, variables))
    except ConfigError as error:
        raise ConfigError(f"--find {name}: {str(error).removeprefix(f'--find {name}: ')}") from None
