from lightseg.list.pairs import as_text

NONE = {"Segmenter": {}, "SmpNet": {}}
ROW = {"name": "x", "image": "/32", "fpn": 1.5, "SmpNet": ["unet", "fpn"], "reasons": NONE}


def test_as_text__names_the_shorter_list():
    reasons = {"pan": "SMP cannot build pan with encoder x: no", "dpt": "model.net.encoder: dpt needs y"}
    rows = [ROW, {**ROW, "name": "y", "reasons": {**NONE, "SmpNet": reasons}, "SmpNet": ["unet", "fpn", "linknet"]}]
    reasons = {"Segmenter": {"fpn": "a: no"}, "SmpNet": {"fpn": "b: no", "dpt": "c: no"}}
    rows += [{**ROW, "name": "z", "fpn": None, "SmpNet": [], "reasons": reasons}]
    assert as_text(rows).splitlines() == [
        "name  image  fpn  SmpNet",
        "x     /32    1.5  all",
        "y     /32    1.5  all but pan, dpt",
        "z     /32         none",
        "y × SmpNet pan: no",
        "y × SmpNet dpt: dpt needs y",
        "z × Segmenter fpn: no",
        "z × SmpNet fpn, dpt: no",
    ]
