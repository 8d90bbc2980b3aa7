"""Dagster's door to the engine: assets, checks, schedules and sensors. The only place with it."""
