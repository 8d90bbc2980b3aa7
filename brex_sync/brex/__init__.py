"""The remote side: Brex over HTTP, and nothing else."""
