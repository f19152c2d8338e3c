"""`lightseg VERB …` and `python -m lightseg VERB …`."""

import importlib
import sys

from lightseg.cli.entry import open_streams, show_help, show_version
from lightseg.errors import did_you_mean

VERBS = {
    "init": "write a first recipe for a folder of images, with the reasons for its settings",
    "doctor": "check a data set before training",
    "fit": "train a recipe, then load the best checkpoint again, score it and test it",
    "search": "values of a recipe's keys by Optuna, and what its winner is worth on fresh seeds",
    "launch": "a run or a series on a cluster: SLURM, SkyPilot, Kubeflow",
    "evaluate": "score a run on any split or other data, by windows, calibrated, and where it errs",
    "predict": "masks or labels of images, of any number and size",
    "explain": "a page that tells what a run gets wrong, and why",
    "export": "ONNX, torch.export or safetensors, compared with torch, measured, and to the Hugging Face Hub",
    "compare": "finished runs side by side, and whether their difference is more than chance",
    "diff": "what differs between two runs, and whether that affects the metric",
    "dashboard": "a W&B workspace that sets the runs of a project side by side",
    "list": "what a recipe can name: encoders, heads, nets, losses, datasets, transforms, schedules",
    "sync": "show runs in W&B, MLflow or TensorBoard that were made without it, or broken off",
}

SYNONYMS = {
    "init": ("new", "create", "setup", "start", "scaffold", "survey"),
    "fit": ("train", "training", "run", "resume"),
    "search": ("tune", "sweep", "hpo", "study", "optuna", "hyperopt"),
    "evaluate": ("test", "val", "validate", "score", "metrics", "benchmark"),
    "predict": ("infer", "inference", "segment", "classify", "apply"),
    "doctor": ("check", "lint", "inspect", "diagnose", "data"),
    "explain": ("report", "interpret", "analyze", "analyse", "errors", "visualize"),
    "export": ("convert", "onnx", "save", "push"),
    "compare": ("table", "results"),
    "launch": ("submit", "slurm", "sbatch", "cluster", "skypilot", "kubeflow", "torchrun"),
    "list": ("ls", "models", "encoders", "zoo", "completion"),
    "dashboard": ("workspace",),
    "sync": ("wandb", "mlflow", "tensorboard", "upload"),
}
"""Commands of other tools, by the verb with the same purpose."""


def main() -> int:
    """Run a verb; return its exit code."""
    open_streams()
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in ("-h", "--help"):
        verbs = "\n".join(f"  {name:<10} {what}" for name, what in VERBS.items())
        return show_help(f"\n\nusage: lightseg VERB …\n\n{verbs}\n\n`lightseg VERB --help` tells more.")
    if verb == "--version":
        return show_version()
    if verb not in VERBS:
        print(f"lightseg: error: no verb '{verb}'{_suggest(verb)}", file=sys.stderr)
        return 2
    code: int = importlib.import_module(f"lightseg.{verb}").main(sys.argv[2:])
    return code


def _suggest(word: str) -> str:
    """Return the end of the message about an unknown verb."""
    synonym = next((verb for verb, words in SYNONYMS.items() if word.lower() in words), None)
    return f"; did you mean {synonym}?" if synonym else did_you_mean(word, VERBS, len(VERBS))


if __name__ == "__main__":
    sys.exit(main())
