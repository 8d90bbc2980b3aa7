"""The parts put together, once for all doors: the command line, Dagster and the service."""
