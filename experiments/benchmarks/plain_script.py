"""The script that people write with Lightning and segmentation-models-pytorch: U-Net on ResNet-18, CamVid crops.

It follows the guides of the two: a dataset that reads files, albumentations with normalisation, a module with a
torchmetrics IoU, and a `Trainer` with a precision. Net, loss, optimiser, crops, batch and precision are those of the
recipe that `peers.py` puts beside it. It takes turns with it; see `turns.py`.

usage: python plain_script.py CAMVID PRECISION WORKERS
"""

import sys
import warnings
from pathlib import Path

import albumentations as A
import cv2
import lightning as L
import numpy as np
import segmentation_models_pytorch as smp
import torch
import torchmetrics
from albumentations.pytorch import ToTensorV2
from clock import StepTurns
from torch.utils.data import DataLoader, Dataset

CLASSES = 11


class Files(Dataset):
    """Images and masks of a split."""

    def __init__(self, root: str) -> None:
        self.images = sorted(Path(root, "train").iterdir())
        self.masks = [Path(root, "trainannot", f"{path.stem}.png") for path in self.images]
        self.transform = A.Compose(
            [
                A.RandomScale(scale_limit=(-0.5, 1.0), area_for_downscale="image", p=1.0),
                A.RandomCrop(256, 256, pad_if_needed=True, fill_mask=CLASSES),
                A.HorizontalFlip(p=0.5),
                A.RandomBrightnessContrast(p=0.5),
                A.Normalize(),
                ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image = cv2.cvtColor(cv2.imread(str(self.images[index])), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(self.masks[index]), cv2.IMREAD_UNCHANGED)
        made = self.transform(image=image, mask=np.minimum(mask, CLASSES))
        return {"image": made["image"], "mask": made["mask"].long()}


class Module(L.LightningModule):
    """The net, its loss and its score."""

    def __init__(self) -> None:
        super().__init__()
        self.net = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)
        self.loss = torch.nn.CrossEntropyLoss(ignore_index=CLASSES)
        self.iou = torchmetrics.JaccardIndex("multiclass", num_classes=CLASSES + 1, ignore_index=CLASSES)

    def training_step(self, batch: dict[str, torch.Tensor], _index: int) -> torch.Tensor:
        """Return the loss of a batch and log its score."""
        logits = self.net(batch["image"])
        loss: torch.Tensor = self.loss(logits, batch["mask"])
        self.log("train_loss", loss, prog_bar=True)
        self.iou(logits.argmax(1), batch["mask"])
        self.log("train_iou", self.iou, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of the recipe."""
        return torch.optim.AdamW(self.parameters(), 1e-3)


def main(root: str, precision: str, workers: int) -> None:
    """Train until the benchmark ends it.

    Args:
        root: CamVid in SegNet's layout.
        precision: Of the trainer.
        workers: Loading processes.
    """
    warnings.simplefilter("ignore")
    # epochs are no part of the comparison: loading processes stay, as lightseg's do
    loader = DataLoader(
        Files(root), 8, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    trainer = L.Trainer(
        max_epochs=-1,
        precision=precision,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[StepTurns()],
    )
    trainer.fit(Module(), loader)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
