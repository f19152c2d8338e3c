"""Launch of runs on the machines of a cluster: SLURM, Ray, SkyPilot, Kubeflow."""

from lightseg.config.lazy import lazy_getattr

__getattr__ = lazy_getattr(__name__, {"main": "__main__"})
