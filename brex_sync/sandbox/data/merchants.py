"""Where the company spends: merchants with what they cost, and how often they are paid."""

from typing import NamedTuple


class Merchant(NamedTuple):
    """`low` and `high` are in minor units of `currency`; `purpose` is that of the cards used.

    `abroad` is the merchant's own currency where it bills in another one.
    """

    name: str
    descriptor: str
    mcc: str
    country: str
    currency: str
    low: int
    high: int
    weight: int
    purpose: str
    category: str
    abroad: str = ""


MERCHANTS = (
    Merchant("Amazon Web Services", "AMAZON WEB SERVICES", "7372", "USA", "USD",
             90_000, 460_000, 4, "Software", "SERVERS"),
    Merchant("Google Cloud", "GOOGLE *CLOUD", "7372", "USA", "USD",
             40_000, 180_000, 3, "Software", "SERVERS"),
    Merchant("GitHub", "GITHUB, INC.", "7372", "USA", "USD",
             2_100, 46_200, 6, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Slack", "SLACK T02NORTHW", "5734", "USA", "USD",
             11_250, 93_750, 4, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Notion", "NOTION LABS, INC.", "5734", "USA", "USD",
             1_000, 64_000, 5, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Figma", "FIGMA MONTHLY", "5734", "USA", "USD",
             1_500, 67_500, 4, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Zoom", "ZOOM.US 888-799-9666", "4814", "USA", "USD",
             1_599, 31_980, 4, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("JetBrains", "JETBRAINS AMERICAS", "5734", "CZE", "USD",
             1_690, 64_900, 2, "Software", "SOFTWARE_NON_RECURRING"),
    Merchant("Google Ads", "GOOGLE *ADS", "7311", "USA", "USD",
             50_000, 250_000, 7, "Ads", "ADVERTISING_AND_MARKETING"),
    Merchant("LinkedIn", "LINKEDIN ADS", "7311", "IRL", "USD",
             25_000, 180_000, 5, "Ads", "ADVERTISING_AND_MARKETING"),
    Merchant("Meta", "FACEBK *ADS", "7311", "USA", "USD",
             9_000, 90_000, 5, "Ads", "ADVERTISING_AND_MARKETING"),
    Merchant("WeWork", "WEWORK", "6513", "USA", "USD",
             65_000, 420_000, 3, "Office", "RENT"),
    Merchant("Staples", "STAPLES #0142", "5943", "USA", "USD",
             1_200, 21_000, 9, "Office", "OFFICE_SUPPLIES"),
    Merchant("IKEA", "IKEA SPREITENBACH", "5712", "CHE", "USD",
             4_900, 128_000, 2, "Office", "FURNITURE", "CHF"),
    Merchant("Apple", "APPLE STORE #R011", "5732", "USA", "USD",
             7_900, 349_900, 4, "Office", "ELECTRONICS"),
    Merchant("McMaster-Carr", "MCMASTER-CARR", "5072", "USA", "USD",
             900, 86_000, 12, "Office", "GENERAL_MERCHANDISE"),
    Merchant("Digi-Key", "DIGIKEY CORP", "5065", "USA", "USD",
             1_400, 148_000, 10, "Office", "ELECTRONICS"),
    Merchant("FedEx", "FEDEX 7712", "4215", "USA", "USD",
             1_100, 24_000, 8, "Office", "SHIPPING"),
    Merchant("Verizon", "VZWRLSS*APOCC VISB", "4814", "USA", "USD",
             5_500, 32_000, 3, "Office", "TELEPHONY"),
    Merchant("Uber", "UBER *TRIP", "4121", "USA", "USD",
             900, 7_800, 26, "Travel", "RIDESHARE_AND_TAXI"),
    Merchant("Lyft", "LYFT *RIDE", "4121", "USA", "USD",
             850, 6_400, 15, "Travel", "RIDESHARE_AND_TAXI"),
    Merchant("Delta Air Lines", "DELTA AIR LINES", "3058", "USA", "USD",
             18_900, 142_000, 7, "Travel", "AIRLINE_EXPENSES"),
    Merchant("United Airlines", "UNITED 0162341", "3000", "USA", "USD",
             16_400, 168_000, 5, "Travel", "AIRLINE_EXPENSES"),
    Merchant("Swiss", "SWISS INTL AIR LINES", "3096", "CHE", "USD",
             14_200, 196_000, 3, "Travel", "AIRLINE_EXPENSES", "CHF"),
    Merchant("Kuwait Airways", "KUWAIT AIRWAYS", "4511", "KWT", "KWD",
             71_500, 412_000, 2, "Travel", "AIRLINE_EXPENSES"),
    Merchant("Marriott", "MARRIOTT SAN JOSE", "3509", "USA", "USD",
             16_900, 98_000, 7, "Travel", "LODGING"),
    Merchant("Hotel Krone", "HOTEL KRONE UNTERSTRASS", "7011", "CHE", "USD",
             17_500, 64_000, 3, "Travel", "LODGING", "CHF"),
    Merchant("Motel One", "MOTEL ONE BERLIN", "7011", "DEU", "EUR",
             8_900, 35_600, 4, "Travel", "LODGING"),
    Merchant("SBB", "SBB CFF FFS", "4112", "CHE", "USD",
             1_800, 12_400, 7, "Travel", "PUBLIC_TRANSPORTATION", "CHF"),
    Merchant("Deutsche Bahn", "DB VERTRIEB GMBH", "4112", "DEU", "EUR",
             1_790, 15_980, 5, "Travel", "PUBLIC_TRANSPORTATION"),
    Merchant("東京メトロ", "東京メトロ", "4111", "JPN", "JPY",
             180, 2_400, 4, "Travel", "PUBLIC_TRANSPORTATION"),
    Merchant("Shell", "SHELL OIL 5744", "5541", "USA", "USD",
             3_200, 9_400, 5, "Travel", "GAS_AND_FUEL"),
    Merchant("Blue Bottle Coffee", "BLUE BOTTLE COFFEE", "5814", "USA", "USD",
             425, 3_900, 22, "Team", "RESTAURANTS"),
    Merchant("Sweetgreen", "SWEETGREEN SOMA", "5812", "USA", "USD",
             1_395, 9_800, 18, "Team", "RESTAURANTS"),
    Merchant("DoorDash", "DD *DOORDASH", "5812", "USA", "USD",
             2_400, 38_000, 16, "Team", "FOOD_DELIVERY"),
    Merchant("Café de Flore", "CAFÉ DE FLORE", "5812", "FRA", "EUR",
             650, 11_800, 4, "Team", "RESTAURANTS"),
    Merchant("東京コーヒー", "東京コーヒー", "5814", "JPN", "JPY",
             480, 6_800, 5, "Team", "RESTAURANTS"),
    Merchant("Trader Joe's", "TRADER JOE'S #78", "5411", "USA", "USD",
             1_800, 24_000, 8, "Team", "GROCERY"),
    Merchant("Eventbrite", "EB *ROBOTICS SUMMIT", "7922", "USA", "USD",
             9_900, 149_000, 3, "Team", "CONFERENCES"),
    Merchant("O'Reilly", "O'REILLY MEDIA", "5942", "USA", "USD",
             4_900, 49_900, 3, "Team", "TRAINING_AND_EDUCATION"),
)  # fmt: skip
SUBSCRIPTIONS = (
    Merchant("Datadog", "DATADOG, INC.", "5734", "USA", "USD",
             124_000, 149_000, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Asana", "ASANA.COM", "5734", "USA", "USD",
             58_500, 58_500, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("1Password", "1PASSWORD", "5734", "CAN", "USD",
             51_100, 57_600, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Personio", "PERSONIO SE", "7372", "DEU", "EUR",
             39_900, 39_900, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Linear", "LINEAR ORBIT", "5734", "USA", "USD",
             64_000, 64_000, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Semrush", "SEMRUSH", "5734", "USA", "USD",
             11_900, 11_900, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
    Merchant("Altium", "ALTIUM", "5734", "USA", "USD",
             355_000, 392_000, 0, "Software", "RECURRING_SOFTWARE_AND_SAAS"),
)  # fmt: skip
"""`low` is the first price and `high` the last. Nothing of a live world is spent on them."""
PURPOSES = ("Travel", "Software", "Team", "Ads", "Office")
RATES = {"USD": 1.0, "EUR": 1.09, "CHF": 1.13, "JPY": 0.67, "KWD": 0.325, "GBP": 1.27}
"""US cents for one minor unit."""


def merchant_id(number: int) -> str:
    """The id of the merchant in that place of MERCHANTS."""
    return f"merch_{number:04d}"


def shown_merchant(merchant: Merchant) -> dict[str, str]:
    """The merchant as Brex shows it."""
    return {
        "raw_descriptor": merchant.descriptor,
        "mcc": merchant.mcc,
        "country": merchant.country,
    }


def exchanged(amount: int, currency: str, into: str = "USD") -> int:
    """An amount in minor units of another currency."""
    return round(amount * RATES[currency] / RATES[into])
