"""Postgres: the only place with SQL."""

from brex_sync.warehouse.warehouse import Warehouse

__all__ = ["Warehouse"]
