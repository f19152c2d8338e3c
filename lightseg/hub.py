"""The Hugging Face Hub: send a trained model there, and fetch one."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightseg.errors import LightsegError, RunError, UserError
from lightseg.file_names import WEIGHTS, WEIGHTS_CONFIG

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def push(
    run: str | Path,
    repo: str,
    token: str | None = None,
    private: bool | None = None,
    licence: str | None = None,
    trust: bool = False,
) -> str:
    """Export a run's best checkpoint with its model card and send them to the Hub, where `lightseg.load` finds them.

    Args:
        run: The run folder.
        repo: `USER/REPO`; made if it is not there.
        token: A token that may write; left out, that of `hf auth login` or `HF_TOKEN`.
        private: Whether a repository that is made is private; left out, as the account has it.
        licence: Licence of the weights, by the Hub's names, such as `mit` or `cc-by-4.0`.
        trust: Run the classes of others that the run names, see `lightseg.load`.

    Returns:
        The address to load it by, such as `hf://USER/REPO`.

    Raises:
        UserError: If there is no run, no token, or the Hub does not take it.
        RunError: If the Hub cannot be reached.
    """
    from lightseg.arguments import run_folder
    from lightseg.exporting.make import make
    from lightseg.exporting.request import Request

    require_address(repo, token)
    folder = run_folder(str(run))
    with tempfile.TemporaryDirectory() as place:
        make(Request(folder, Path(place), "safetensors", images=0, licence=licence, trust=trust))
        return upload(Path(place), repo, token, private)


def upload(folder: Path, repo: str, token: str | None = None, private: bool | None = None) -> str:
    """Send what was exported to the Hub, in one commit; see `push`."""
    from huggingface_hub import HfApi

    from lightseg.exporting.request import described

    require_address(repo, token)
    with _explained(f"{SCHEME}{repo}", "nothing was sent"):
        api = HfApi(token=token, library_name="lightseg")
        api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=described(folder), commit_message="Export of lightseg"
        )
    return f"{SCHEME}{repo}"


def fetch(address: str) -> Path:
    """The folder with the weights of `hf://USER/REPO` or `hf://USER/REPO@REVISION`, from the cache if they are there.

    `HF_HUB_OFFLINE`, `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN` mean what they mean to `huggingface_hub`.

    Raises:
        UserError: If the address is none, or there is no such model, or it may not be read.
        RunError: If the Hub cannot be reached, and the cache does not have it.
    """
    repo, revision = _parse(address)
    from huggingface_hub import snapshot_download

    with _explained(address, "nothing was loaded"):
        files = [WEIGHTS, WEIGHTS_CONFIG]
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files, library_name="lightseg"))
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{address}: has no {WEIGHTS}; it must be a model that lightseg.push has sent")
    return folder


def _parse(address: str) -> tuple[str, str | None]:
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise UserError(f"{address}: no address on the Hub; give hf://USER/REPO or hf://USER/REPO@REVISION")
    return found["repo"], found["revision"]


def require_address(repo: str, token: str | None = None) -> None:
    """See, before any work is done, that there is a name and a token to push with.

    Raises:
        UserError: If not.
    """
    from huggingface_hub import get_token

    if _parse(f"{SCHEME}{repo}")[1]:
        raise UserError(f"{repo}: give USER/REPO alone; a revision is made by the push")
    if not (token or get_token()):
        raise UserError(
            f"{SCHEME}{repo}: there is no token to push with; run `hf auth login`, or set HF_TOKEN to one that may "
            "write (https://huggingface.co/settings/tokens)"
        )


@contextmanager
def _explained(address: str, result: str) -> Iterator[None]:
    """Say in a line what the client's errors mean, and what to do."""
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
        raise UserError(f"{address}: no name for a model: {_line(error)}") from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise RunError(_failed(address, error, result)) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise UserError(
                f"{address}: the Hub refuses the token ({status}); take one that may write there: `hf auth login`"
            ) from None
        raise RunError(
            f"{address}: the Hub answers with an error ({_line(error)}); {result}; try again later"
        ) from None
    except Exception as error:  # the client hands on what its HTTP library raises, which has changed twice
        raise RunError(_failed(address, error, result)) from None


def _failed(address: str, error: Exception, result: str) -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return f"{address}: HF_HUB_OFFLINE is set, and the cache has no such model; {result}; unset it to go online"
    return (
        f"{address}: the exchange with the Hub at {constants.ENDPOINT} failed ({_line(error)}); {result}; "
        "can it be reached from here?"
    )


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(error).__name__
