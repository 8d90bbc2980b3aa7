"""Which requests are accepted from anyone: the rules that keep foreign pages out."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Scope

from brex_sync.web.hosts import Host, Hosts

SINGLE = (
    "host",
    "origin",
    "authorization",
    "content-type",
    "cookie",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
)
"""Headers that are read here, and by others after us; two of one could be read in two ways."""
OWN = ("same-origin", "none")
"""What Sec-Fetch-Site says where no foreign page is at work; other ports are `same-site`."""
READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused, with the HTTP status."""

    status: int
    why: str


def foreign(scope: Scope, hosts: Hosts) -> Refusal | None:
    """Why a request is foreign, by the host it is sent to and the page that sends it; None if it is
    not.
    """
    headers = Headers(scope=scope)
    if any(len(headers.getlist(name)) > 1 for name in SINGLE):
        return Refusal(400, "a header is there twice")
    if any(ord(c) < 32 or ord(c) == 127 for c in scope["path"]):
        return Refusal(400, "the path has a control character in it")
    host = Host.parse(headers.get("host", ""))
    if host is None:
        return Refusal(400, "the Host header is missing, or names no host")
    if host not in hosts:
        return Refusal(403, "not reached by this name and port: BREX_SYNC_UI_HOSTS lists others")
    if _of_another_page(scope, headers, host):
        return Refusal(403, "asked for by a page of another origin")
    return None


def is_page_load(scope: Scope) -> bool:
    """Whether a person opens a page in its own window, or a program may be sending the request."""
    headers = Headers(scope=scope)
    return (
        scope["type"] == "http"
        and scope["method"] in READS
        and headers.get("sec-fetch-mode", "navigate") == "navigate"
        and headers.get("sec-fetch-dest", "document") == "document"
    )


def _of_another_page(scope: Scope, headers: Headers, host: Host) -> bool:
    origin = headers.get("origin")
    if origin is None:
        if scope["type"] == "websocket":
            return True
    elif not host.is_of(origin):
        return True
    return headers.get("sec-fetch-site", "none") not in OWN and not is_page_load(scope)


def unsafe(scope: Scope) -> Refusal | None:
    """Why a request is refused even to a page of the app, because it could change something unseen.

    Reads change nothing, and writes are JSON, which a form cannot send. GraphQL in the address is
    refused, because Dagster would execute it.
    """
    if scope["type"] != "http":
        return None
    reads = scope["method"] in READS
    if not reads and scope["method"] != "POST":
        return Refusal(405, "only GET and POST are known here")
    if not reads and _media_type(scope) != "application/json":
        return Refusal(415, "POST application/json")
    if (not reads or scope["path"].startswith("/graphql")) and _names_more(scope):
        return Refusal(400, "GraphQL belongs into the body, as JSON, and not into the address")
    return None


def _media_type(scope: Scope) -> str:
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()


def _names_more(scope: Scope) -> bool:
    """Whether the address has parameters besides `op`, in which Dagster's UI names a query."""
    parameters = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return any(name != "op" for name, _ in parameters)
