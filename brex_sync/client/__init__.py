"""Requests to Brex on behalf of people and their programs, with the stored credential."""
