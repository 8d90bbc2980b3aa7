"""What is Brex's is let in; what is forged, old or malformed is refused, and nothing breaks."""

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.brex.strict_json import clean
from brex_sync.errors import DeliveryRejected, WrongSignature
from brex_sync.webhooks.verify import read_event, verify
from brex_sync_tests.webhooks.conftest import SECRET, signature, signed, told

BODY = told("USER_UPDATED", user_id="cuuser_00001")
OTHER = base64.b64encode(b"another secret of 24 b..").decode()


def low(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def refusal(headers: dict[str, str], body: bytes = BODY, *secrets: str) -> DeliveryRejected:
    with pytest.raises(DeliveryRejected) as caught:
        verify(low(headers), body, secrets or (SECRET,))
    return caught.value


@pytest.mark.parametrize("secret", [SECRET, f"whsec_{SECRET}"])
def test_what_a_secret_signed_is_let_in(secret: str) -> None:
    assert verify(low(signed(BODY, "msg_9")), BODY, [secret]) == "msg_9"


def test_the_example_of_the_specification_is_right_and_only_old() -> None:
    """Standard Webhooks publishes it; its time is long past, and the signature itself is good."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    made = signature(secret, headers["webhook-id"], headers["webhook-timestamp"], body)
    assert made == headers["webhook-signature"]
    assert "five minutes" in refusal(headers, body, secret).reason


@pytest.mark.parametrize("at", range(0, len(BODY), 7))
@pytest.mark.parametrize("bit", [0, 6])
def test_a_body_with_one_bit_turned_is_refused(at: int, bit: int) -> None:
    turned = BODY[:at] + bytes([BODY[at] ^ (1 << bit)]) + BODY[at + 1 :]
    assert isinstance(refusal(signed(BODY), turned), WrongSignature)


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
@pytest.mark.parametrize("at", range(3, 10))
def test_a_header_with_one_bit_turned_is_refused(name: str, at: int) -> None:
    headers = signed(BODY, "msg_0123456789")
    value = headers[name]
    headers[name] = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    assert refusal(headers).status in (400, 401)


def test_another_secret_is_wrong_and_any_of_several_will_do() -> None:
    headers = low(signed(BODY, secret=OTHER))
    assert refusal(headers).status == 401
    assert verify(headers, BODY, [SECRET, OTHER]) == "msg_1"
    assert refusal(headers, BODY, "", "no base64 at all!", "whsec_").status == 401
    with pytest.raises(WrongSignature):
        verify(headers, BODY, [])


def test_any_of_several_signatures_will_do_whatever_stands_beside_it() -> None:
    headers = low(signed(BODY))
    good = headers["webhook-signature"]
    bad = signature(OTHER, "msg_1", headers["webhook-timestamp"], BODY)
    for beside in (bad, "v2,x", "v1,", "v1,a,b", "v1", ",", "v1,é", "v1a," + good[3:]):
        for value in (f"{beside} {good}", f"{good} {beside}", f"  {good}  {beside}"):
            assert verify(headers | {"webhook-signature": value}, BODY, [SECRET]) == "msg_1"


@pytest.mark.parametrize("age", [301, 3600, -301, 10**9])
def test_what_is_not_of_these_five_minutes_is_refused_though_rightly_signed(age: float) -> None:
    refused = refusal(signed(BODY, age=age))
    assert (refused.status, type(refused)) == (400, DeliveryRejected)


@pytest.mark.parametrize("age", [0, 290, -290])
def test_clocks_may_differ_a_little(age: float) -> None:
    assert verify(low(signed(BODY, age=age)), BODY, [SECRET]) == "msg_1"


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
@pytest.mark.parametrize(
    "value", ["", " ", "nan", "inf", "-1", "1e9", "\u0661", "0x10", "9" * 400, "\x00", "v1", "é,é"]
)
def test_malformed_headers_are_refused_and_not_broken_on(name: str, value: str) -> None:
    assert refusal(signed(BODY) | {name: value}).status in (400, 401)


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_a_missing_header_is_refused(name: str) -> None:
    headers = signed(BODY)
    del headers[name]
    assert refusal(headers).status == 400


HEADER = st.text(st.characters(max_codepoint=255), max_size=80)
PARTS = st.lists(
    st.one_of(HEADER, st.just("v1,"), st.binary(max_size=40).map(lambda b: f"v1,{b.hex()}")),
    max_size=4,
).map(" ".join)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "webhook-id": HEADER,
            "webhook-timestamp": st.one_of(HEADER, st.just(str(int(time.time())))),
            "webhook-signature": st.one_of(HEADER, PARTS),
        },
    ),
    st.binary(max_size=200),
    st.lists(st.text(max_size=40), max_size=3),
)
def test_nothing_that_anyone_may_send_is_let_in_or_breaks_it(
    headers: dict[str, str], body: bytes, secrets: list[str]
) -> None:
    with pytest.raises(DeliveryRejected) as caught:
        verify(headers, body, [SECRET, *secrets])
    assert caught.value.status in (400, 401)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.one_of(st.binary(), JSON.map(lambda value: told("X", value=value))))
def test_a_body_is_read_or_refused(body: bytes) -> None:
    try:
        kept = read_event("msg_1", body).body.encode()
    except DeliveryRejected:
        return
    assert kept == clean(body)[0]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b'{"event_type": 1}', b'{"event_type": ""}', b"\xff\xfe",
     b'{"event_type": "A\\u0000"}', b'{"event_type": "\\ud800"}', b"\xed\xa0\x80", b"[" * 50_000,
     b'{"event_type": "' + b"A" * 200 + b'"}', b'{"a": 1}', b'{"event_type": "X", "a": NaN}'],
)  # fmt: skip
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(DeliveryRejected):
        read_event("msg_1", body)


def test_a_signature_is_found_wrong_without_telling_how_far_it_was_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import hmac

    compared: list[Any] = []
    real = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    refusal(signed(BODY, secret=OTHER))
    assert len(compared) == 1
