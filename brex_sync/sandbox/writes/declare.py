"""The words by which a write is declared, and the parts that many bodies share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from brex_sync.sandbox.error_replies import Errors, bad_request, not_found
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item

Text = Annotated[str, Meta(min_length=1)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
MaybeText = str | None | UnsetType
Metadata = dict[str, str] | None


class Money(msgspec.Struct):
    """An amount in the currency's smallest unit."""

    amount: Annotated[int, Meta(ge=0)]
    currency: str | None = "USD"


class PostalAddress(msgspec.Struct):
    """An address; its lines go on a label, so they are short."""

    line1: Annotated[str, Meta(max_length=59)] | None = None
    line2: Annotated[str, Meta(max_length=59)] | None = None
    city: str | None = None
    state: str | None = None
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    postal_code: str | None = None
    phone_number: str | None = None


@dataclass(frozen=True, slots=True)
class ReceivedWrite:
    """A write as it arrived: the ids in its path, its body, and the sandbox's own address."""

    world: World
    names: Mapping[str, str]
    body: Any
    base: str

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.names["id"]

    def item(self, collection: str) -> Item:
        """The item that the path names; raises ErrorReply 404 where there is none."""
        item = self.world.collection(collection).get(self.id)
        if item is None:
            raise not_found(f"No {collection} with this id")
        return item


@dataclass(frozen=True, slots=True)
class WriteEndpoint:
    """One way to change the world.

    `apply` makes the change and returns what the answer shows, None for an empty one. `scope` ""
    asks for no scope; `keyed` demands an Idempotency-Key.
    """

    method: str
    path: str
    scope: str
    apply: Callable[[ReceivedWrite], Any]
    body: type[msgspec.Struct] | None = None
    keyed: bool = False
    status: int = 200
    errors: Errors = Errors.USUAL


def read_body(write: WriteEndpoint, raw: bytes) -> Any:
    """The body as the write declares it; raises ErrorReply 400 where it is something else."""
    if write.body is None:
        return None
    try:
        return msgspec.json.decode(raw, type=write.body)
    except msgspec.DecodeError as error:
        raise bad_request(str(error)) from None


def sent(body: msgspec.Struct) -> Item:
    """The fields that were sent."""
    plain: Item = msgspec.to_builtins(body)
    return plain


def given(value: Any) -> bool:
    """Whether a field was sent, and not as null."""
    return value is not UNSET and value is not None


def check_ids(world: World, collection: str, *keys: Any) -> None:
    """Raises ErrorReply 400 for an id that no item has; unset and null ones are well."""
    for key in keys:
        if given(key) and world.collection(collection).body(key) is None:
            raise bad_request(f"There is no {key} among the {collection}")
