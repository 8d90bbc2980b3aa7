"""The company whose account it is."""

COMPANY = "cuacc_northwind"
"""Its id at Brex."""
ADDRESS = {
    "line1": "500 Howard Street",
    "line2": None,
    "city": "San Francisco",
    "state": "CA",
    "country": "US",
    "postal_code": "94105",
    "phone_number": None,
}
