"""Names of the files that lightseg writes and reads; imports nothing, so that it is cheap to import."""

BEST, LAST = "best.ckpt", "last.ckpt"
PREVIOUS = {LAST: "previous.ckpt", BEST: "previous_best.ckpt"}
"""Name of the backup of a checkpoint while the next one is written."""

METRICS = "metrics.json"
"""File of the final metrics in a run folder; the run is finished once it is there."""

ENSEMBLE = "ensemble.json"
"""File of the members in a folder of the evaluation of an ensemble."""

PLAN = "plan.json"
"""File of the plan in the folder of a series of runs."""

FINDINGS = "find.json"
"""File of the settings in a run folder that were searched before the run."""

LATENCY = "latency.json"
"""File of the latency of the net in the run folder of a trial, if its search asks for it."""

WEIGHTS, WEIGHTS_CONFIG = "model.safetensors", "config.json"
"""Files of an export that `lightseg.load` reads."""

ANNOTATION_SUFFIXES = (".json", ".xml", ".yaml", ".yml")
"""Suffixes of files that annotate many images."""

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "gif", "tif", "tiff", "npy"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "avif"),
    )
)
"""Suffixes of image files."""

UNREAD_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("heic", "heif", "jxl", "jxr", "psd", "tga", "pcx", "ico", "dds", "svg", "exr", "hdr", "ecw"),
        *("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "raw"),
        *("dcm", "nii", "mha", "nrrd", "svs", "ndpi", "mrxs", "czi", "nd2", "lif", "img", "vrt"),
    )
)
"""Suffixes of image files of formats that are not read."""
