"""The sandbox answers as Brex's OpenAPI documents say."""

import asyncio
import re
from typing import Any

import httpx
import jsonschema
import pytest

from brex_sync.sandbox import World, create_app
from brex_sync.sandbox.endpoints import ENDPOINTS
from brex_sync_tests.sandbox.schemas import FOLDER, documented, validator_schema

GETS = {path: (schema, document) for path, schema, document in documented()}
WORLD = World(card_transactions=60)
FORBIDDEN = re.compile(r"/pan$|/secure")
SHAPES = {re.sub(r"{\w+}", "{}", e.path): e for e in ENDPOINTS}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="Brex's OpenAPI documents are absent")


def fetch(path: str) -> Any:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(WORLD))
        async with httpx.AsyncClient(transport=transport, base_url="http://brex.test") as client:
            return await client.get(path, headers={"Authorization": "Bearer bxt_sandbox"})

    return asyncio.run(get())


@pytest.mark.parametrize("path", [p for p in GETS if re.sub(r"{\w+}", "{}", p) in SHAPES])
def test_answers_are_as_documented(path: str) -> None:
    schema, document = GETS[path]
    endpoint = SHAPES[re.sub(r"{\w+}", "{}", path)]
    collection = WORLD.collection(endpoint.collection)
    keys = collection.parents() if endpoint.per_parent else collection.rows().ids[:5]
    assert keys, "the sandbox has nothing to show here"
    validator = jsonschema.Draft4Validator(validator_schema(schema, document))
    for key in keys if "{" in path else [""]:
        answer = fetch(re.sub(r"{\w+}", key, path))
        assert answer.status_code == 200
        found = sorted(validator.iter_errors(answer.json()), key=lambda e: list(e.path))
        assert [f"{list(e.absolute_path)}: {e.message[:200]}" for e in found[:5]] == []


def test_no_endpoint_reaches_a_card_number() -> None:
    assert not [e.path for e in ENDPOINTS if FORBIDDEN.search(e.path)]
