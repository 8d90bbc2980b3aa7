"""Values that must not be stored or logged, recognised by a field's name or by the value itself.

Of fields named after bank and card numbers the last four characters are kept; fields named after
security codes, tax numbers, tokens and passwords are left out. Names match in any spelling
(`accountNumber`, `bank_account_number`, `card-number`) and at any depth. In all other text, card
numbers (a known prefix and length, and a valid Luhn check digit), IBANs (the country's length, and
the checksum of ISO 7064), tokens and the signatures of links are removed, whatever the field's
name. Pure.
"""

import re
from collections.abc import Collection, Iterable
from enum import Enum
from functools import lru_cache
from typing import Any

LAST = 4
"""Characters kept of a number that is cut."""


class Treatment(Enum):
    """What happens to the value of a field with a sensitive name."""

    CUT = "its last characters are kept"
    DROP = "it is left out"


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_CUT_WORDS = frozenset(
    ("iban", "pan", "swift", "bic", "clabe", "bsb", "sortcode", "cardnum", "acctnum", "acctno")
)
_CUT_ENDINGS = (
    "accountnumber", "accountnum", "accountno", "acctnumber", "routingnumber", "routingnum",
    "routingno", "abanumber", "transitnumber", "cardnumber", "cardno", "swiftcode", "biccode",
    "bankcode", "banknumber", "sortcode", "ibannumber", "pannumber", "ibancode",
)  # fmt: skip
_DROP_WORDS = frozenset((
    "cvv", "cvv2", "cvc", "cvc2", "cvn", "csc", "ssn", "sin", "itin", "ein", "tin", "pin", "otp",
    "token", "jwt", "secret", "password", "passwd", "pwd", "passphrase", "passcode",
    "authorization", "credential", "credentials",
))  # fmt: skip
_DROP_ENDINGS = (
    "socialsecurity", "socialsecuritynumber", "ssnnumber", "taxid", "taxnumber",
    "taxpayerid", "taxidnumber", "taxidentificationnumber", "taxpayeridentificationnumber",
    "employeridentificationnumber", "einnumber", "tinnumber", "cvvcode", "cvccode",
    "securitycode", "cardverificationvalue", "cardverificationcode", "accesstoken",
    "refreshtoken", "idtoken", "authtoken", "bearertoken", "sessiontoken", "apitoken",
    "secrettoken", "apikey", "accesskey", "secretkey", "signingkey", "privatekey",
    "clientsecret", "pinnumber", "pincode", "userpassword",
)  # fmt: skip


@lru_cache(maxsize=8192)
def fate_of(name: str) -> Treatment | None:
    """The treatment of a field with this name; None if the name is not sensitive."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return None
    whole, last = "".join(words), words[-1]
    if last in _DROP_WORDS or "".join(words[-2:]) in _DROP_WORDS or whole.endswith(_DROP_ENDINGS):
        return Treatment.DROP
    if last in _CUT_WORDS or whole.endswith(_CUT_ENDINGS):
        return Treatment.CUT
    return None


_DIGITS = re.compile(r"(?<![0-9A-Za-z+.])[0-9](?:[ -]?[0-9]){12,}(?![0-9A-Za-z])")
_GROUP = re.compile(r"([0-9]+)([ -]?)")
_CARDS = re.compile(
    "4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    "|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    "|3[47][0-9]{13}"
    "|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12,15}"
    "|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"
    "|3(?:0[0-5]|[689][0-9])[0-9]{11,16}"
    "|62[0-9]{14,17}"
    "|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{8,15}"
)
_IBAN = re.compile(r"(?<![0-9A-Za-z])([A-Z]{2})[0-9]{2}(?: ?[0-9A-Z]){11,30}")
_LENGTHS = {
    country: int(length)
    for length, countries in (
        line.split(": ")
        for line in """\
15: NO
16: BE
18: DK FI FO GL NL SD FK
19: MK SI
20: AT BA EE KZ LT LU XK MN
21: CH HR LI LV
22: BG BH CR DE GB GE IE ME RS VA
23: AE GI IL IQ OM TL SO
24: AD CZ ES MD PK RO SA SE SK TN VG DZ
25: LY PT ST
26: IS TR
27: BI DJ FR GR IT MC MR SM
28: AL AZ BY CY DO GT HU LB NI PL SV HN
29: BR EG PS QA UA
30: JO KW MU YE
31: MT SC
32: LC
33: RU""".splitlines()
    )
    for country in countries.split()
}
_SIGNATURES = (
    "x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature|x-goog-credential"
    "|signature|sig|token|access_token|refresh_token|id_token|auth_token|api_key|apikey"
    "|secret|client_secret|password"
)
_SIGNED = re.compile(rf"(?<=[?&;#])({_SIGNATURES})=[^&#;\s\"'<>]+", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/\s:@?#]+:[^/\s@]+@")
_TOKENS = re.compile(
    r"\b(?:bxt_|whsec_|sk_live_|xox[abp]-|ghp_)[0-9A-Za-z_+/=-]{10,}"
    r"|\beyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]*"
    r"|(?<=\bBearer )[0-9A-Za-z._~+/=-]{10,}"
)
_GONE = "…"


def scrubbed(text: str) -> str:
    """The text without sensitive values; numbers keep their last four digits."""
    text = _DIGITS.sub(_cut_cards, text)
    text = _IBAN.sub(_cut_iban, text)
    if "://" in text or "=" in text:
        text = _LOGIN.sub(f"{_GONE}@", _SIGNED.sub(rf"\1={_GONE}", text))
    return _TOKENS.sub(_GONE, text)


def _cut_cards(match: re.Match[str]) -> str:
    """Masks card numbers in groups of digits; some adjacent groups may form a card number."""
    groups = [(group[1], group[2]) for group in _GROUP.finditer(match[0])]
    for start in range(len(groups)):
        if start and groups[start - 1][1] == "-":
            continue
        for end in range(len(groups), start, -1):
            digits = "".join(digits for digits, _ in groups[start:end])
            whole = end == len(groups) or groups[end - 1][1] != "-"
            if whole and _CARDS.fullmatch(digits) and _luhn(digits):
                before = "".join(map("".join, groups[:start]))
                after = groups[end - 1][1] + "".join(map("".join, groups[end:]))
                return f"{before}{_GONE}{digits[-LAST:]}{after}"
    return match[0]


def _luhn(digits: str) -> bool:
    odd, even = map(int, digits[-1::-2]), (divmod(2 * int(d), 10) for d in digits[-2::-2])
    return (sum(odd) + sum(map(sum, even))) % 10 == 0


def _cut_iban(match: re.Match[str]) -> str:
    length = _LENGTHS.get(match[1], 0)
    taken = ""
    for end, character in enumerate(match[0], start=1):
        taken += "" if character == " " else character
        if len(taken) == length and _is_iban(taken):
            return f"{_GONE}{taken[-LAST:]}{match[0][end:]}"
    return match[0]


def _is_iban(text: str) -> bool:
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


_FOLD = bytes.maketrans(
    bytes(range(256)),
    bytes(
        ord("0") if 48 <= c <= 57 else ord("A") if 65 <= c <= 90 else c if c < 128 else 0x7F
        for c in range(256)
    ),
)
_LIKE_IBAN = re.compile(rb"AA00[A0]{11}")
_HINTS = (b"bxt_", b"whsec_", b"sk_live_", b"eyJ", b"Bearer ", b"xoxb-", b"ghp_")


def is_in(texts: Iterable[str]) -> bool:
    """Whether any of the texts has a sensitive value; fast where none looks like one."""
    whole = "\n".join(texts)
    return _may_be_in(whole.encode()) and scrubbed(whole) != whole


def _may_be_in(text: bytes) -> bool:
    """Whether the text may have one: never False for a text that has."""
    folded = text.translate(_FOLD, b" -")
    if b"0" * 13 in folded or _LIKE_IBAN.search(folded) or any(hint in text for hint in _HINTS):
        return True
    return b"=" in text or (b"://" in text and b"@" in text)


def names_any(value: Any, names: Collection[str] = ()) -> bool:
    """Whether any field of a JSON value, at any depth, is in `names` or has a sensitive name."""
    left = [value]
    while left:
        inner = left.pop()
        if type(inner) is dict:
            for name, below in inner.items():
                if fate_of(name) or name in names:
                    return True
                if type(below) in _NESTS:
                    left.append(below)
        else:
            left += [element for element in inner if type(element) in _NESTS]
    return False


_NESTS = (dict, list)


def purge(
    value: Any,
    cut: Collection[str] = (),
    dropped: Collection[str] = (),
    exempt: Collection[str] = (),
) -> bool:
    """Masks and removes sensitive values in a JSON value, in place and at any depth. Returns
    whether it changed anything.

    `cut` and `dropped` are names in addition to the recognised ones. Values of fields named in
    `exempt` are kept: identifiers and amounts, which must not be altered.
    """
    changed, left = False, [value]
    while left:
        inner = left.pop()
        if isinstance(inner, dict):
            changed |= _purge_fields(inner, left, cut, dropped, exempt)
        elif isinstance(inner, list):
            changed |= _purge_elements(inner, left)
    return changed


def _purge_fields(
    fields: dict[str, Any],
    left: list[Any],
    cut: Collection[str],
    dropped: Collection[str],
    exempt: Collection[str],
) -> bool:
    changed = False
    for name in list(fields):
        inner = fields[name]
        if name in dropped or (
            _says(inner) and fate_of(name) is Treatment.DROP and name not in exempt
        ):
            del fields[name]
            changed = True
        elif name in cut or (fate_of(name) is Treatment.CUT and name not in exempt):
            short = _shortened(inner)
            changed |= short != inner
            fields[name] = short
        elif name in exempt and isinstance(inner, list):
            left += [element for element in inner if isinstance(element, dict)]
        elif isinstance(inner, dict | list):
            left.append(inner)
        elif name not in exempt:
            clean = _clean(inner)
            changed |= clean is not inner
            fields[name] = clean
    return changed


def _purge_elements(elements: list[Any], left: list[Any]) -> bool:
    changed = False
    for place, inner in enumerate(elements):
        if isinstance(inner, dict | list):
            left.append(inner)
        else:
            clean = _clean(inner)
            changed |= clean is not inner
            elements[place] = clean
    return changed


def _says(value: Any) -> bool:
    """Whether a value can be a secret: null, true and false cannot."""
    return value is not None and not isinstance(value, bool)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        clean = scrubbed(value)
        return value if clean == value else clean
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10**12:
        clean = scrubbed(str(value))
        return value if clean == str(value) else clean
    return value


def _shortened(value: Any) -> Any:
    """A masked number; of a list or object, with every number in it masked."""
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return str(value)[-LAST:] if _says(value) else value
