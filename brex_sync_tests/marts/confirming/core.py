"""What the second computations share: who answers which question, and the company's names."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any

from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.lines import Line, lines

Rows = list[tuple[Any, ...]]
CONFIRMED: dict[str, Callable[[Rig], Rows]] = {}
"""By question, what answers it a second time."""


def confirms(question: str) -> Callable[[Callable[[Rig], Rows]], Callable[[Rig], Rows]]:
    """Registers a function as the second computation of a question's answer."""

    def register(function: Callable[[Rig], Rows]) -> Callable[[Rig], Rows]:
        CONFIRMED[question] = function
        return function

    return register


def grouped(found: Iterable[Line], key: Callable[[Line], Any]) -> dict[Any, list[Line]]:
    groups: dict[Any, list[Line]] = defaultdict(list)
    for line in found:
        groups[key(line)].append(line)
    return groups


def counted(rig: Rig) -> list[Line]:
    return [line for line in lines(rig) if line.counts]


def first_of_month(rig: Rig, back: int = 0) -> date:
    first = rig.world.today.replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return first


def user(rig: Rig, key: str | None) -> Any:
    return rig.world.collection("users").get(key or "") or {}


def name_of(rig: Rig, key: str | None) -> str | None:
    found = user(rig, key)
    return f"{found['first_name']} {found['last_name']}" if found else None


def department_of(rig: Rig, key: str | None) -> str | None:
    found = rig.world.collection("departments").get(user(rig, key).get("department_id") or "")
    return found["name"] if found else None


def merchants(rig: Rig) -> dict[str | None, str | None]:
    """The names that spend shows, by what the card network says."""
    return dict(rig.rows("SELECT DISTINCT merchant_raw, merchant FROM brex_marts.spend"))
