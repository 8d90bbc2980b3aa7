"""A simulated Brex: its read endpoints with plausible data, for trying and testing.

`World` is the truth it tells, `Faults` how it misbehaves, `create_app` the ASGI application.
"""

from brex_sync.sandbox.app import create_app
from brex_sync.sandbox.faults import Fault, Faults
from brex_sync.sandbox.world import World

__all__ = ["Fault", "Faults", "World", "create_app"]
