"""Kubeflow Trainer 2: a TrainJob."""

import yaml

from lightseg.launch.job import Job, on_one_machine, torchrun, variables


def render(job: Job, image: str, runtime: str) -> str:
    """Return the TrainJob of a job.

    Args:
        job: The job.
        image: Container image.
        runtime: Name of the ClusterTrainingRuntime, which sets the address of the first machine.
    """
    command = on_one_machine(job) or torchrun(job, "$PET_MASTER_ADDR")
    trainer = {
        "image": image,
        "command": ["bash", "-c"],
        # Kubernetes replaces $(NAME), and $$ by $
        "args": [f"exec {command}".replace("$", "$$")],
        "env": [{"name": name, "value": value} for name, value in variables(job).items()],
        "numNodes": job.nodes,
        "resourcesPerNode": {"limits": {"nvidia.com/gpu": job.gpus}},
    }
    content = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": job.identity},
        "spec": {"runtimeRef": {"name": runtime}, "trainer": trainer},
    }
    return yaml.safe_dump(content, sort_keys=False, width=10**6)
