"""Brex's Travel API: trips and what was booked for them."""

from datetime import timedelta

from brex_sync.streams.columns import integer, json, personal, text, timestamp
from brex_sync.streams.declare import Parent, Reference, RefreshPolicy, Stream, Window

TRIPS = Stream(
    name="trips",
    group="travel",
    description="Trips, past and to come.",
    path="/v1/trips",
    item_path="/v1/trips/{id}",
    scope="travel.trips.readonly",
    window=Window(param="last_updated_after", column="updated_at", strict=True),
    columns=(
        text("id", "Brex's identifier of the trip."),
        text("name", "Name."),
        text("status", "UPCOMING, COMPLETED, CANCELED and others as Brex adds them."),
        text("booker_user_id", "The user who booked it."),
        text("traveler.type", "EMPLOYEE or GUEST."),
        text("traveler.user_id", "The user who travels; null for guests."),
        personal("traveler.guest_email", "E-mail address of a guest."),
        personal("traveler.name.first_name", "First name of who travels."),
        personal("traveler.name.middle_name", "Middle name of who travels."),
        personal("traveler.name.last_name", "Last name of who travels."),
        text("traveler.name.suffix", "Suffix to the name of who travels."),
        timestamp("starts_at", "When it starts."),
        timestamp("ends_at", "When it ends."),
        timestamp("billable_at", "When it counts as billable."),
        timestamp("created_at", "When it was made."),
        timestamp("updated_at", "When it was last changed."),
        integer("version", "Rises with every change."),
    ),
    references=(Reference("booker_user_id", "users"), Reference("traveler_user_id", "users")),
)

OVER = RefreshPolicy(
    max_age=timedelta(hours=23), after=("ends_at", "starts_at"), grace=timedelta(days=14)
)
"""Brex does not say that a booking's change is one of its trip. Bookings change while a trip is
planned, under way and settled; after that hardly, and then a day is soon enough."""

BOOKINGS = Stream(
    name="bookings",
    group="travel",
    description="Flights, rooms, cars and trains booked for a trip.",
    path="/v1/trips/{id}/bookings",
    scope="travel.trips.readonly",
    parent=Parent("trips", into="trip_id", refresh=OVER),
    key=("trip_id", "id"),
    mask=("document_number",),
    columns=(
        text("id", "Brex's identifier of the booking."),
        text("type", "AIR, CAR_RENTAL, LODGING or RAIL."),
        text("status", "BOOKED, COMPLETED, CANCELED and others as Brex adds them."),
        text("source", "BREX_TRAVEL or EXTERNAL."),
        json("booking_data", "What was booked; its shape follows from the type."),
        timestamp("created_at", "When it was made."),
        timestamp("updated_at", "When it was last changed."),
        integer("version", "Rises with every change."),
    ),
    references=(Reference("trip_id", "trips"),),
)
