"""Declarations, settings, connections and URLs: what is refused, and in which words."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from brex_sync.connections.declared import find, load_connections
from brex_sync.cron import longest_gap
from brex_sync.errors import SettingsError
from brex_sync.orchestration import freshness
from brex_sync.runtime.streams import streams_of
from brex_sync.settings import Configuration, Settings, load_settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.columns import Column, Kind, money, text
from brex_sync.streams.declare import Stream
from brex_sync.warehouse.database import with_driver

SECRET = "bxt_very_secret"


@pytest.fixture(autouse=True)
def _clean(clean_environment: None) -> None:
    pass


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("id", "id"),
        ("merchant.mcc", "merchant_mcc"),
        ("displayName", "display_name"),
        ("a.bC.d", "a_b_c_d"),
    ],
)
def test_a_columns_name_follows_from_its_path(path: str, name: str) -> None:
    assert Column(path, Kind.TEXT, "").name == name


def test_money_takes_three_columns() -> None:
    assert [(f.name, f.kind) for f in money("a.b", "x").fields()] == [
        ("a_b", Kind.DECIMAL),
        ("a_b_minor", Kind.INTEGER),
        ("a_b_currency", Kind.TEXT),
    ]


def stream(*columns: Column, **changes: Any) -> Stream:
    plain = {"name": "s", "description": "", "group": "g", "path": "/s", "scope": "s"}
    return Stream(columns=columns, **(plain | changes))


def test_columns_declared_twice_and_missing_keys_are_refused() -> None:
    with pytest.raises(ValueError, match=r"declared twice.*a_b"):
        stream(text("id", ""), text("a.b", ""), text("aB", ""))
    with pytest.raises(ValueError, match="amount_currency"):
        stream(text("id", ""), money("amount", ""), text("amount_currency", ""))
    with pytest.raises(ValueError, match="key columns not declared"):
        stream(text("name", ""))


def test_every_declared_thing_is_described_and_every_reference_leads_somewhere() -> None:
    for declared in STREAMS.values():
        assert declared.description
        assert all(f.description for f in declared.fields())
        for reference in declared.references:
            assert reference.to in {f.name for f in STREAMS[reference.stream].fields()}
        assert "/pan" not in declared.path
        for child in declared.children:
            assert child.description
            assert all(f.description for f in child.fields())
        window = declared.window
        assert window is None or window.column in {f.name for f in declared.fields()}
    for view in VIEWS.values():
        assert set(view.sources) <= set(STREAMS)


@pytest.mark.parametrize(
    "url", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"]
)
def test_every_spelling_of_a_postgres_url_is_understood(url: str) -> None:
    found = with_driver(url, "psycopg")
    assert found.render_as_string(hide_password=False) == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "", "h/d"])
def test_other_urls_are_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL") as refused:
        with_driver(url, "psycopg")
    assert "secret" not in str(refused.value)


def test_without_any_setting_the_sandbox_is_meant() -> None:
    (connection,) = load_connections(load_settings())
    assert (connection.name, connection.configuration) == ("brex", Configuration.SANDBOX)


@pytest.mark.parametrize("spelled", [str, str.upper, str.lower])
@pytest.mark.parametrize("in_file", [True, False], ids=["env-file", "environment"])
def test_only_the_names_of_the_readme_count(
    monkeypatch: Any, tmp_path: Path, spelled: Any, in_file: bool
) -> None:
    plain = load_settings().model_dump()
    load_settings.cache_clear()
    documented = (Path(__file__).parents[2] / "README.md").read_text()
    wrong = dict.fromkeys(map(spelled, Settings.model_fields), "postgresql://other:5432/theirs")
    for field in Settings.model_fields.values():
        assert f"`{field.validation_alias}`" in documented
        wrong[str(field.validation_alias).lower()] = "7"
    wrong |= {"Home": "/theirs", "port": "1", "PORT": "1"}
    if in_file:
        (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in wrong.items()))
    else:
        for name, value in wrong.items():
            monkeypatch.setenv(name, value)
    assert load_settings().model_dump() == plain


def test_every_name_of_the_readme_counts_in_both_places(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BREX_API_KEY=bxt_file\nBREX_SYNC_STREAMS=users\n")
    monkeypatch.setenv("BREX_SYNC_STREAMS", "cards")
    settings = load_settings()
    assert (settings.chosen, settings.streams) == (Configuration.API_KEY, "cards")


def test_an_empty_variable_counts_as_not_set(monkeypatch: Any) -> None:
    for name in ("BREX_SYNC_HOME", "BREX_SYNC_SCHEDULE", "BREX_API_KEY", "BREX_SYNC_PORT"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert settings.home == Path("~/.brex-sync").expanduser()
    assert (settings.schedule, settings.ui_port) == ("0 * * * *", 3000)
    assert settings.chosen is Configuration.SANDBOX


def test_python_may_give_settings_by_the_fields_names(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path / "there", BREX_SYNC_PORT=3001)
    assert (settings.home, settings.ui_port) == (tmp_path / "there", 3001)


def test_an_env_file_that_is_no_text_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"BREX_API_KEY=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env cannot be read as UTF-8"):
        load_settings()


@pytest.mark.parametrize(
    "schedule",
    [
        *("@hourly", "0 0 l * *", "0 0 * * 1#2", "30-10 * * * *", "0 22-3 * * mon-fri"),
        *("0 0 29 2 *", "0 0 29 feb mon#5", "*/61 * * * *", "0 0 ? * 1", "0 0 * * 7"),
    ],
)
def test_what_dagster_runs_is_a_schedule(monkeypatch: Any, schedule: str) -> None:
    monkeypatch.setenv("BREX_SYNC_SCHEDULE", schedule)
    assert load_settings().schedule == schedule
    assert longest_gap(schedule) > timedelta()


_word = st.sampled_from(["*", "0", "7", "31", "60", "*/5", "*/0", "1-5", "9-2", "l", "mon", "feb"])


@given(st.lists(_word | st.text("*/,-#lLW?0123", max_size=4), min_size=3, max_size=6).map(" ".join))
@example("0 0 31 feb,apr *")
def test_no_schedule_that_is_let_through_takes_the_code_location_down(schedule: str) -> None:
    load_settings.cache_clear()
    try:
        settings = Settings(_env_file=None, schedule=schedule)
    except ValidationError:
        return
    dg.ScheduleDefinition(cron_schedule=settings.schedule, job_name="any", name="any")
    freshness.policy(settings.schedule)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"BREX_SYNC_UI_AUTH": "off"}, "BREX_SYNC_UI_AUTH: Input should be 'token', 'proxy' or"),
        ({"BREX_SYNC_UI_AUTH": "proxy"}, "BREX_SYNC_UI_AUTH=proxy needs BREX_SYNC_UI_AUTH_FROM"),
        ({"BREX_SYNC_UI_AUTH_FROM": "10.0.0.1/8"}, "BREX_SYNC_UI_AUTH_FROM: 10.0.0.1/8: not an"),
        ({"BREX_SYNC_UI_AUTH_FROM": "proxy"}, "BREX_SYNC_UI_AUTH_FROM: proxy: not an address"),
        ({"BREX_SYNC_UI_AUTH_FROM": "::/0"}, "BREX_SYNC_UI_AUTH_FROM: ::/0: that is everybody"),
        ({"BREX_SYNC_UI_AUTH_HEADER": "X User"}, "BREX_SYNC_UI_AUTH_HEADER: String should match"),
        ({"BREX_SYNC_UI_HOSTS": "https://x.example"}, "BREX_SYNC_UI_HOSTS: https://x.example: not"),
        ({"BREX_SYNC_UI_HOSTS": "x.example,*"}, r"BREX_SYNC_UI_HOSTS: \*: not a host"),
    ],
)
def test_a_login_that_is_set_wrongly_is_told_in_one_line(
    monkeypatch: Any, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told) as error:
        load_settings()
    assert "\n" not in str(error.value)


def test_a_key_alone_means_brex_itself_and_is_never_shown(monkeypatch: Any) -> None:
    monkeypatch.setenv("BREX_API_KEY", SECRET)
    (connection,) = load_connections(load_settings())
    assert (connection.api_url, connection.token) == ("https://api.brex.com", SECRET)
    assert SECRET not in repr(connection) + repr(load_settings())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BREX_CONFIGURATION", "nonsense"),
        ("BREX_SYNC_REQUESTS_PER_MINUTE", "1001"),
        ("BREX_SYNC_SCHEDULE", "hourly"),
        ("BREX_SYNC_SCHEDULE", "61 * * * *"),
        ("BREX_SYNC_SCHEDULE", "a b c d e"),
        ("BREX_SYNC_SCHEDULE", "0 * * *"),
        ("BREX_SYNC_SCHEDULE", "0 * * * * *"),
        ("BREX_SYNC_SCHEDULE", " "),
        ("BREX_SYNC_SCHEDULE", "*/0 * * * *"),
        ("BREX_SYNC_SCHEDULE", "jan * * * *"),
        ("BREX_SYNC_SCHEDULE", "* * mon * *"),
        ("BREX_SYNC_SCHEDULE", "@reboot"),
        ("BREX_SYNC_SCHEDULE", "0 0 31 2 *"),
        ("BREX_SYNC_SCHEDULE", "0 0 31 4,6 *"),
        ("BREX_SYNC_SCHEDULE", "0 0 30,31 feb *"),
        ("BREX_SYNC_OVERLAP_DAYS", "card_transactions=3"),
        ("BREX_SYNC_OVERLAP_DAYS", '{"card_transactions":-3}'),
        ("BREX_SYNC_OVERLAP_DAYS", '{"card_transaction":3}'),
        ("BREX_SYNC_OVERLAP_DAYS", '{"users":3}'),
        ("BREX_API_URL", "notaurl"),
        ("BREX_API_URL", "http://example.com"),
        ("BREX_SYNC_PORT", "99999"),
        ("BREX_SYNC_PG_PORT", "0"),
        ("BREX_SYNC_SERVICE_PORT", "99999"),
        ("BREX_SYNC_SANDBOX_PORT", "-1"),
        ("BREX_SYNC_DATABASE_URL", f"mysql://u:{SECRET}@h/d"),
        ("BREX_SYNC_RETENTION_DAYS", "0"),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(
    monkeypatch: Any, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as refused:
        load_settings()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["Brex", "1a", "a-b", "public", "pg_x", "brex_sync", "a_history", "a" * 41, 'a"b']
)
def test_names_that_cannot_be_schemas_are_refused(tmp_path: Path, name: str) -> None:
    quoted = name.replace('"', '\\"')
    (tmp_path / "connections.yaml").write_text(
        f'connections:\n  "{quoted}": {{configuration: sandbox}}\n'
    )
    with pytest.raises(SettingsError, match="connection name"):
        load_connections(load_settings())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("connections: [", "not YAML"),
        ("[]", "expected a map"),
        ("connections: {}", "expected a map"),
        ("connections: {a: {key: x}}", "may have only"),
        ("connections: {a: {configuration: x}}", "must be one of"),
        ("connections: {a: {configuration: sandbox, streams: users}}", "a list of names"),
    ],
)
def test_a_connections_file_that_is_wrong_says_how(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "connections.yaml").write_text(content)
    with pytest.raises(SettingsError, match=said):
        load_connections(load_settings())


def test_connections_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "connections.yaml").write_text(
        "connections: {one: {configuration: sandbox}, two: {configuration: sandbox}}"
    )
    assert find(load_settings(), None).name == "one"
    assert find(load_settings(), "two").name == "two"
    with pytest.raises(SettingsError, match="one, two"):
        find(load_settings(), "three")


def test_a_variable_that_is_not_set_concerns_its_own_connection_alone(tmp_path: Path) -> None:
    (tmp_path / "connections.yaml").write_text(
        "connections: {a: {api_key_env: NO_SUCH_KEY}, b: {configuration: brex}, "
        "c: {configuration: sandbox}}"
    )
    lacks = {c.name: c.lacks for c in load_connections(load_settings())}
    assert lacks == {"a": "NO_SUCH_KEY", "b": "BREX_CLIENT_ID and BREX_CLIENT_SECRET", "c": ""}


def test_variables_of_connections_come_from_the_env_file_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"MY_KEY={SECRET}\nMY_ID=client\nMY_SECRET={SECRET}\n")
    (tmp_path / "connections.yaml").write_text(
        "connections:\n  a: {api_key_env: MY_KEY}\n"
        "  b: {configuration: brex-staging, client_id_env: MY_ID, client_secret_env: MY_SECRET}\n"
    )
    key, oauth = load_connections(load_settings())
    assert key.token == SECRET
    assert oauth.application is not None
    assert (oauth.application.client_id, oauth.application.client_secret) == ("client", SECRET)
    assert oauth.application.issuer.startswith("https://accounts-api.staging.brexapps.com/")
    assert SECRET not in repr([key, oauth])


def test_streams_are_chosen_by_the_settings_and_per_connection(
    tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "connections.yaml").write_text(
        "connections:\n  a: {configuration: sandbox, streams: [users, cash_transactions]}\n"
        "  b: {configuration: sandbox}\n  c: {configuration: sandbox, streams: [flights]}\n"
    )
    monkeypatch.setenv("BREX_SYNC_STREAMS", "cards, -trips ,")
    settings = load_settings()

    def names(connection: str) -> list[str]:
        return [s.name for s in streams_of(settings, find(settings, connection))]

    assert names("a") == ["users", "cash_accounts", "cash_transactions"]
    assert names("b") == ["cards"]
    with pytest.raises(SettingsError, match="connection c: there is no stream flights; there is"):
        names("c")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("transactions", "a view; the streams that fill it are card_transactions, cash_transact"),
        ("accounts", "a view; the streams that fill it are card_accounts, cash_accounts"),
        ("expense", "did you mean expenses"),
        ("Card-Transactions", "did you mean card_transactions"),
        ("expense_receipt", "did you mean expense_receipts"),
        ("-tripps", "there is no stream tripps .did you mean trips"),
    ],
)
def test_a_name_that_is_no_streams_is_told_with_what_was_meant(
    monkeypatch: Any, name: str, meant: str
) -> None:
    monkeypatch.setenv("BREX_SYNC_STREAMS", f"users,{name}")
    (connection,) = load_connections(load_settings())
    with pytest.raises(SettingsError, match=meant):
        streams_of(load_settings(), connection)


def test_an_overlap_of_a_view_is_told_with_what_was_meant(monkeypatch: Any) -> None:
    monkeypatch.setenv("BREX_SYNC_OVERLAP_DAYS", '{"transactions": 3}')
    with pytest.raises(SettingsError, match="fill it are card_transactions, cash_transactions"):
        load_settings()
