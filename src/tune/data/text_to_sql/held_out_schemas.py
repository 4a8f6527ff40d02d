"""The domains that only validation or only test examples ask about."""

from tune.data.text_to_sql.tables import (
    FIRST_NAMES,
    blank,
    category,
    date,
    identity,
    key,
    label,
    measure,
    pairs,
    schema,
    table,
)

CINEMA = schema(
    "cinema",
    table(
        "films",
        "film",
        label("title", pairs("Dark Final Lost Second Secret", "City Island Letter Storm")),
        category("language", "Danish Hindi Korean Spanish"),
        measure("budget", 5, 80, adds=True),
        date("released"),
        key("director_id"),
    ),
    table(
        "directors",
        "director",
        identity(),
        label("name", FIRST_NAMES),
        category("country", "Egypt India Peru"),
        blank("studio", "Apex Nova Terra"),
    ),
    "by",
)

BANK = schema(
    "bank",
    table(
        "accounts",
        "account",
        label("name", pairs("Car Family Holiday House Pension", "Fund Pot Reserve Savings")),
        category("currency", "dollar euro franc yen"),
        measure("balance", 100, 5000, step=50, adds=True),
        date("opened"),
        key("branch_id"),
    ),
    table(
        "branches",
        "branch",
        identity(),
        label("name", ("Bridge", "Castle", "Central", "Harbor", "Market", "Park", "Station", "Tower", "Valley")),
        category("city", "Geneva Leeds Milan"),
    ),
    "at",
)

MUSEUM = schema(
    "museum",
    table(
        "paintings",
        "painting",
        label("title", pairs("Burning Distant Frozen Morning", "Field Harbor Orchard Window")),
        category("style", "abstract baroque cubist gothic"),
        measure("value", 50, 900, step=10, adds=True),
        date("acquired"),
        blank("donor", "Blake Ito Vega"),
    ),
)

SAILING = schema(
    "sailing",
    table(
        "boats",
        "boat",
        label("name", pairs("Lucky Northern Ocean Proud Swift", "Gull Pearl Spirit Wave")),
        category("type", "cutter ferry sloop yacht"),
        measure("length", 6, 45, extremes="longest shortest"),
        date("built"),
        key("harbor_id"),
    ),
    table(
        "harbors",
        "harbor",
        identity(),
        label("name", ("Arden", "Brink", "Corran", "Dunmore", "Ferris", "Hollow", "Kelso", "Mallow", "Tarn")),
        category("country", "Croatia Greece Malta"),
        measure("depth", 4, 30, extremes="greatest smallest"),
    ),
    "in",
)

BAKERY = schema(
    "bakery",
    table(
        "cakes",
        "cake",
        label("name", pairs("Autumn Classic Country Royal Velvet", "Crown Delight Ring Tower")),
        category("flavor", "almond cherry lemon mocha"),
        measure("price", 8, 60, adds=True),
        date("baked"),
        key("shop_id"),
    ),
    table(
        "shops",
        "shop",
        identity(),
        label("name", ("Amber", "Butterfly", "Cosy", "Daisy", "Elm", "Golden", "Hazel", "Ivy", "Maple")),
        category("city", "Bergen Ghent Prague"),
        blank("owner", "Fox Lang Price"),
    ),
    "from",
)

GARAGE = schema(
    "garage",
    table(
        "cars",
        "car",
        label("model", pairs("Astra Bolt Condor Drift", "Coupe Estate Mini Sport")),
        category("color", "black blue grey red"),
        measure("mileage", 5, 190, step=5),
        date("bought"),
        blank("driver", "Kim Lou Max"),
    ),
)

VALIDATION_SCHEMAS = (CINEMA, BANK, MUSEUM)
TEST_SCHEMAS = (SAILING, BAKERY, GARAGE)
