"""How streams, runs and statements are, for people who ask."""
