"""Data modules of CamVid, CIFAR-10, Oxford-IIIT Pet, Pascal VOC, Shapes, and a folder of images and masks."""
