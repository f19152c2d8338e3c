"""Ray Train: a worker for each machine of a run, which starts its processes as torchrun does.

Ray calls the function of a worker in a thread, where Python handles no signals. Processes of their own stop before the
next step, and have all that those of torchrun have: one run folder, and a state in the middle of an epoch.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ray
import ray.train
from ray.train.collective import broadcast_from_rank_zero
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from lightseg.cli.argv import option_values, text_option
from lightseg.distributed import environment
from lightseg.errors import RunError, StoppedError, UserError
from lightseg.files.printable import printable
from lightseg.hardware.cpu import OMP_THREADS
from lightseg.launch.job import Job, on_one_machine, variables
from lightseg.launch.processes import Place, Processes
from lightseg.runs import scheduler
from lightseg.runs.records import read_record
from lightseg.series.machine import free_port

_INTERVAL = 1.0
"""Seconds between two looks at the processes of a worker, and at the order of the launcher."""

_NOTICE = 120.0
"""Seconds before a machine is taken away in which its run saves its state, after a validation that is running."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Signals on which a run saves its state and stops."""

_STOPPING = "stopping before the next step, after a validation that is running; once more ends it now"

_STOPPED = 128 + signal.SIGTERM
"""Exit code of a process of a run that was asked to stop."""


class Order(Enum):
    """Order to all workers: go on, save the state and stop, or end at once since no restart would help."""

    RUN = "run"
    STOP = "stop"
    END = "end"


class Orders:
    """Actor that holds the order of the launcher, or of a worker, for the others."""

    def __init__(self) -> None:
        self._order = Order.RUN

    def give(self, order: Order) -> None:
        """Set the order."""
        self._order = order

    def latest(self) -> Order:
        """Return the order."""
        return self._order


class Work(NamedTuple):
    """Work of each worker.

    Attributes:
        arguments: Arguments of `fit`.
        processes: Processes of the worker.
        cores: Cores of the worker; None for all that the system allows.
        is_series: Whether one process starts the runs of a series.
        variables: Environment variables of all processes.
        folder: Working directory.
        orders: Handle of the actor `Orders`.
    """

    arguments: list[str]
    processes: int
    cores: int | None
    is_series: bool
    variables: dict[str, str]
    folder: Path
    orders: Any


class _Notice(threading.Thread):
    """Waits for the notice that a machine of the run is taken away.

    Attributes:
        stop_time: Time at which the run stops, in seconds since 1970; None without a notice.
    """

    def __init__(self) -> None:
        # all workers ask together, so that one would wait in vain for others that have ended
        super().__init__(daemon=True)
        self.stop_time: float | None = None

    def run(self) -> None:
        """Ask until there is a notice."""
        while (info := ray.train.get_preemption_info()) is None:
            time.sleep(_INTERVAL)
        self.stop_time = info.deadline_ms / 1000 - _NOTICE if info.deadline_ms else time.time()

    @property
    def is_due(self) -> bool:
        """Return whether the run must stop now."""
        return self.stop_time is not None and time.time() >= self.stop_time


def work(task: Work) -> int:
    """Run the processes of a worker to their end; return the exit code of the run.

    Raises:
        RuntimeError: If a process failed, so that Ray starts all workers again.
    """
    context = ray.train.get_context()
    address, port = broadcast_from_rank_zero((ray.util.get_node_ip_address(), int(free_port())))
    place = Place(context.get_world_rank(), context.get_world_size(), task.processes, address, port)
    if task.cores:
        # Ray sets it to the cores of the worker, which its processes share
        os.environ.pop(OMP_THREADS, None)
        os.environ[environment.CORES] = str(task.cores)
    notice = _Notice()
    notice.start()
    command = [sys.executable, "-m", "lightseg.fit", *task.arguments]
    ranks = [{**task.variables, **place.variables(local_rank)} for local_rank in range(task.processes)]
    processes = Processes(command, [{}] if task.is_series else ranks, task.folder)
    code = _supervise(processes, task.orders, notice)
    if code == UserError.exit_code:
        ray.get(task.orders.give.remote(Order.END))
    while code == _STOPPED and notice.stop_time and ray.get(task.orders.latest.remote()) is Order.RUN:
        # Ray starts the workers again once the machine is gone; a worker that returned would end the run
        time.sleep(_INTERVAL)
    order = ray.get(task.orders.latest.remote())
    if order is Order.END:
        # the process of another worker has said why
        return UserError.exit_code
    if code == 0 or order is Order.STOP:
        return code
    raise RuntimeError(f"a process of node {place.node} ended with code {code}; its messages are above")


def _supervise(processes: Processes, orders: Any, notice: _Notice) -> int:
    """Wait for the end of the processes, and stop them where it is ordered or announced; return their exit code."""
    is_stopping = False
    try:
        while (code := processes.poll()) is None:
            order = ray.get(orders.latest.remote())
            if order is Order.END:
                return UserError.exit_code
            if not is_stopping and (order is Order.STOP or notice.is_due):
                processes.stop()
                is_stopping = True
            time.sleep(_INTERVAL)
        return code
    finally:
        processes.kill()


def launch(job: Job, cpus: int | None, max_failures: int) -> None:
    """Train a job on the cluster of the environment, or on this machine where there is none; print its run folder.

    Args:
        job: The job.
        cpus: Cores of each process; None for the default of Ray.
        max_failures: Times that failed processes are started again, beside those of machines that are taken away.

    Raises:
        StoppedError: If a signal stopped the run; its state is saved.
        RunError: If there is no cluster, or the processes failed too often.
        UserError: If the recipe or the data is wrong.
    """
    is_series = on_one_machine(job) is not None
    cores = cpus and cpus * job.processes
    resources = {"CPU": cores or 1, **({"GPU": job.gpus} if job.gpus else {})}
    with _cluster(job.nodes, resources) as storage_path, ThreadPoolExecutor(1) as pool:
        orders = ray.remote(num_cpus=0)(Orders).remote()
        arguments = job.arguments if is_series else [*job.arguments, *job.size]
        task = Work(arguments, job.processes, cores, is_series, variables(job), Path.cwd(), orders)
        trainer = DataParallelTrainer(
            partial(work, task),
            scaling_config=ray.train.ScalingConfig(
                num_workers=job.nodes, use_gpu=job.gpus > 0, resources_per_worker=resources
            ),
            run_config=ray.train.RunConfig(
                name=job.identity,
                storage_path=storage_path,
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
                logging_config=ray.train.LoggingConfig(log_level="WARNING"),
            ),
        )
        code, received = _wait(pool.submit(trainer.fit), orders)
    if code == UserError.exit_code:
        raise UserError("ray: the recipe or the data is wrong; the message of `fit` is above")
    folder = None if is_series else _run_folder(job)
    if code not in (0, _STOPPED):
        raise RunError(f"ray: the processes ended with code {code} when they were to stop; their messages are above")
    if code:
        raise StoppedError(received, folder, f"launch ray --nodes {job.nodes} --gpus {job.gpus} --")
    if folder:
        print(printable(f"run: {folder}"), flush=True)


@contextlib.contextmanager
def _cluster(workers: int, resources: dict[str, int]) -> Iterator[str]:
    """Connect to a cluster; yield a folder for the records of Ray, which the run folder makes superfluous.

    Args:
        workers: Workers of the run.
        resources: Cores and GPUs of each worker.

    Raises:
        RunError: If the cluster of the environment does not answer.
    """
    try:
        # Ray Train warns each second where the packages of the dashboard are missing
        ray.init(include_dashboard=False, logging_level="ERROR", logging_config=ray.LoggingConfig(log_level="ERROR"))
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise RunError(f"ray: {' '.join(str(error).split())}; mend RAY_ADDRESS, or start the cluster") from None
    try:
        if lacking := _describe_lack(workers, resources):
            message = f"ray: the cluster has {lacking}; waits for machines (Ctrl-C twice ends this)"
            print(message, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="lightseg-ray-") as storage_path:
            yield storage_path
    finally:
        ray.shutdown()


def _describe_lack(workers: int, resources: dict[str, int]) -> str:
    """Return what the cluster has of the resources of which it has too few, such as `0 of 16 GPU`."""
    present = ray.cluster_resources()
    numbers = {name: (int(present.get(name, 0)), workers * number) for name, number in resources.items()}
    return " and ".join(f"{number} of {needed} {name}" for name, (number, needed) in numbers.items() if number < needed)


def _wait(training: Future[Any], orders: Any) -> tuple[int, int]:
    """Wait for the end of a training, and let it stop on a signal; a second one ends this process.

    Returns:
        The exit code of the run, and the number of the signal, 0 without one.
    """
    received = 0

    def handle(number: int, _frame: Any) -> None:
        nonlocal received
        received = number
        signal.signal(number, signal.SIG_DFL)

    handlers = {number: signal.signal(number, handle) for number in _SIGNALS}
    is_ordered = False
    try:
        while wait([training], _INTERVAL).not_done:
            if received and not is_ordered:
                print(_STOPPING, file=sys.stderr, flush=True)
                ray.get(orders.give.remote(Order.STOP))
                is_ordered = True
        return training.result().return_value, received
    except ray.train.TrainingFailedError:
        raise RunError("ray: the workers failed more often than --max-failures; their messages are above") from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _run_folder(job: Job) -> Path | None:
    """Return the run folder of a job; None where it has none yet."""
    if resumed := option_values(job.arguments, "--resume"):
        return Path(resumed[-1])
    runs = Path(text_option(job.arguments, "runs_dir") or "runs")
    with environment.inherited(variables(job)):
        name = scheduler.job()
    for file in sorted(runs.glob("*/*/env.json"), reverse=True):
        # a damaged record belongs to another run
        with contextlib.suppress(UserError):
            if read_record(file).get("job") == name:
                return file.parent.resolve()
    return None
