"""A simulated Brex in this process, and a person's folder from which everything is started."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

from brex_sync.embedded import EmbeddedPostgres
from brex_sync.http_server import running
from brex_sync.sandbox import Faults, World, create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.sandbox.oauth import CLIENT_ID, ISSUER, Authority, create_brex
from brex_sync_tests.e2e.conftest import NEVER_IN_A_TEST, free_port
from brex_sync_tests.waiting import HANGS
from brex_sync_tests.worlds import trimmed

CHECKOUT = Path(__file__).parents[2]


@dataclass
class Account:
    """Brex at `url`, an alert target, and the folder with `.env` of a person who uses it.

    `printed` is all that any command said.
    """

    folder: Path
    url: str
    app: Any
    secrets: dict[str, str]
    alerts: list[bytes] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def authority(self) -> Authority:
        authority: Authority = self.app.state.authority
        return authority

    @property
    def refreshes(self) -> list[str]:
        return [r.error for r in self.authority.requests if r.grant_type == "refresh_token"]

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
        return kept | {"PYTHONPATH": str(CHECKOUT), "BROWSER": "true"}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "brex_sync", *arguments],
            cwd=self.folder,
            env=self.environment() | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, typed: str = "") -> tuple[int, str]:
        process = self.start(*arguments)
        printed, _ = process.communicate(typed, timeout=HANGS)
        self.printed.append(printed)
        return process.returncode, printed

    def pass_time(self, days: float) -> None:
        """Lets days pass: at Brex by its clock, here by making what is stored older."""
        self.authority.later += timedelta(days=days)
        columns = ("access_ends_at", "issued_at", "used_at", "tried_at", "state_since")
        changes = ", ".join(f"{c} = {c} - make_interval(days => {days})" for c in columns)
        with (
            EmbeddedPostgres(self.home) as server,
            psycopg.connect(server.url("brex")) as db,
        ):
            db.execute(f"UPDATE brex_sync.credentials SET {changes}")  # type: ignore[arg-type]


def words_with(secrets: dict[str, str]) -> str:
    """A text of somebody who does not know better."""
    return (
        f"card {secrets['card number']}, https://files.example/r.pdf?X-Amz-Signature="
        f"{secrets['link']}, key {secrets['token in a text']}"
    )


def _plant(world: World, faults: Faults, secrets: dict[str, str]) -> None:
    """Has Brex send secrets: in texts, in fields, and in the words of a refusal."""
    told, transactions = words_with(secrets), world.collection("card_transactions")
    transactions.edit(transactions.rows().ids[0], description=told)
    vendors = world.collection("vendors")
    bank = {"type": "ACH", "accountNumber": secrets["account number"]}
    vendors.edit(vendors.rows().ids[0], company_name=told, payment_accounts=[{"details": bank}])
    refusal = {"type": "FORBIDDEN", "message": f"Missing required scope travel.trips: {told}"}
    body = json.dumps(refusal)
    faults.add(Fault(FaultKind.STATUS, path="/v1/trips", times=None, status=403, body=body))


@contextmanager
def account(folder: Path, **size: Any) -> Iterator[Account]:
    """Opens one, with secrets in `.env` and in Brex's answers that are found nowhere else."""
    secrets = {
        "client secret": "cs_sentinel_5f1d0c2b",
        "alert address": "hook_sentinel_93ab77e1",
        "API key": "bxt_sentinel_c04d22f9",
        "card number": "4242424242424242",
        "account number": "000998877665544",
        "link": "sig_sentinel_7d1e55aa",
        "token in a text": "bxt_sentinel_in_a_text",
    }
    faults = Faults()
    authority = Authority(secrets["client secret"], faults)
    world = trimmed(create_world(**size))
    _plant(world, faults, secrets)
    app = create_brex(world, authority, faults=faults, rate_limit=None)
    alerts: list[bytes] = []

    class Target(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alerts.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    target = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    with running(app) as url:
        variables = {
            "BREX_SYNC_HOME": folder / "home",
            "BREX_SYNC_PG_PORT": free_port(),
            "BREX_SYNC_SCHEDULE": NEVER_IN_A_TEST,
            "BREX_SYNC_PORT": free_port(),
            "BREX_SYNC_SERVICE_PORT": free_port(),
            "BREX_CLIENT_ID": CLIENT_ID,
            "BREX_CLIENT_SECRET": secrets["client secret"],
            "BREX_API_URL": url,
            "BREX_AUTH_URL": url + ISSUER,
            "BREX_REDIRECT_URI": f"http://127.0.0.1:{free_port()}/callback",
            "BREX_SYNC_ALERT_URLS": (
                f"json://127.0.0.1:{target.server_port}/{secrets['alert address']}"
            ),
        }
        (folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in variables.items()))
        yield Account(folder, url, app, secrets, alerts)
    target.shutdown()
