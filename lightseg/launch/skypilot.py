"""SkyPilot: a task file."""

import yaml

from lightseg.launch.job import Job, on_one_machine, torchrun, variables


def render(job: Job, gpu_type: str) -> str:
    """Return the task file of a job; its working directory is the current one, which SkyPilot copies.

    Args:
        job: The job.
        gpu_type: Accelerator.
    """
    run = on_one_machine(job) or torchrun(job, '$(echo "$SKYPILOT_NODE_IPS" | head -n 1)')
    task = {
        "name": job.label,
        "num_nodes": job.nodes,
        "resources": {"accelerators": f"{gpu_type}:{job.gpus}"},
        "workdir": ".",
        "envs": variables(job),
        "setup": "\n".join(job.setup) or None,
        "run": run,
    }
    return yaml.safe_dump({key: value for key, value in task.items() if value}, sort_keys=False, width=10**6)
