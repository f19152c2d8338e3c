"""End of a run: finished, stopped by a signal, or failed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L

from lightseg.callbacks import GracefulStop
from lightseg.config.class_errors import Objects, describe_exit, describe_failure
from lightseg.distributed import supervision
from lightseg.errors import ConfigError, LightsegError, RunError, StoppedError
from lightseg.files.printable import printable
from lightseg.loggers.view_logger import ViewLogger
from lightseg.runs import scheduler
from lightseg.tasks.failures import translate_error
from lightseg.training.opening import has_begun


@contextmanager
def end_run(trainer: L.Trainer, folder: Path | None, stop: GracefulStop, objects: Objects) -> Iterator[None]:
    """Translate the error that ends a run, close its loggers, and print its folder as the last line.

    Args:
        trainer: The trainer.
        folder: The run folder; None on processes that do not write.
        stop: The callback that receives signals.
        objects: The objects of the recipe.

    Raises:
        StoppedError: If a signal stopped the run.
        RunError: If a worker, or another process of the run, has died, or code of the user has exited.
        ConfigError: If an object of the recipe failed before the first step.
    """
    # a logger may replace those of the trainer while it runs
    loggers = list(trainer.loggers)
    exit_code = 1
    supervision.ENDING.clear()
    try:
        yield
        exit_code = 0
    except (SystemExit, KeyboardInterrupt) as error:
        if isinstance(error, SystemExit) and (message := describe_exit(error)):
            raise _with_hint(RunError(message), trainer, folder) from None
        # Lightning raises these after its callbacks have saved the state
        stopped = _stop(stop, folder)
        exit_code = stopped.exit_code
        raise stopped from None
    except Exception as error:
        failure = _translate(error, trainer, folder, objects)
        if failure is None:
            raise
        raise failure from None
    finally:
        supervision.ENDING.set()
        for logger in loggers:
            if isinstance(logger, ViewLogger):
                logger.finish(exit_code=exit_code)
        if folder is not None and (exit_code != 1 or has_begun(folder, trainer)):
            print(printable(f"run: {folder}"), flush=True)


def _stop(stop: GracefulStop, folder: Path | None) -> StoppedError:
    """Queue the job again where its scheduler announced the end of its time; return the error of the stop."""
    if stop.received == signal.SIGUSR1 and folder is not None:
        scheduler.requeue()
    return StoppedError(stop.received or signal.SIGINT, folder)


def _translate(error: Exception, trainer: L.Trainer, folder: Path | None, objects: Objects) -> LightsegError | None:
    """Return the message for an exception of the training; None if it must keep its traceback."""
    failure: LightsegError | None = None
    if isinstance(error, RuntimeError | ValueError):
        failure = translate_error(error, trainer)
    if failure is None and (message := describe_failure(error, objects)):
        failure = RunError(message) if trainer.global_step else ConfigError(message)
    return _with_hint(failure, trainer, folder) if isinstance(failure, RunError) else failure


def _with_hint(failure: RunError, trainer: L.Trainer, folder: Path | None) -> RunError:
    """Return the failure of a run that has begun with the command that resumes it."""
    if folder is None or not has_begun(folder, trainer):
        return failure
    return RunError(f"{failure}\nGo on with: python -m lightseg.fit --resume {folder}")
