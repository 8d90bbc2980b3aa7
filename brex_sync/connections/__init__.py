"""The connected Brex accounts: their declarations, connecting one, and its stored credential."""
