"""Trips, and the flights, hotels, cars and trains booked for them."""

import random
from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.pace import spread
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item

PER_MONTH = 5
CITIES = (
    ("San Francisco", "SFO", "US"),
    ("New York", "JFK", "US"),
    ("Zürich", "ZRH", "CH"),
    ("東京", "HND", "JP"),
    ("Berlin", "BER", "DE"),
    ("Kuwait City", "KWI", "KW"),
)
REASONS = ("Customer visit", "Offsite", "Robotics Summit", "Supplier audit", "Hiring", None)
KINDS = ("AIR", "LODGING", "CAR_RENTAL", "RAIL")


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds the trips booked over the history, the last of which are still to come."""
    number, trips = 0, round(PER_MONTH * history.months)
    for day, share in spread(trips, history.first, world.today):
        for _ in range(share):
            number += 1
            _trip(world, rng, number, day)


def _trip(world: World, rng: random.Random, number: int, booked: date) -> None:
    start = booked + timedelta(days=rng.randrange(3, 30))
    end = start + timedelta(days=rng.randrange(1, 6))
    status = _status(rng, start, end, world.today)
    updated = min(world.today, end if status == "COMPLETED" else booked + timedelta(days=1))
    user = f"cuuser_{rng.randrange(60):05d}"
    key, city = f"trip_{number:05d}", rng.choice(CITIES)
    reason = rng.choice(REASONS)
    version = rng.randrange(1, 5)
    stamps = {"created_at": _at(booked, 0), "updated_at": _at(updated, 0), "version": version}
    world.collection("trips").add(
        {
            "id": key,
            "name": reason and f"{reason}, {city[0]}",
            "booker_user_id": user,
            "status": status,
            "traveler": None if number % 31 == 0 else _traveler(world, number, user),
            "billable_at": _at(start, 0) if start <= world.today else None,
            "starts_at": None if status == "APPROVAL_DENIED" else _at(start, 7),
            "ends_at": _at(end, 19) if number % 8 else None,
        }
        | stamps
    )
    world.collection("bookings").open_list(key)
    for i, kind in enumerate(rng.sample(KINDS, rng.randrange(4))):
        booking = {
            "id": f"booking_{number:05d}_{i}",
            "trip_id": key,
            "type": kind,
            "status": "COMPLETED" if status == "COMPLETED" else "CONFIRMED",
            "source": "EXTERNAL" if rng.random() < 0.1 else "BREX_TRAVEL",
            "booking_data": {"type": kind} | _data(rng, kind, number, start, end, city),
        }
        world.collection("bookings").add(booking | stamps, key)


def _status(rng: random.Random, start: date, end: date, today: date) -> str:
    if rng.random() < 0.08:
        return rng.choice(("CANCELED", "REFUNDED", "APPROVAL_DENIED"))
    return "UPCOMING" if start > today else "IN_PROGRESS" if end >= today else "COMPLETED"


def _traveler(world: World, number: int, user: str) -> Item:
    if number % 11 == 0:
        name = {"first_name": "Anselm", "last_name": "Berg"}
        guest = {"type": "GUEST", "guest_email": f"candidate{number}@mail.example"}
        return guest | {"name": name, "user_id": None}
    person = world.collection("users").get(user) or {}
    name = {"first_name": person["first_name"], "last_name": person["last_name"]}
    return {"type": "EMPLOYEE", "name": name, "guest_email": None, "user_id": user}


def _data(
    rng: random.Random, kind: str, number: int, start: date, end: date, city: tuple[str, str, str]
) -> dict[str, Any]:
    """What is particular to a kind of booking."""
    name, airport, country = city
    place = {"city": name, "country": country, "address_line_1": None}
    code = f"{number:04d}{kind[:2]}" if number % 4 else None
    if kind == "AIR":
        home = "ORD" if airport == "SFO" else "SFO"
        flights = ((home, airport, start), (airport, home, end))
        journeys = [_journey(rng, *flight, code) for flight in flights]
        return {"journeys": journeys, "tickets": [{"number": f"00179{number:08d}"}]}
    if kind == "LODGING":
        times = {"check_in_time": _local(start, 15), "checkout_time": _local(end, 11)}
        room = {"display_name": "Standard", "bed_type": "DOUBLE", "bed_count": 1}
        hotel = {"display_name": f"Hotel Krone {name}", "star_rating": 3.5, "location": place}
        reservation = times | {"confirmation_code": code, "room": room if number % 3 else None}
        return {"lodging_details": hotel, "reservation_details": reservation}
    if kind == "CAR_RENTAL":
        pickup = {"location": place, "time": _local(start, 10)}
        drop_off = {"location": place, "time": _local(end, 17)}
        car = {"display_name": "Electric car", "car_class": "ELECTRIC" if number % 2 else None}
        reservation = {"pickup": pickup, "drop_off": drop_off, "rental_company": "Sunny Cars"}
        return {"car_details": car, "reservation_details": reservation}
    leg = {
        "origin": {"name": "Central Station", "location": None},
        "destination": {"name": name, "location": place},
        "departure_time": _local(start, 8),
        "arrival_time": _local(start, 12),
        "duration": "PT4H",
        "rail_class": "STANDARD",
    }
    return {"journeys": [{"legs": [leg]}]}


def _journey(rng: random.Random, start: str, end: str, day: date, code: str | None) -> Item:
    flight = {
        "origin": {"airport_code": start, "terminal": "T2" if rng.random() < 0.5 else None},
        "destination": {"airport_code": end},
        "departure_time": _local(day, 8),
        "arrival_time": _local(day, 16),
        "duration": None,
        "confirmation_code": code,
        "cabin_class": "ECONOMY",
        "marketing_flight": {"airline_code": "LX", "number": f"{rng.randrange(1, 999)}"},
        "seat": {"number": f"{rng.randrange(1, 40)}D"} if rng.random() < 0.7 else None,
    }
    return {"flights": [flight], "status": "CONFIRMED", "cabin_display_name": None}


def _at(day: date, hour: int) -> str:
    return f"{day}T{hour:02d}:00:00Z"


def _local(day: date, hour: int) -> Item:
    return {"local_time": f"{day}T{hour:02d}:30:00", "timestamp": None}
