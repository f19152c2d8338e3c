"""Push of a trained model to the Hugging Face Hub."""

import tempfile
from pathlib import Path

from lightseg.checkpoint.hub import SCHEME, explain_errors, require_address
from lightseg.checkpoint.locate import run_folder
from lightseg.exporting.export import export_model
from lightseg.exporting.options import ExportOptions, described_files


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
    require_address(repo, token)
    folder = run_folder(str(run))
    with tempfile.TemporaryDirectory() as place:
        export_model(ExportOptions(folder, Path(place), "safetensors", images=0, licence=licence, trust=trust))
        return upload(Path(place), repo, token, private)


def upload(folder: Path, repo: str, token: str | None = None, private: bool | None = None) -> str:
    """Send what was exported to the Hub, in one commit; see `push`."""
    from huggingface_hub import HfApi

    require_address(repo, token)
    with explain_errors(f"{SCHEME}{repo}", "nothing was sent"):
        api = HfApi(token=token, library_name="lightseg")
        api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=described_files(folder),
            commit_message="Export of lightseg",
        )
    return f"{SCHEME}{repo}"
