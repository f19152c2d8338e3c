"""The part of JSON Schema that the schemas of the tests use."""

import re

_TYPES = {"object": dict, "array": list, "string": str, "integer": int}


def violations(value, schema, place="$"):
    """What a value violates of a schema, as lines."""
    unknown = schema.keys() - {
        *("$comment", "type", "enum", "pattern", "minimum", "required", "properties", "additionalProperties", "items")
    }
    assert not unknown, f"{place}: the schema has {unknown}"
    kind = schema.get("type")
    if kind and (not isinstance(value, _TYPES[kind]) or isinstance(value, bool)):
        return [f"{place}: {value!r} is no {kind}"]
    lines = []
    if value not in schema.get("enum", [value]):
        lines.append(f"{place}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        lines.append(f"{place}: {value!r} does not match {schema['pattern']}")
    if "minimum" in schema and value < schema["minimum"]:
        lines.append(f"{place}: {value!r} is too small")
    if isinstance(value, list):
        return lines + [
            line for i, item in enumerate(value) for line in violations(item, schema["items"], f"{place}.{i}")
        ]
    if isinstance(value, dict):
        lines += [f"{place}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            lines += [f"{place}: {name} is unknown"] if inner is False else violations(item, inner, f"{place}.{name}")
    return lines
