"""The schemas made ready for a run."""
