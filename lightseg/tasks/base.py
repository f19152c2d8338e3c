"""Base class of tasks: normalization, loss, options set from the data, optimizer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from lightseg.data.data_module import ImageDataModule
from lightseg.data.types import Batch
from lightseg.distributed.strategies import shard
from lightseg.errors import ConfigError, require
from lightseg.inference.predictor import Predictor
from lightseg.losses.base import over_processes
from lightseg.losses.class_weights import WeightScheme, last_bias
from lightseg.losses.distillation import Distillation
from lightseg.losses.task_loss import TaskLoss
from lightseg.nets import Net
from lightseg.nets.lora import LoraOptions, base_state, load_base_state
from lightseg.nets.weights import adapt_normalization
from lightseg.optim.optimizer import configure_optimizer
from lightseg.optim.param_groups import check_encoder_options
from lightseg.optim.schedules import Interval, Schedule, SchedulerCallable, WarmupCosine, configure_scheduler
from lightseg.tasks.compilation import CompileMode, compile_net, uses_graphs
from lightseg.tasks.data_dependent_init import start_from_images
from lightseg.tasks.depthwise import float32_depthwise
from lightseg.tasks.fine_tuning import Adapters, FrozenStages, SharedWeights, make_layer_decay, require_one_freeze
from lightseg.tasks.normalization import check_scale, normalized, to_list, to_tensor
from lightseg.tasks.scored_task import ScoredTask
from lightseg.tasks.teacher import Teacher
from lightseg.tasks.transfer import Origin, Report, Target, transfer


class Task(ScoredTask, ABC):
    """Base class of tasks; images are normalized inside, so that an exported model takes images as stored in files.

    Args:
        net: Any module that maps `(N, C, H, W)` float images to logits; its `num_classes` and `in_channels` are
            set from the data.
        classes: Class names; set from the data.
        loss: One loss by name (ce, focal, sigmoid_focal, dice, jaccard, tversky, lovasz, mse, ohem), several with
            their coefficients, `{ce: 1.0, dice: 0.5}`, or with arguments, `{tversky: {weight: 1.0, alpha: 0.3}}`; or a
            class of your own by its import path, `my_loss.MyLoss`.
        class_weights: Weights of the classes in the loss: `inverse`, `sqrt_inverse`, `effective_number` or
            `median_frequency` of the training split's counts, or one number per class.
        class_weights_from: Share of the training, 0 to below 1, from which on the class weights apply; before, all
            weights are 1. In evaluation they always apply, so that `val/loss` is comparable throughout.
        logit_adjustment: Factor of the log of a class's share of the training split, which is added to its logit in the
            training loss: with 1 the net learns as if classes were equally frequent (with ce, the balanced softmax).
            Class weights and sampling add to it: `inverse` or `class_balanced` with 1 corrects twice, `sqrt_inverse`
            or `square_root` with 0.5 once.
        prior_bias: Initialize the bias of the net's last layer with the log of the classes' shares of the training
            split.
        optimizer: Any torch optimizer; default `AdamW`.
        schedule: Learning rate over the training; default `WarmupCosine`. Or a scheduler of torch by its path, such as
            `torch.optim.lr_scheduler.StepLR`; `ReduceLROnPlateau` follows `val/loss`, or `val/score` in mode `max`.
        schedule_interval: Whether a scheduler of torch advances each `step` or each `epoch`, its default.
        encoder_lr_factor: Learning rate of the net's encoder relative to the rest.
        freeze_encoder: Share of the training, 0 to 1, during which the encoder is frozen, including its BatchNorm
            statistics.
        layer_decay: Learning rate of each layer of the encoder relative to the layer above, above 0 to 1; the net above
            the encoder has the full rate, and `encoder_lr_factor` multiplies. For encoders of timm, whose layers are
            known.
        freeze_stages: Number of the encoder's first stages, the stem being one, that are frozen throughout, including
            their BatchNorm statistics; for encoders of timm. A block of a plain transformer is a stage.
        lora: Low-rank adapters (LoRA) on layers of the encoder, the only part of it that is trained: `{rank: 8, alpha:
            16, dropout: 0.0, targets: [qkv, proj, fc1, fc2]}`, or some of these options; `{}` for the defaults. Targets
            are names of linear layers or 1×1 convolutions, or the last parts of them. With `save: adapters`,
            checkpoints leave out the weights of the encoder that are those of `init`, whose file they then need. Needs
            `pip install 'lightseg[lora]'`.
        norm_bias_lr_factor: Learning rate of the biases of normalization layers relative to the other parameters.
        mean: Mean per channel on the 0..1 scale; default: that of `init`, else of the pretrained weights, else of the
            data.
        std: Standard deviation per channel on the 0..1 scale, likewise.
        channels_last: Use the channels-last memory format, in which convolutions are faster.
        compile: Compile the net with `torch.compile` for training; evaluations run it uncompiled, as `load` does.
            `true`, or a mode by name: `default`, `reduce-overhead` (CUDA graphs, for nets whose kernels are short),
            `max-autotune` (longer to compile, and CUDA graphs) or `max-autotune-no-cudagraphs`.
        init: Trained model from whose weights the training starts: a run folder, whose best checkpoint is meant, a
            checkpoint, an exported `.safetensors`, or `hf://USER/REPO`. Classes, channels, image size, options of the
            net and task may differ: a tensor is taken if name and shape agree; the last layer's rows by the names of
            the classes; the layer on the image is adapted to its channels, repeated cyclically and rescaled (summed for
            one channel). Everything else starts as without it.
        teacher: Trained model that the net imitates beside its loss (knowledge distillation): what `init` takes, or
            several of these joined by `+`, whose mean probabilities are imitated. It predicts for the augmented images
            of each batch, and must have the same classes, in any order.
        teacher_temperature: Divisor of the logits of teacher and net, 0.1 to 100; above 1 the unlikely classes have
            more influence.
        teacher_weight: Weight of the teacher, above 0 to 1: the loss is `(1 - weight) * loss + weight * temperature^2 *
            KL(teacher || net)`. `val/loss` is the loss without the teacher.
    """

    def __init__(
        self,
        net: Net | nn.Module,
        classes: list[str],
        loss: str | dict[str, float | dict[str, float | bool | str]] = "ce",
        class_weights: WeightScheme | list[float] | None = None,
        class_weights_from: float = 0.0,
        logit_adjustment: float = 0.0,
        prior_bias: bool = False,
        # no class as the default: jsonargparse would pass its arguments on to another optimizer of the recipe, so that
        # Adam would have the weight decay of AdamW
        optimizer: OptimizerCallable | None = None,
        schedule: Schedule | SchedulerCallable | None = None,
        schedule_interval: Interval | None = None,
        encoder_lr_factor: float = 1.0,
        freeze_encoder: float = 0.0,
        layer_decay: float = 1.0,
        freeze_stages: int = 0,
        lora: LoraOptions | None = None,
        norm_bias_lr_factor: float = 1.0,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        channels_last: bool = True,
        compile: bool | CompileMode = False,  # noqa: A002 - the name that torch users look for
        init: str | None = None,
        teacher: str | None = None,
        teacher_temperature: float = 2.0,
        teacher_weight: float = 0.5,
    ) -> None:
        super().__init__(classes)
        self.net, self.init = net, init
        self.teacher_source = teacher
        self.teacher: Teacher | None = None
        self.distillation = Distillation(teacher_temperature, teacher_weight)
        self._transferred: tuple[Origin, Target] | None = None
        self.shared: SharedWeights | None = None
        """Weights that checkpoints leave to the file of `init`."""
        spec = {loss: 1.0} if isinstance(loss, str) else loss
        self.loss = TaskLoss(
            spec, len(classes), class_weights, class_weights_from, logit_adjustment, prior_bias, self.multilabel
        )
        if prior_bias:
            last_bias(net, len(classes))
        self.make_optimizer = optimizer or torch.optim.AdamW
        self.schedule, self.schedule_interval = schedule or WarmupCosine(), schedule_interval
        check_encoder_options(net, encoder_lr_factor, freeze_encoder)
        self.freeze_encoder, self.frozen_stages = freeze_encoder, FrozenStages(net, freeze_stages)
        require_one_freeze(net, lora, freeze_encoder, freeze_stages)
        self.adapters = Adapters(net, lora)
        self.layer_decay = make_layer_decay(net, layer_decay)
        self.lr_factors = encoder_lr_factor, norm_bias_lr_factor, self.layer_decay
        if freeze_encoder == 1 and self.encoder is not None:
            self.encoder.requires_grad_(False)
        check_scale(mean, std)
        self.mean: Tensor | None
        self.std: Tensor | None
        self.register_buffer("mean", to_tensor(mean))
        self.register_buffer("std", to_tensor(std))
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net.to(memory_format=self.memory_format)
        self.compiled = compile
        compile_net(self.net, compile)
        self.step_loss = torch.zeros(())
        """Mean training loss of the last optimizer step, over its batches and all processes."""
        self.step_counts: Tensor | None = None
        """Pixels (or samples) of each class in the last step, float `(C,)`, averaged over its batches and processes."""

    # ---- abstract methods ------------------------------------------------------------------------------------------

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits `(N, K, ...)` of normalized float images `(N, C, H, W)`."""

    def configure_model(self) -> None:
        """Shard the net if the strategy has a device mesh."""
        if self.device_mesh is not None and not isinstance(self.net, FSDPModule):
            shard(self.net, self.device_mesh)

    # ---- training step ---------------------------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits `(N, K, ...)` of images `(N, C, H, W)`, uint8 or float on the 0..1 scale.

        Raises:
            ConfigError: If the normalization is not known, or the net has another number of classes.
        """
        if self.mean is None or self.std is None:
            raise ConfigError("model.mean and model.std are not known: give them, or train with an ImageDataModule")
        images = normalized(images, self.mean, self.std).to(self.dtype)
        logits = self.logits(images.contiguous(memory_format=self.memory_format))
        if logits.shape[1] != len(self.classes):
            raise ConfigError(
                f"{type(self.net).__name__} gives {logits.shape[1]} classes, but the data has {len(self.classes)}: "
                "its constructor must use the num_classes that it is given"
            )
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; log the mean loss of the optimizer step at its last batch."""
        trainer, micro_batch = self.trainer, batch_idx % self.trainer.accumulate_grad_batches
        if uses_graphs(self.compiled):
            # the outputs of the last step may be overwritten
            torch.compiler.cudagraph_mark_step_begin()
        if micro_batch == 0:
            self.step_counts = self._mean_counts(batch) if "counts" in batch else None
        # `progress` computes the length of the training at each access
        progress = self.progress if self.loss.weights_from else 0.0
        # first, so that its activations are gone before those of the net, which wait for the backward pass
        teacher_logits = self.teacher.logits(batch["image"]) if self.teacher else None
        with nullcontext() if self.compiled else float32_depthwise(self.net):
            logits = self(batch["image"])
        mixture = batch.get("partner"), batch.get("share")
        loss = self.loss.in_training(logits, batch["target"], progress, self.step_counts, *mixture)
        if teacher_logits is not None:
            loss = self.distillation(loss, logits, teacher_logits, batch["target"], self.step_counts)
        share = loss.detach() / trainer.accumulate_grad_batches
        self.step_loss = share if micro_batch == 0 else self.step_loss + share
        if micro_batch == trainer.accumulate_grad_batches - 1:
            self.step_loss = over_processes(self.step_loss) / trainer.world_size
            if self._logs_step(batch_idx):
                # not with `prog_bar`, which reads the value from the device in every step; `Bar` shows it
                self.log("train/loss", self.step_loss)
        return loss

    def _logs_step(self, batch_idx: int) -> bool:
        """Return whether anything reads the loss of this step; to log a value takes as long as the rest of a hook."""
        trainer = self.trainer
        interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        is_interval = interval > 0 and (trainer.global_step + 1) % interval == 0
        # without a number of batches, as by a time, a validation may follow any of them
        is_validated = trainer.is_last_batch or (batch_idx + 1) % (trainer.val_check_batch or 1) == 0
        watched = (getattr(callback, "monitor", None) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        return is_interval or is_validated or "train/loss" in watched

    def on_train_batch_end(self, _outputs: Any, _batch: Batch, batch_idx: int) -> None:
        """Log the loss of a step after which the training stops, which Lightning logs whatever the interval."""
        if self.trainer.should_stop and (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            self.log("train/loss", self.step_loss)

    def _mean_counts(self, batch: Batch) -> Tensor:
        # integers up to here, since Lightning rounds the floats of a batch in half precision
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        counts = over_processes(batch["counts"][: len(self.classes)].to(dtype))
        batches = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return counts / batches if batches > 1 else counts

    # ---- options set from the data ---------------------------------------------------------------------------------

    def configure_from_data(self, data: ImageDataModule) -> None:
        """Set normalization, class weights and class shares from the data, unless the recipe sets them.

        The data module calls it in its `setup`: before callbacks that copy the task, such as weight averaging, and
        before the weights of a checkpoint are loaded.
        """
        self._set_normalization(data)
        trainer = self._attached_trainer
        trained = self.net if trainer is not None and trainer.state.fn == "fit" else None
        start_from_images(trained, data, self.mean, self.std)
        self.loss.configure_from_data(data, self.kind, trained)
        self.loss.to(self.device)
        if trained is not None and self._transferred is not None:
            # again, since images and class shares have initialized layers that are not new
            self._transfer(*self._transferred)
            self._transferred = None

    def start_from(self, origin: Origin, target: Target) -> Report:
        """Take over the weights of a trained net, and its normalization unless the recipe sets one.

        Args:
            origin: The trained net.
            target: Classes and channels of this task's net.

        Returns:
            What was taken.

        Raises:
            ConfigError: If no weight fits.
        """
        report = self._transfer(origin, target)
        if origin.mean is not None and origin.std is not None:
            self._fill_normalization(*adapt_normalization(origin.mean, origin.std, target.in_channels))
        self._transferred = origin, target
        return report

    def learn_from(self, teacher: Predictor) -> None:
        """Imitate a trained task in training, beside the loss; see `Distillation`.

        Args:
            teacher: The trained task, which is changed: it predicts on the device of this one from now on.

        Raises:
            ConfigError: If it is of another kind, or its classes have other names.
        """
        self.teacher = Teacher(teacher, self)

    def on_fit_start(self) -> None:
        """Move the teacher to the device of the net.

        Raises:
            ConfigError: If the recipe names a teacher that has not been loaded.
        """
        require(
            self.teacher is not None or self.teacher_source is None,
            "model.teacher: is loaded by `lightseg.fit`; in a program of your own, call "
            "`task.learn_from(lightseg.load(RUN))`",
        )
        if self.teacher is not None:
            self.teacher.to(self.device, self.dtype)

    def _transfer(self, origin: Origin, target: Target) -> Report:
        state, report = transfer(base_state(self.net.state_dict()), target, origin)
        load_base_state(self.net, state)
        return report

    def _set_normalization(self, data: ImageDataModule) -> None:
        measured = getattr(self.net, "normalization", None) or data.pixel_stats()
        self._fill_normalization(*measured)
        for name in ("mean", "std"):
            if getattr(self, name).numel() != data.in_channels:
                raise ConfigError(f"model.{name}: give one number per channel, {data.in_channels} of them")

    def _fill_normalization(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set mean and standard deviation where they are unknown."""
        self.mean = to_tensor(mean, self.device) if self.mean is None else self.mean
        self.std = to_tensor(std, self.device) if self.std is None else self.std

    # ---- optimizer -------------------------------------------------------------------------------------------------

    @property
    def encoder(self) -> nn.Module | None:
        """Return the part of the net with pretrained weights; None if there is none."""
        return getattr(self.net, "encoder", None)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer, without decay of norms and biases, and the schedule, which steps with it."""
        total = self.trainer.estimated_stepping_batches
        optimizer = configure_optimizer(self.make_optimizer, self.net, self.encoder, *self.lr_factors)
        epochs = self.trainer.check_val_every_n_epoch
        scheduler = configure_scheduler(optimizer, self.schedule, self.schedule_interval, total, epochs)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    @property
    def progress(self) -> float:
        """Share of the optimizer steps that are done, 0 to 1."""
        return self.trainer.global_step / self.trainer.estimated_stepping_batches

    @property
    def encoder_is_frozen(self) -> bool:
        """Return whether the encoder is frozen at this point of the training."""
        trainer = self._attached_trainer
        is_training = self.freeze_encoder > 0 and trainer is not None and trainer.training
        return is_training and self.progress < self.freeze_encoder

    def on_train_batch_start(self, _batch: Batch, _batch_idx: int) -> None:
        """Keep the frozen part of the encoder in eval mode."""
        if self.freeze_encoder and self.encoder is not None:
            self.encoder.train(not self.encoder_is_frozen)
        self.frozen_stages.set_eval_mode()
        self.adapters.set_eval_mode()

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip gradients if the recipe asks for it; Lightning's own hook has overhead even without clipping."""
        if gradient_clip_val is not None:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_before_optimizer_step(self, _optimizer: torch.optim.Optimizer) -> None:
        """Remove the gradients of a frozen encoder."""
        if self.encoder_is_frozen and self.encoder is not None:
            # optimizers skip parameters without a gradient, including decay and momentum; requires_grad is
            # unchanged, since it decides which parameters DDP synchronizes
            for parameter in self.encoder.parameters():
                parameter.grad = None

    # ---- checkpoint ------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the recipe to the checkpoint, so that it can be loaded without other files."""
        if self.recipe:
            checkpoint["lightseg"] = {**self.recipe, "resolved": self.resolved}
        if self.shared is not None:
            self.shared.leave_out(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Complete a checkpoint of a training by the weights that it leaves out, which the task has from `init`."""
        if self.shared is not None:
            state = self.state_dict()
            self.shared.complete(checkpoint, {name: state[name] for name in self.shared.tensors})

    @property
    def resolved(self) -> dict[str, Any]:
        """Return the options that were set from the data."""
        return {"mean": to_list(self.mean), "std": to_list(self.std), **self.loss.resolved}
