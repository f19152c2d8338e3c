"""Annotation formats (COCO, YOLO, LabelMe, CVAT): objects with an outline and a class, and their drawing as masks."""
