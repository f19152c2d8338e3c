"""Upload of trained models to the Hugging Face Hub."""

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
    """Export a run's best checkpoint with its model card and upload them to the Hub, for `lightseg.load`.

    Args:
        run: The run folder.
        repo: `USER/REPO`; created if it does not exist.
        token: Token with write access; by default that of `hf auth login` or `HF_TOKEN`.
        private: Whether a new repository is private; by default as the account sets it.
        licence: Licence of the weights, by the Hub's names, such as `mit` or `cc-by-4.0`.
        trust: Also run custom classes that the run names, as in `lightseg.load`.

    Returns:
        Address of the model for `lightseg.load`, such as `hf://USER/REPO`.

    Raises:
        UserError: If there is no such run or no token, or the Hub refuses the upload.
        RunError: If the Hub cannot be reached.
    """
    require_address(repo, token)
    folder = run_folder(str(run))
    with tempfile.TemporaryDirectory() as temporary:
        export_model(ExportOptions(folder, Path(temporary), "safetensors", images=0, licence=licence, trust=trust))
        return upload(Path(temporary), repo, token, private)


def upload(folder: Path, repo: str, token: str | None = None, private: bool | None = None) -> str:
    """Upload the files of an export to the Hub in one commit.

    Args:
        folder: Folder of the export.
        repo: `USER/REPO`; created if it does not exist.
        token: Token with write access; by default that of `hf auth login` or `HF_TOKEN`.
        private: Whether a new repository is private; by default as the account sets it.

    Returns:
        Address of the model for `lightseg.load`.

    Raises:
        UserError: If there is no token, or the Hub refuses the upload.
        RunError: If the Hub cannot be reached.
    """
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
