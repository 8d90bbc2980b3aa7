"""The engine: plans, fetches, normalises and loads. No Dagster, no SQL text, no HTTP."""
