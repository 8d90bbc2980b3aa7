"""Brex's OpenAPI documents as JSON Schema."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("BREX_OPENAPI_DIR", ROOT.parent / "shared" / "brex-api" / "openapi"))
NOT_SCHEMA = ("nullable", "discriminator", "example", "examples", "xml", "default")


@dataclass(frozen=True)
class Documented:
    """An operation as the documents have it."""

    path: str
    operation: dict[str, Any]
    document: dict[str, Any]

    @property
    def parameters(self) -> set[str]:
        """The names of its query parameters."""
        return {p["name"] for p in self.operation.get("parameters", ()) if p["in"] == "query"}

    @property
    def headers(self) -> dict[str, bool]:
        """The headers it takes, and whether each is required."""
        told = self.operation.get("parameters", ())
        return {p["name"]: p.get("required", False) for p in told if p["in"] == "header"}

    @property
    def scopes(self) -> set[str]:
        """The OAuth scopes that open it."""
        told = self.operation.get("security", ())
        return {scope for way in told for scopes in way.values() for scope in scopes}

    @property
    def body(self) -> dict[str, Any]:
        """The schema of its body; empty for one without."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return self._resolved(content["application/json"]["schema"]) if content else {}

    def body_complaints(self, body: Any) -> list[str]:
        """What is wrong with a request's body."""
        schema = jsonschema.Draft4Validator(validator_schema(self.body, self.document))
        return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in schema.iter_errors(body)]

    def answers(self, status: str) -> bool:
        """Whether an answer with this status has a body."""
        return "content" in self.operation["responses"][status]

    def item_properties(self) -> dict[str, Any]:
        """What an item of the list has, by name."""
        answer = self._resolved(self._answer("200"))
        return dict(self._resolved(answer["properties"]["items"]["items"])["properties"])

    def complaints(self, answer: Any, status: str = "200") -> list[str]:
        """What is wrong with an answer, at most five things."""
        schema = self.validator if status == "200" else self._validator(status)
        found = sorted(schema.iter_errors(answer), key=lambda e: list(e.path))
        return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in found[:5]]

    @cached_property
    def validator(self) -> jsonschema.Draft4Validator:
        """Of the answer that is no error."""
        return self._validator("200")

    def _validator(self, status: str) -> jsonschema.Draft4Validator:
        return jsonschema.Draft4Validator(validator_schema(self._answer(status), self.document))

    def _answer(self, status: str) -> Any:
        return self.operation["responses"][status]["content"]["application/json"]["schema"]

    def _resolved(self, schema: Any) -> Any:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema


def documented() -> Iterator[Documented]:
    """Every GET that answers with JSON."""
    for file in sorted(FOLDER.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        for path, operations in document["paths"].items():
            operation = operations.get("get")
            if operation and "application/json" in operation["responses"]["200"].get("content", {}):
                yield Documented(path, operation, document)


def documented_writes() -> Iterator[tuple[str, Documented]]:
    """Every operation that changes something, with its method."""
    for file in sorted(FOLDER.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        for path, operations in document["paths"].items():
            for method in ("post", "put", "delete", "patch"):
                if method in operations:
                    yield method.upper(), Documented(path, operations[method], document)


def documented_events() -> dict[str, Documented]:
    """What is sent to subscribers, by the event's type."""
    found = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        for path, operations in document.get("x-webhooks", {}).items():
            name = re.sub(r"(?=[A-Z])", "_", path.rpartition("/")[2]).upper()
            found[name] = Documented(path, operations["post"], document)
    return found


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 to JSON Schema: `nullable`, also where it stands among the parts of an allOf,
    and `oneOf` with a discriminator as any of the kinds."""
    if isinstance(node, list):
        return [as_json_schema(n) for n in node]
    if not isinstance(node, dict):
        return node
    plain = {k: as_json_schema(v) for k, v in node.items() if k not in NOT_SCHEMA}
    if "oneOf" in plain:
        plain["anyOf"] = plain.pop("oneOf")
    parts = node.get("allOf")
    told = isinstance(parts, list) and any(part.get("nullable") is True for part in parts)
    if node.get("nullable") is True or told:
        return {"anyOf": [{"type": "null"}, plain]}
    return plain


def validator_schema(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema with everything it refers to."""
    parts = document.get("components", {}).get("schemas", {})
    split = dict(parts)
    for name, part in parts.items():
        if "discriminator" in part and "oneOf" in part:
            kinds = _kinds(part)
            split[name] = {"oneOf": [{"$ref": kind} for kind in kinds]}
            split[f"{name}.base"] = {k: v for k, v in part.items() if k != "oneOf"}
            for kind in kinds:
                child = kind.rpartition("/")[2]
                split[child] = _based_on(split[child], name)
    components = {"schemas": as_json_schema(split)}
    return {**as_json_schema(schema), "components": components}


def _kinds(part: dict[str, Any]) -> list[str]:
    """The kinds listed, and those that only the discriminator names: the documents forget some."""
    listed = [kind["$ref"] for kind in part["oneOf"]]
    named = part["discriminator"].get("mapping", {}).values()
    return list(dict.fromkeys([*listed, *named]))


def _based_on(child: dict[str, Any], base: str) -> dict[str, Any]:
    """A kind that builds on what all kinds have, and not on any kind again."""
    circle = {"$ref": f"#/components/schemas/{base}"}
    opened = {"$ref": f"#/components/schemas/{base}.base"}
    return child | {"allOf": [opened if p == circle else p for p in child.get("allOf", [])]}
