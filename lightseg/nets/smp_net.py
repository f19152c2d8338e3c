"""Segmentation architectures of segmentation_models_pytorch, with its encoders or those of timm."""

import inspect
import warnings
from typing import Any

from torch import Tensor, nn

from lightseg.errors import ConfigError, did_you_mean
from lightseg.nets.base import Net, Normalization, first_line
from lightseg.nets.fetching import fetching
from lightseg.nets.grad_checkpointing import checkpoint_gradients
from lightseg.nets.timm_encoder import TimmEncoder, forget_source, image_sides, reference
from lightseg.nets.unused import freeze_unused
from lightseg.nets.weights import IMAGENET, INCEPTION, adapt_normalization, is_file, load_encoder_weights

# SMP's encoders that were not trained with ImageNet's mean and std, by name prefix
_MEAN_STD: dict[str, Normalization] = {
    "inception": INCEPTION,
    "xception": INCEPTION,
    "timm-tf_efficientnet_lite": INCEPTION,
    "dpn": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
}
_CLASSIFIERS = ("fc.", "_fc.", "classifier.", "last_linear.", "head.", "linear.")
_SAVE = (
    "import segmentation_models_pytorch as m, safetensors.torch as s; "
    "s.save_file(m.encoders.get_encoder('{name}', weights='{weights}').state_dict(), 'encoder.safetensors')"
)


class SmpNet(Net):
    """Segmentation net of segmentation_models_pytorch (SMP): one of twelve architectures on any encoder.

    Source: Iakubovskii, "Segmentation Models PyTorch", 2019, github.com/qubvel-org/segmentation_models.pytorch, whose
    documentation names each architecture's paper. Changed: DPT takes images of any size and ignores prefix tokens if
    its encoder has none; layers of an encoder that the architecture does not use do not require gradients.

    Args:
        num_classes: Number of logits per pixel.
        in_channels: Channels of the input; the first convolution's pretrained weights are adapted to them.
        arch: `unet`, `unetplusplus`, `manet`, `linknet`, `fpn`, `pspnet`, `deeplabv3`, `deeplabv3plus`, `pan`,
            `upernet`, `segformer` or `dpt`.
        encoder: Name of an encoder of SMP, such as `resnet34` or `mit_b0`; or of a timm model, such as
            `convnext_tiny.fb_in22k`. The prefix `tu-` selects the timm model where both have one of that name.
        encoder_weights: None for random weights; `imagenet`, or another name that the encoder has; or a
            `.safetensors`, `.pt` or `.pth` file with SMP's names, or timm's for its encoders, or an export of lightseg.
            Only a name is downloaded.
        kwargs: Further arguments for the architecture, such as `{decoder_attention_type: scse}`, and the encoder, if it
            is of timm, such as `{drop_path_rate: 0.1}`.
        grad_checkpointing: Recompute the activations of an encoder of timm in the backward pass instead of keeping
            them: less memory, a slower step, the same gradients.

    Raises:
        ConfigError: If an architecture, encoder or weights are unknown, weights do not fit or cannot be downloaded, or
            the architecture cannot use the encoder.
    """

    encoder: nn.Module

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        arch: str = "unet",
        encoder: str = "resnet34",
        encoder_weights: str | None = None,
        kwargs: dict[str, Any] | None = None,
        grad_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        arch, name, options = _parse_arch(arch), _parse_encoder(encoder), dict(kwargs or {})
        _check_options(arch, name, options)
        if arch == "dpt":
            options = _dpt_options(name, encoder, options)
        shape = {"in_channels": in_channels, "classes": num_classes}
        if name.startswith("tu-"):
            request = TimmEncoder.request(name[3:], encoder_weights, in_channels, options)
            options, self.normalization = request.kwargs, request.normalization
            model = _build_with_timm(arch, request, shape)
        else:
            model, self.normalization = _build_with_smp(arch, name, encoder_weights, {**options, **shape})
        self.encoder: nn.Module = model.encoder
        self.decoder: nn.Module = model.decoder
        self.head: nn.Module = model.segmentation_head
        # DPT downsamples its encoder's grid once more, and upsamples it to the same size
        self.stride = int(model.encoder.output_stride) * (2 if arch == "dpt" else 1)
        try:
            freeze_unused(self, in_channels, *image_sides(self.encoder, self.stride, options))
        except Exception as error:
            raise ConfigError(f"SMP's {arch} with encoder {encoder} does not run: {first_line(error)}") from error
        self.grad_checkpointing = grad_checkpointing
        if grad_checkpointing:
            checkpoint_gradients(self, self.encoder, name.removeprefix("tu-"))

    def forward(self, x: Tensor) -> Tensor:
        """Segment images.

        Args:
            x: `(N, in_channels, H, W)`, float; H and W multiples of `stride`.

        Returns:
            Logits `(N, num_classes, H, W)`.
        """
        features = self.encoder(x)
        # DPT's encoder returns features and prefix tokens, all others a list of features
        decoded = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        logits: Tensor = self.head(decoded)
        return logits


def _parse_arch(arch: str) -> str:
    """Return SMP's name of an architecture, from any common spelling."""
    import segmentation_models_pytorch as smp

    architectures = smp.MODEL_ARCHITECTURES_MAPPING
    key = arch.lower().replace("+", "plus").replace("-", "").replace("_", "")
    if key not in architectures:
        raise ConfigError(f"SMP has no architecture {arch!r}{did_you_mean(key, architectures, otherwise=12)}")
    return key


def _parse_encoder(encoder: str) -> str:
    """Return SMP's name of an encoder; timm models have the prefix `tu-`."""
    import segmentation_models_pytorch as smp
    import timm

    smp_encoders = smp.encoders.encoders
    bare = encoder.removeprefix("tu-")
    if encoder in smp_encoders:
        return encoder
    if timm.is_model(bare.partition(".")[0]):
        return f"tu-{bare}"
    raise ConfigError(
        f"neither SMP nor timm has an encoder {encoder!r}{did_you_mean(bare, [*smp_encoders, *timm.list_models()], 12)}"
    )


def _check_options(arch: str, name: str, options: dict[str, Any]) -> None:
    """Check that `kwargs` has no arguments that lightseg sets or does not support, or that SMP would ignore."""
    import segmentation_models_pytorch as smp

    reserved = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}
    if clash := reserved & options.keys():
        raise ConfigError(
            f"model.net.kwargs: {', '.join(sorted(clash))} cannot be set, since SmpNet sets it; leave it out"
        )
    parameters = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[arch]).parameters.keys() - reserved - {"kwargs"}
    for key in options:
        # further arguments are passed to a timm encoder, and checked there; SMP's encoders take none
        if key not in parameters and not name.startswith("tu-"):
            raise ConfigError(
                f"model.net.kwargs: {arch} takes no {key!r}{did_you_mean(key, sorted(parameters), otherwise=12)}"
            )


def _dpt_options(name: str, encoder: str, options: dict[str, Any]) -> dict[str, Any]:
    """Check the encoder of a DPT, and return its arguments with the readout of prefix tokens."""
    config: Any = reference(name[3:]) if name.startswith("tu-") else None
    if not hasattr(config, "num_prefix_tokens"):
        raise ConfigError(
            f"model.net.encoder: dpt needs a vision transformer of timm such as vit_tiny_patch16_224; {encoder} is none"
        )
    return options if config.num_prefix_tokens else {"decoder_readout": "ignore", **options}


def _build_with_timm(arch: str, request: TimmEncoder, shape: dict[str, Any]) -> Any:
    options = {**request.kwargs, **shape}
    # SMP downloads weights for any value but None, even False
    weights = options.pop("pretrained", None)
    if arch == "dpt":
        # without the classifier, which DPT does not use
        options["num_classes"] = 0
    with request.loading():
        return forget_source(_create(arch, f"tu-{request.name}", weights, options))


def _build_with_smp(
    arch: str, name: str, encoder_weights: str | None, options: dict[str, Any]
) -> tuple[Any, Normalization | None]:
    import segmentation_models_pytorch as smp

    in_channels = options["in_channels"]
    if encoder_weights is None:
        return _create(arch, name, None, options), None
    if is_file(encoder_weights):
        model = _create(arch, name, None, options)
        # a prefix that the encoder has is not of a classifier
        classifiers = tuple(prefix for prefix in _CLASSIFIERS if not hasattr(model.encoder, prefix.rstrip(".")))
        exported = load_encoder_weights(
            model.encoder, encoder_weights, owner=f"SMP's {name}", in_channels=in_channels, classifiers=classifiers
        )
        mean, std = exported or next((value for key, value in _MEAN_STD.items() if name.startswith(key)), IMAGENET)
        return model, adapt_normalization(mean, std, in_channels)
    settings = smp.encoders.encoders[name]["pretrained_settings"]
    if encoder_weights not in settings:
        raise ConfigError(
            f"SMP has no weights {encoder_weights!r} for {name}{did_you_mean(encoder_weights, settings, otherwise=12)}"
        )
    with fetching(f"the weights {encoder_weights} of SMP's {name}", _SAVE.format(name=name, weights=encoder_weights)):
        model = _create(arch, name, encoder_weights, options)
        expected = smp.encoders.get_preprocessing_params(name, encoder_weights)
    return model, adapt_normalization(expected["mean"], expected["std"], in_channels)


def _create(arch: str, name: str, weights: str | bool | None, options: dict[str, Any]) -> Any:
    import segmentation_models_pytorch as smp

    try:
        with warnings.catch_warnings():
            # SMP advises to use timm's encoder instead of its copy, but the user chose the copy
            warnings.filterwarnings("ignore", "`timm-` encoders are deprecated", DeprecationWarning)
            return smp.create_model(arch, encoder_name=name, encoder_weights=weights, **options)
    # the caller handles network errors; all others mean that architecture and encoder are incompatible
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            f"SMP cannot build {arch} with encoder {name.removeprefix('tu-')}: {first_line(error)}"
        ) from error
