"""The Brex accounts that are connected: declaring, connecting, and holding what opens them."""
