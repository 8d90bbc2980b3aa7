"""The company's page: what a controller wants to know, its rows, and the report made of it."""
