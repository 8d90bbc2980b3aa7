"""Alert targets by their Apprise URLs, which are secrets: none is ever logged or told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from brex_sync.brex.addresses import is_here
from brex_sync.errors import SettingsError

if TYPE_CHECKING:
    from apprise import NotifyBase

log = logging.getLogger(__name__)

NAME = "BREX_SYNC_ALERT_URLS"
PATIENCE = 10.0
"""Seconds to wait for a target."""
_TALKATIVE = ("apprise", "urllib3")
"""Loggers whose messages have parts of the URLs in them."""


def check_targets(urls: list[str]) -> None:
    """Checks that Apprise can use every URL, before an alert is due.

    Raises:
        SettingsError: one cannot be used; named by its place among them.
    """
    if faults := [told for _, told in _opened(urls) if told]:
        raise SettingsError("; ".join(faults))


def notify(urls: list[str], title: str, text: str) -> bool:
    """Sends a text to every URL; whether a target took it. A failure is logged."""
    taken = False
    for number, (target, told) in enumerate(_opened(urls), start=1):
        if target is None:
            log.warning("%s", told)
        elif _send(target, title, text):
            taken = True
        else:
            log.warning("the target of URL %d of %s did not take the alert", number, NAME)
    return taken


def _opened(urls: list[str]) -> list[tuple[NotifyBase | None, str]]:
    """A target per URL, or None and what is wrong with the URL."""
    if not urls:
        return []
    from apprise import Apprise, AppriseAsset, NotifyBase

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    asset = AppriseAsset(app_id="brex_sync", http_redirects=False, service_timeout=PATIENCE)
    found: list[tuple[NotifyBase | None, str]] = []
    for number, url in enumerate(urls, start=1):
        target = Apprise.instantiate(url, asset=asset)
        if not isinstance(target, NotifyBase):
            told = f"Apprise cannot use URL {number}; docs/connections.md has examples"
            found.append((None, f"{NAME}: {told}"))
        elif _is_open_to_others(target):
            told = "not encrypted and not of this machine, so no alert goes there"
            found.append((None, f"{NAME}: URL {number} is {told}"))
        else:
            found.append((target, ""))
    return found


def _is_open_to_others(target: NotifyBase) -> bool:
    """Whether a target is reached over a network without encryption: its service has a scheme for
    that (one without has no `protocol`), and the URL uses it."""
    host = (target.host or "").strip("[]")
    return bool(target.protocol and host) and not target.secure and not is_here(host)


def _send(target: NotifyBase, title: str, text: str) -> bool:
    from apprise import Apprise, NotifyFormat, NotifyType

    chosen = Apprise(target, asset=target.asset)
    failure, plain = NotifyType.FAILURE, NotifyFormat.TEXT
    return bool(chosen.notify(text, title=title, notify_type=failure, body_format=plain))
