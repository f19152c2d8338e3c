"""Models on the Hugging Face Hub: their addresses, and their files on this machine."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightseg.errors import LightsegError, RunError, UserError
from lightseg.files.names import WEIGHTS, WEIGHTS_CONFIG

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def fetch(address: str) -> Path:
    """Download a model from the Hub unless the cache has it, and return the folder with its weights.

    `HF_HUB_OFFLINE`, `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN` mean what they mean to `huggingface_hub`.

    Args:
        address: `hf://USER/REPO` or `hf://USER/REPO@REVISION`.

    Raises:
        UserError: If the address is invalid, or the model does not exist or may not be read.
        RunError: If the Hub cannot be reached and the cache does not have the model.
    """
    repo, revision = parse_address(address)
    from huggingface_hub import snapshot_download

    with explain_errors(address, "nothing was loaded"):
        files = [WEIGHTS, WEIGHTS_CONFIG]
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files, library_name="lightseg"))
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{address}: has no {WEIGHTS}; it must be a model that lightseg.exporting.push has sent")
    return folder


def parse_address(address: str) -> tuple[str, str | None]:
    """Return repository and revision of an address; None for the default revision.

    Raises:
        UserError: If the address is invalid.
    """
    match = _ADDRESS.fullmatch(address)
    if not match:
        raise UserError(f"{address}: no address on the Hub; give hf://USER/REPO or hf://USER/REPO@REVISION")
    return match["repo"], match["revision"]


@contextmanager
def explain_errors(address: str, result: str) -> Iterator[None]:
    """Translate errors of the Hub's client into one line with what to do.

    Args:
        address: The model's address, for the message.
        result: What has not happened, for the message, such as `nothing was loaded`.

    Raises:
        UserError: If the model, the revision or the token is wrong.
        RunError: If the Hub cannot be reached or fails.
    """
    from huggingface_hub import errors

    try:
        yield
    except LightsegError:
        raise
    except errors.GatedRepoError:
        raise UserError(f"{address}: is gated; ask for access on its page, then run `hf auth login`") from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{address}: there is no such model, or it is private and your token may not read it; check the name, or "
            "run `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{address}: the model has no such branch, tag or commit") from None
    except errors.HFValidationError as error:
        raise UserError(f"{address}: no name for a model: {_first_line(error)}") from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise RunError(_describe_failure(address, error, result)) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise UserError(
                f"{address}: the Hub refuses the token ({status}); take one that may write there: `hf auth login`"
            ) from None
        raise RunError(
            f"{address}: the Hub answers with an error ({_first_line(error)}); {result}; try again later"
        ) from None
    except Exception as error:  # the client passes on its HTTP library's errors, whose types vary with its version
        raise RunError(_describe_failure(address, error, result)) from None


def _describe_failure(address: str, error: Exception, result: str) -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return f"{address}: HF_HUB_OFFLINE is set, and the cache has no such model; {result}; unset it to go online"
    return (
        f"{address}: the exchange with the Hub at {constants.ENDPOINT} failed ({_first_line(error)}); {result}; "
        "can it be reached from here?"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(error).__name__


def require_address(repo: str, token: str | None = None) -> None:
    """Check, before any work is done, that a repository's name is valid and that a token is available.

    Raises:
        UserError: If not.
    """
    from huggingface_hub import get_token

    if parse_address(f"{SCHEME}{repo}")[1]:
        raise UserError(f"{repo}: give USER/REPO alone; a revision is made by the push")
    if not (token or get_token()):
        raise UserError(
            f"{SCHEME}{repo}: there is no token to push with; run `hf auth login`, or set HF_TOKEN to one that may "
            "write (https://huggingface.co/settings/tokens)"
        )
