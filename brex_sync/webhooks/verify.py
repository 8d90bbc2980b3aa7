"""Whether a delivery is Brex's: its signature, its age, and its form. Pure but for the clock.

Brex signs by the scheme of Standard Webhooks (Brex's webhook guide). The library verifies what is
well formed; what is not is refused here, as it would meet it with errors of all kinds.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from brex_sync.brex.strict_json import clean
from brex_sync.errors import DeliveryRejected, UnusableAnswer, WrongSignature
from brex_sync.warehouse.events.inbox import InboxEvent

LARGEST = 256 * 1024
"""Bytes of a body that is read at all."""
LONGEST_HEADER = 4096
_ID = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=", re.ASCII)
_TYPE = re.compile(r"[\x21-\x7e]{1,100}", re.ASCII)


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str:
    """The Webhook-Id of a delivery that one of the secrets signed within the last five minutes.

    `headers` by lower-case name. To compare takes the same time however much of it is right.

    Raises:
        WrongSignature: no secret did.
        DeliveryRejected: a header is missing, malformed, or tells of another time.
    """
    webhook_id = _header(headers, "webhook-id", _ID)
    seconds = _header(headers, "webhook-timestamp", _SECONDS)
    signatures = headers.get("webhook-signature", "")
    sound = [one for one in signatures.split(" ") if _SIGNATURE.fullmatch(one)]
    if not sound or len(signatures) > LONGEST_HEADER:
        raise DeliveryRejected(400, "no webhook-signature of the form v1,…")
    signed = {
        "webhook-id": webhook_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(sound),
    }
    text = _text(body)
    if not any(_is_signed_by(secret, text, signed) for secret in secrets):
        raise WrongSignature
    return webhook_id


def read_event(webhook_id: str, body: bytes) -> InboxEvent:
    """What a verified delivery tells of, without characters that Postgres cannot hold.

    Raises:
        DeliveryRejected: its body is no JSON object with an event_type.
    """
    try:
        text, _ = clean(body)
        content: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnusableAnswer):
        raise DeliveryRejected(400, "the body is no JSON") from None
    kind = content.get("event_type") if isinstance(content, dict) else None
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise DeliveryRejected(400, "the body has no event_type")
    return InboxEvent(webhook_id, kind, text.decode())


def _header(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = headers.get(name, "")
    if not form.fullmatch(value):
        raise DeliveryRejected(400, f"{name} is {'malformed' if value else 'missing'}")
    return value


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise DeliveryRejected(400, "the body is not UTF-8") from None


def _is_signed_by(secret: str, text: str, headers: dict[str, str]) -> bool:
    try:
        webhook = Webhook(secret)
    except Exception:  # whatever a secret that is no base64 meets in the library
        return False
    try:
        webhook.verify(text, headers, json_parse=False)
    except WebhookVerificationError as error:
        if "timestamp" in str(error):
            raise DeliveryRejected(400, "webhook-timestamp is not of these five minutes") from None
        return False
    return True
