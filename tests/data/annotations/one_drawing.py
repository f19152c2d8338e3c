"""One drawing in every annotation format, and as masks that no code of lightseg paints."""

import base64
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml
from PIL import Image

from tests.data.fabricate import picture, save

HEIGHT, WIDTH, COUNT = 40, 60, 10
CLASSES = ["background", "road", "car", "sign"]
NAMES = CLASSES[1:]
SIZE = np.array([WIDTH, HEIGHT])
SPLITS = ("train", "val", "test")


def square(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def objects(index):
    """Class and outline of each object, later ones above: a triangle under a road with a hole, and two signs."""
    shift = index % 5
    # the outline leads to the hole and back
    road = [*square(5, 5, 35 + shift, 30), [5, 5], [12, 12], [12, 20], [20, 20], [20, 12], [12, 12], [5, 5]]
    car = [[20.3, 2.2], [51.7 + shift, 15.9], [14.1, 36.6]]
    return [
        ("car", car),
        ("road", road),
        ("sign", square(50.2, 30.4, 70, 50)),
        ("sign", square(40, 31 + shift % 2, 45.5, 36)),
    ]


def pixels(name, outline):
    """Pixels of an object, `(H, W)` bool, by inequalities between the centers and the corners."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    if name == "car":
        sides = [
            (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            for (ax, ay), (bx, by) in zip(outline, outline[1:] + outline[:1], strict=True)
        ]
        assert min(np.abs(side).min() for side in sides) > 1e-2
        return np.all(np.array(sides) > 0, 0)
    (left, top), (right, bottom) = outline[0], outline[2]
    inside = (left < x) & (x < right) & (top < y) & (y < bottom)
    return inside & ~((x > 12) & (x < 20) & (y > 12) & (y < 20)) if name == "road" else inside


def mask(index, by_area=False):
    """Class ids, `(H, W)`, with later or with smaller objects above."""
    regions = [(CLASSES.index(name), pixels(name, outline)) for name, outline in objects(index)]
    if by_area:
        regions.sort(key=lambda region: -region[1].sum())
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for label, region in regions:
        ids[region] = label
    return ids


def pictures(root):
    for index in range(COUNT):
        save(root / "images" / f"{index}.png", picture(index, HEIGHT, WIDTH))
    return Path(root)


def masks(root, by_area=False):
    pictures(root)
    for index in range(COUNT):
        save(root / "masks" / f"{index}.png", mask(index, by_area))
    return {}


def clipped(outline):
    """An outline inside the picture, for formats whose coordinates are in it."""
    return np.clip(outline, 0, (WIDTH, HEIGHT)).tolist()


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def runs(flat):
    """Lengths of runs of pixels that are alternately outside and inside."""
    counts, value = [0], False
    for pixel in flat.tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def coco_content(segment=lambda name, outline: [np.ravel(outline).tolist()], indices=range(COUNT)):
    """Content of a COCO file, with the two signs as parts of one annotation where they are polygons."""
    annotations = []
    for index in indices:
        for name, outline in objects(index):
            segmentation = segment(name, outline)
            if name == "sign" and isinstance(segmentation, list) and annotations[-1]["category_id"] == 9:
                annotations[-1]["segmentation"] += segmentation
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + index,
                    "category_id": 7 + NAMES.index(name),
                    "segmentation": segmentation,
                    "iscrowd": int(isinstance(segmentation, dict)),
                }
            )
    return {
        "images": [
            {"id": 100 + index, "file_name": f"{index}.png", "height": HEIGHT, "width": WIDTH} for index in indices
        ],
        "categories": [{"id": 7 + label, "name": name} for label, name in enumerate(NAMES)],
        "annotations": annotations,
    }


def coco(root):
    write_json(pictures(root) / "annotations" / "instances.json", coco_content())
    return {"annotations": "annotations/instances.json"}


def uncompressed_runs(name, outline):
    return {"size": [HEIGHT, WIDTH], "counts": runs(pixels(name, outline).ravel(order="F"))}


def compressed_runs(name, outline):
    from pycocotools import mask as coder

    encoded = coder.encode(np.asfortranarray(pixels(name, outline).astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def coco_runs(root):
    write_json(pictures(root) / "runs.json", coco_content(uncompressed_runs))
    return {"annotations": "runs.json"}


def coco_compressed(root):
    write_json(pictures(root) / "runs.json", coco_content(compressed_runs))
    return {"annotations": "runs.json"}


def yolo(root):
    pictures(root)
    for index in range(COUNT):
        lines = [
            " ".join([str(NAMES.index(name)), *(f"{value:.6f}" for value in np.ravel(clipped(outline) / SIZE))])
            for name, outline in objects(index)
        ]
        path = root / "labels" / f"{index}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    lists = {"train": range(6), "val": (6, 7), "test": (8, 9)}
    for split, indices in lists.items():
        (root / f"{split}.txt").write_text("".join(f"./images/{index}.png\n" for index in indices))
    (root / "data.yaml").write_text(yaml.safe_dump({"names": NAMES, **{split: f"{split}.txt" for split in lists}}))
    return {}


def labelme_content(index, shapes):
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"../images/{index}.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def labelme_shape(name, outline):
    if name == "sign":
        return {"label": name, "points": [outline[0], outline[2]], "shape_type": "rectangle"}
    return {"label": name, "points": outline, "shape_type": "polygon"}


def labelme(root, shape=labelme_shape):
    pictures(root)
    for index in range(COUNT):
        shapes = [shape(name, outline) for name, outline in objects(index)]
        write_json(root / "labels" / f"{index}.json", labelme_content(index, shapes))
    return {}


def box(region):
    """First row and column, and the pixels of the smallest rectangle around a region."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    return rows[0], columns[0], region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def labelme_mask(name, outline):
    top, left, part = box(pixels(name, outline))
    buffer = io.BytesIO()
    Image.fromarray(part).save(buffer, "PNG")
    corner = [float(left + part.shape[1] - 1), float(top + part.shape[0] - 1)]
    return {
        "label": name,
        "points": [[float(left), float(top)], corner],
        "shape_type": "mask",
        "mask": base64.b64encode(buffer.getvalue()).decode(),
    }


def labelme_masks(root):
    return labelme(root, labelme_mask)


def cvat_shape(image, name, outline, depth):
    attributes = {"label": name, "occluded": "0", "source": "manual", "z_order": str(depth)}
    if name == "sign":
        corners = zip(("xtl", "ytl", "xbr", "ybr"), [*outline[0], *outline[2]], strict=True)
        ElementTree.SubElement(image, "box", attributes | {key: f"{value:.2f}" for key, value in corners})
    else:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in outline)
        ElementTree.SubElement(image, "polygon", attributes | {"points": points})


def cvat(root, shape=cvat_shape, order=reversed):
    tree = ElementTree.Element("annotations")
    ElementTree.SubElement(tree, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(tree, "meta"), "task"), "labels")
    for name in NAMES:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = name
    for index in range(COUNT):
        attributes = {"id": str(index), "name": f"{index}.png", "width": str(WIDTH), "height": str(HEIGHT)}
        image = ElementTree.SubElement(tree, "image", attributes)
        # not in the order of depth, which z_order tells
        for depth, (name, outline) in order(list(enumerate(objects(index)))):
            shape(image, name, outline, depth)
    ElementTree.ElementTree(tree).write(pictures(root) / "annotations.xml", "utf-8", xml_declaration=True)
    return {"annotations": "annotations.xml"}


def cvat_mask(image, name, outline, depth):
    top, left, part = box(pixels(name, outline))
    attributes = {"label": name, "z_order": str(depth), "rle": ", ".join(map(str, runs(part.ravel())))}
    place = {"left": left, "top": top, "width": part.shape[1], "height": part.shape[0]}
    ElementTree.SubElement(image, "mask", attributes | {key: str(number) for key, number in place.items()})


def cvat_masks(root):
    return cvat(root, cvat_mask)


FORMATS = (coco, coco_runs, coco_compressed, yolo, labelme, labelme_masks, cvat, cvat_masks)


def targets(module):
    """Mask of each image of a data module, by the name of its file."""
    result = {}
    for split in SPLITS:
        part = module.dataset(split)
        result |= {part.name(index).rpartition("/")[2]: part[index][1] for index in range(len(part))}
    return result


def names(module, split):
    """Paths of the images of a split of a data module."""
    part = module.dataset(split)
    return [part.name(index) for index in range(len(part))]
