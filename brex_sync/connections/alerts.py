"""Tells people once per fault that they must act, at the targets that the settings name."""

import sqlalchemy as sa

from brex_sync.connections import apprise_targets, deprecated_alerts
from brex_sync.connections.health import Health, Level
from brex_sync.settings import Settings
from brex_sync.warehouse import credentials as table


def check(settings: Settings) -> None:
    """Checks the targets before an alert is due.

    Raises:
        SettingsError: a URL cannot be used; never with the URL, which is a secret.
    """
    apprise_targets.check_targets(settings.alert_targets)
    if deprecated_alerts.is_set(settings):
        deprecated_alerts.note()


def tell_once(settings: Settings, engine: sa.Engine, health: Health) -> None:
    """Sends an alert if the connection needs a person and that was not told yet.

    Only what was sent counts as told: where no target takes it, it is tried again at the next look.
    A connection that is well again makes the next fault a new one. One that was never connected is
    nobody's fault.
    """
    if not (settings.alert_targets or deprecated_alerts.is_set(settings)):
        return
    with table.alerting(engine, health.connection) as mine:
        fault = health.told if health.level is Level.ACTION else None
        if mine is None or mine[1].alerted == fault:
            return
        if fault is None or _send(settings, health.connection, fault):
            table.change(mine[0], health.connection, alerted=fault)


def _send(settings: Settings, connection: str, fault: str) -> bool:
    """Whether a target took it."""
    title = f"brex_sync: {connection}"
    taken = apprise_targets.notify(settings.alert_targets, title, fault)
    if deprecated_alerts.is_set(settings):
        deprecated_alerts.note()
        taken |= deprecated_alerts.send(settings, f"{title}: {fault}")
    return taken
