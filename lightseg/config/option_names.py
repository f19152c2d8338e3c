"""Options of `fit`, and their names in other tools.

Imports nothing heavy, so that a mistake is reported at once.
"""

from lightseg.errors import closest, did_you_mean

FIT_OPTIONS = (
    *("config", "model", "data", "trainer", "seed_everything", "runs_dir", "name", "group", "print_config", "base"),
    *(
        "resume",
        "extend",
        "seeds",
        "folds",
        "grid",
        "jobs",
        "find",
        "save_every_n_steps",
        "save_every_minutes",
        "trust",
    ),
)
"""Options of `fit` outside of all classes, and the groups that all others belong to, as in `--model.net.width`."""

_SYNONYMS = {
    "model.optimizer.lr": ("lr", "learning_rate", "learningrate", "base_lr", "lr0", "max_lr", "eta"),
    "model.optimizer.weight_decay": ("weight_decay", "wd", "decay", "l2"),
    "model.optimizer.momentum": ("momentum",),
    "model.optimizer": ("optimizer", "optim", "optimiser", "opt"),
    "model.schedule": ("schedule", "scheduler", "lr_scheduler", "lr_schedule", "sched"),
    "model.schedule.warmup": ("warmup", "warmup_epochs", "warmup_steps"),
    "model.loss": ("loss", "criterion", "loss_fn"),
    "model.class_weights": ("class_weights", "class_weight"),
    "model.init": ("init", "init_from", "load_from", "finetune", "fine_tune", "warm_start"),
    "model.teacher": ("teacher", "teacher_model", "distill", "distillation", "knowledge_distillation", "kd"),
    "model.freeze_encoder": ("freeze", "freeze_encoder", "freeze_backbone"),
    "model.layer_decay": ("layer_decay", "llrd", "layerwise_lr_decay", "lr_layer_decay", "layer_lr_decay"),
    "model.freeze_stages": ("freeze_stages", "frozen_stages", "freeze_layers"),
    "model.lora": ("lora", "peft", "adapter", "adapters", "use_lora"),
    "model.lora.rank": ("rank", "lora_rank", "lora_r"),
    "model.lora.alpha": ("lora_alpha",),
    "model.compile": ("compile", "torch_compile"),
    "model.net": ("net", "arch", "architecture", "network", "model_name"),
    "model.net.encoder": ("encoder", "backbone", "encoder_name"),
    "model.net.encoder_weights": ("encoder_weights", "pretrained", "weights"),
    "model.net.head": ("head", "decoder", "decode_head"),
    "model.net.width": ("width",),
    "data": ("dataset", "data_module", "datamodule"),
    "data.root": ("root", "data_dir", "data_path", "data_root", "dataset_path", "dataroot", "path"),
    "data.batch_size": ("batch_size", "batchsize", "batch", "bs", "b", "train_batch_size"),
    "data.num_workers": ("num_workers", "workers", "nworkers", "n_workers", "j"),
    "data.image_size": ("image_size", "img_size", "imgsz", "size", "resolution"),
    "data.fold": ("fold",),
    "data.cache_gb": ("cache", "cache_gb"),
    "trainer.max_epochs": ("max_epochs", "epochs", "epoch", "num_epochs", "n_epochs", "max_epoch", "num_train_epochs"),
    "trainer.max_steps": ("max_steps", "steps", "iterations", "max_iters", "iters", "num_steps"),
    "trainer.devices": ("devices", "gpus", "gpu", "num_gpus", "n_gpus", "device_ids", "nproc_per_node"),
    "trainer.accelerator": ("accelerator", "device", "cuda", "cpu"),
    "trainer.num_nodes": ("num_nodes", "nodes"),
    "trainer.strategy": ("strategy", "ddp", "fsdp"),
    "trainer.precision": ("precision", "amp", "fp16", "bf16", "mixed_precision", "half"),
    "trainer.accumulate_grad_batches": (
        *("accumulate_grad_batches", "accumulate", "gradient_accumulation_steps", "grad_accum", "accum_steps"),
    ),
    "trainer.gradient_clip_val": ("gradient_clip_val", "grad_clip", "clip_grad", "max_grad_norm", "clip"),
    "trainer.callbacks": ("callbacks", "callback"),
    "trainer.logger": ("logger", "log"),
    "trainer.fast_dev_run": ("fast_dev_run", "dry_run", "debug"),
    "trainer.limit_train_batches": ("limit_train_batches",),
    "trainer.limit_val_batches": ("limit_val_batches",),
    "trainer.limit_test_batches": ("limit_test_batches",),
    "trainer.overfit_batches": ("overfit_batches", "overfit"),
    "trainer.val_check_interval": ("val_check_interval", "eval_interval", "val_interval"),
    "trainer.check_val_every_n_epoch": ("check_val_every_n_epoch", "val_every"),
    "trainer.log_every_n_steps": ("log_every_n_steps", "log_interval"),
    "seed_everything": ("seed", "random_seed", "manual_seed"),
    "runs_dir": ("output_dir", "out_dir", "output", "out", "save_dir", "log_dir", "logdir", "work_dir", "project_dir"),
    "name": ("experiment", "exp", "experiment_name", "run_name", "exp_name"),
    "resume": ("resume_from", "ckpt_path", "checkpoint", "ckpt", "resume_from_checkpoint", "load"),
    "extend": ("extend_from", "train_longer", "continue_from", "more_epochs"),
    "grid": ("sweep", "multirun", "hparams"),
    "find": ("lr_find", "auto_lr_find", "auto_scale_batch_size", "auto_batch", "tune"),
    "jobs": ("n_jobs", "parallel", "max_parallel"),
    "config configs/logging/wandb.yaml": ("wandb", "use_wandb"),
    "config configs/logging/mlflow.yaml": ("mlflow", "use_mlflow"),
    "config configs/logging/tensorboard.yaml": ("tensorboard", "use_tensorboard"),
    "config": ("cfg", "recipe", "yaml", "config_file", "conf"),
}
"""Names in other tools, and last words of options, by option."""

COMMON_OPTIONS = tuple(option for option in _SYNONYMS if " " not in option)
"""Options that people look for."""

_OPTIONS = {name: option for option, names in _SYNONYMS.items() for name in names}


def plain_key(key: str) -> str:
    """Return a key without `init_args`, which `fit` takes with and without."""
    return ".".join(word for word in key.split(".") if word != "init_args")


def suggest_option(name: str, section: str = "") -> str:
    """Return the end of the message about an unknown option: `; did you mean X?`.

    Args:
        name: The option without dashes.
        section: The section of the option, such as `trainer`; the caller suggests its options.
    """
    word = name.lower().replace("-", "_")
    option = _OPTIONS.get(word)
    owner, _, last = (option or "").rpartition(".")
    if option is not None and (owner, last) != (section, name):
        return f"; did you mean {last if section and owner == section else f'--{option}'}?"
    if section:
        return ""
    return did_you_mean(word, FIT_OPTIONS) or _near(word)


def _near(word: str) -> str:
    near = closest(word, _OPTIONS)
    return "" if near is None else f"; did you mean --{_OPTIONS[near]}?"
