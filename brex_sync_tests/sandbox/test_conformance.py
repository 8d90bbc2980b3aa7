"""The sandbox's answers against Brex's own OpenAPI documents, where they are at hand."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from brex_sync.sandbox import World, create_app
from brex_sync.sandbox.endpoints import ENDPOINTS, Endpoint

DOCUMENTS = Path(
    os.environ.get("BREX_OPENAPI_DIR", Path(__file__).parents[3] / "shared/brex-api/openapi")
)
NEWER_THAN_THE_DOCUMENTS = {"/v2/cost_centers"}
OMITTED_IN_BREX_OWN_EXAMPLES = {"initiated_at_date"}
AUTH = {"Authorization": "Bearer bxt_sandbox"}


def converted(schema: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: nullable spelled out, discriminators left aside."""
    if isinstance(schema, list):
        return [converted(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "discriminator" in schema and "oneOf" in schema:
        return {}
    plain = {k: converted(v) for k, v in schema.items() if k not in ("nullable", "example")}
    if isinstance(plain.get("required"), list):
        plain["required"] = [n for n in plain["required"] if n not in OMITTED_IN_BREX_OWN_EXAMPLES]
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") else plain


def documented() -> dict[str, Any]:
    """The schema of the 200 answer to GET, by path with its parameters unnamed."""
    schemas: dict[str, Any] = {}
    for file in sorted(DOCUMENTS.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        components = converted(document["components"]["schemas"])
        for path, operations in document["paths"].items():
            content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content")
            if content:
                schema = converted(content["application/json"]["schema"])
                schema = {"components": {"schemas": components}, "allOf": [schema]}
                schemas[unnamed(path)] = schema
    return schemas


def unnamed(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    if not DOCUMENTS.is_dir():
        pytest.skip("Brex's OpenAPI documents are not here; BREX_OPENAPI_DIR says where they are")
    return documented()


@pytest.fixture(scope="module")
def world() -> World:
    return World(card_transactions=400)


@pytest.fixture(scope="module")
def client(world: World) -> TestClient:
    return TestClient(create_app(world, rate_limit=None))


def some_path(endpoint: Endpoint, world: World) -> str:
    if "{id}" not in endpoint.path:
        return endpoint.path
    collection = world.collection(endpoint.collection)
    key = collection.parents()[0] if endpoint.per_parent else None
    if key is None:
        lists = [collection.rows(parent) for parent in ("", *collection.parents())]
        key = next(rows.ids[0] for rows in lists if rows.ids)
    return endpoint.path.replace("{id}", key)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.path)
def test_the_answer_is_as_documented(
    endpoint: Endpoint, schemas: dict[str, Any], world: World, client: TestClient
) -> None:
    answer = client.get(some_path(endpoint, world), headers=AUTH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Brex-Trace-Id"]
    schema = schemas.get(unnamed(endpoint.path))
    if schema is None:
        assert endpoint.path in NEWER_THAN_THE_DOCUMENTS
        return
    faults = sorted({f"{e.json_path}: {e.message[:160]}" for e in validate(schema, answer.json())})
    assert not faults, faults[:5]


def validate(schema: Any, answer: Any) -> Any:
    return Draft202012Validator(schema).iter_errors(answer)


def test_every_documented_list_is_served(schemas: dict[str, Any]) -> None:
    served = {unnamed(endpoint.path) for endpoint in ENDPOINTS}
    lists = {
        path
        for path, schema in schemas.items()
        if "Page" in str(schema["allOf"][0]) and "groups" not in path
    }
    assert lists <= served, lists - served
