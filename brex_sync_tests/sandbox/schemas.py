"""Brex's OpenAPI documents as JSON Schema."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("BREX_OPENAPI_DIR", ROOT.parent / "shared" / "brex-api" / "openapi"))


def documented() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Path, schema of the 200 answer and document, of every GET."""
    for file in sorted(FOLDER.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        for path, operations in document["paths"].items():
            answers = operations.get("get", {}).get("responses", {})
            content = answers.get("200", answers.get(200, {})).get("content", {})
            if "application/json" in content:
                yield path, content["application/json"]["schema"], document


def as_json_schema(node: Any, document: dict[str, Any]) -> Any:
    """OpenAPI 3.0 to JSON Schema: `nullable`, and `discriminator` as any of the kinds."""
    if isinstance(node, list):
        return [as_json_schema(n, document) for n in node]
    if not isinstance(node, dict):
        return node
    plain = {
        key: as_json_schema(value, document)
        for key, value in node.items()
        if key not in ("nullable", "discriminator", "example", "examples", "xml", "default")
    }
    if "oneOf" in plain:
        plain["anyOf"] = plain.pop("oneOf")
    if node.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, plain]}
    return plain


def validator_schema(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema with everything it refers to."""
    parts = document.get("components", {}).get("schemas", {})
    split = dict(parts)
    for name, part in parts.items():
        if "discriminator" in part and "oneOf" in part:
            split[name] = {"oneOf": part["oneOf"]}
            split[f"{name}.base"] = {k: v for k, v in part.items() if k != "oneOf"}
            for kind in part["oneOf"]:
                child = kind["$ref"].rpartition("/")[2]
                split[child] = _based_on(split[child], name)
    components = {"schemas": as_json_schema(split, document)}
    return {**as_json_schema(schema, document), "components": components}


def _based_on(child: dict[str, Any], base: str) -> dict[str, Any]:
    """A kind that builds on what all kinds have, and not on any kind again."""
    circle = {"$ref": f"#/components/schemas/{base}"}
    opened = {"$ref": f"#/components/schemas/{base}.base"}
    return child | {"allOf": [opened if p == circle else p for p in child.get("allOf", [])]}
