"""Marts: views over a connection's tables that answer what finance people ask."""
