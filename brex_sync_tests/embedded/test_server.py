"""One process and its server: what is there, who gets in, what shows."""

import shlex
import socket
import stat
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from brex_sync.embedded import EmbeddedPostgres, Server
from brex_sync.embedded.credentials import OWNER
from brex_sync.embedded.postgres import PREFERRED_PORT

from .conftest import SHOWN_AT_FIRST_START, is_alive, query, server_pid


def psql(server: Server, statement: str, database: str = "brex") -> str:
    command = f"{server.psql(database)} -XAtc {shlex.quote(statement)}"
    bare = {"PATH": "/usr/bin:/bin"}
    return subprocess.check_output(["/bin/sh", "-c", command], text=True, env=bare).strip()


def test_a_first_start_makes_what_a_second_one_finds(fresh_home: Path) -> None:
    with EmbeddedPostgres(fresh_home) as first:
        query(first, "create table kept as select 42 as answer")
        pid = server_pid(fresh_home)
    assert not is_alive(pid)
    with EmbeddedPostgres(fresh_home) as second:
        assert query(second, "select answer from kept") == [(42,)]
        assert second == first
        assert second.port >= PREFERRED_PORT


def test_both_databases_are_there_and_come_back_when_dropped(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        query(server, "drop database dagster")
    with EmbeddedPostgres(home) as server:
        for database in ("brex", "dagster"):
            assert query(server, "select current_database(), current_user", database) == [
                (database, OWNER)
            ]


def test_text_is_utf8_and_time_utc(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert query(server, "show server_encoding") == [("UTF8",)]
        assert query(server, "show timezone") == [("UTC",)]
        assert query(server, "select upper('é')") == [("É",)]


def test_the_psql_line_works_without_any_environment(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert psql(server, "select 'it works'") == "it works"
        assert server.password not in server.psql("brex")


def test_without_psql_on_the_path_the_line_names_the_bundled_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with EmbeddedPostgres(home) as server:
        assert server.psql("brex").startswith(str(server.bundled_psql))
        assert psql(server, "select 'it works'") == "it works"


def test_a_wrong_password_is_refused_and_so_is_none(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        for password in ("wrong", ""):
            with pytest.raises(psycopg.OperationalError, match=r"authentication failed|password"):
                psycopg.connect(server.url("brex"), password=password, passfile="/dev/null")


def test_only_loopback_tcp_answers(home: Path) -> None:
    with EmbeddedPostgres(home):
        server = psutil.Process(server_pid(home))
        listening = [c.laddr[0] for c in server.net_connections("all") if c.status == "LISTEN"]
        unix = [c for c in server.net_connections("unix") if c.laddr]
    assert listening == ["127.0.0.1"]
    assert unix == []


def test_no_secret_shows(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        shown = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
        environment = psutil.Process(server_pid(home)).environ()
        settings = (home / "postgres" / "brex_sync.conf").read_text()
    assert not any(server.password in line for line in [*shown, *environment.values(), settings])
    assert server.password not in repr(server)
    assert stat.S_IMODE(server.passfile.stat().st_mode) == 0o600


def test_the_first_start_shows_no_password_either(home: Path) -> None:
    password = (home / "pgpass").read_text().strip().split(":")[-1]
    assert any(word.endswith("initdb") for word in SHOWN_AT_FIRST_START)
    assert not any(password in word for word in SHOWN_AT_FIRST_START)


def test_nothing_of_our_environment_reaches_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREX_TOKEN", "secret")
    with EmbeddedPostgres(home):
        assert "BREX_TOKEN" not in psutil.Process(server_pid(home)).environ()


def test_urls_are_percent_encoded() -> None:
    server = Server("127.0.0.1", 5, "a b", "p@:/", Path("/x y/pgpass"), Path("/bin/psql"))
    assert server.url("d/b") == "postgresql://a%20b:p%40%3A%2F@127.0.0.1:5/d%2Fb"
    assert "'/x y/pgpass'" in shlex.split(server.psql("brex"))[1]


def test_a_taken_port_is_left_for_another_and_the_psql_line_follows(home: Path) -> None:
    with EmbeddedPostgres(home) as before:
        pass
    with socket.socket() as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        somebody.bind(("127.0.0.1", before.port))
        somebody.listen()
        with EmbeddedPostgres(home) as after:
            assert after.port != before.port
            assert f":{after.port}:" in after.passfile.read_text()
            assert psql(after, "show port") == str(after.port)
    with EmbeddedPostgres(home) as again:
        assert again.port == after.port


def test_a_port_given_is_preferred(home: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with EmbeddedPostgres(home, port=port) as server:
        assert server.port == port


def test_a_long_log_is_set_aside(home: Path) -> None:
    log = home / "logs" / "postgres.log"
    log.write_text("x" * 6_000_000)
    with EmbeddedPostgres(home):
        assert log.stat().st_size < 100_000
        assert (home / "logs" / "postgres.log.1").stat().st_size == 6_000_000
