"""The domains that training examples ask about."""

from tune.data.text_to_sql.tables import (
    FIRST_NAMES,
    PEOPLE,
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

# fmt: off
ANIMAL_NAMES = (
    "Bobo", "Bruno", "Coco", "Dory", "Duke", "Fifi", "Kiki", "Leo",
    "Lola", "Momo", "Nala", "Otto", "Peppa", "Rex", "Simba", "Toto",
)
# fmt: on

LIBRARY = schema(
    "library",
    table(
        "books",
        "book",
        label("title", pairs("Cold Hidden Last Red Silent", "Garden River Road Winter")),
        category("genre", "crime history poetry travel"),
        measure("price", 6, 40, adds=True),
        date("added"),
        key("author_id"),
    ),
    table(
        "authors",
        "author",
        identity(),
        label("name", FIRST_NAMES),
        category("country", "Chile Norway Japan"),
        blank("agent", "Hart Kemp Shaw"),
    ),
    "by",
)

SPORT = schema(
    "sport",
    table(
        "players",
        "player",
        label("name", PEOPLE),
        category("position", "defender forward keeper winger"),
        measure("salary", 20, 95, adds=True),
        date("signed"),
        key("team_id"),
    ),
    table(
        "teams",
        "team",
        identity(),
        label("name", ("Bears", "Comets", "Eagles", "Foxes", "Hawks", "Lions", "Rams", "Tigers", "Wolves")),
        category("city", "Lyon Oslo Turin"),
        blank("coach", "Adler Brandt Costa"),
    ),
    "in",
)

HOTEL = schema(
    "hotel",
    table(
        "rooms",
        "room",
        label("name", pairs("Blue Corner Garden Grand Quiet", "Loft Nest Studio Suite")),
        category("view", "city garden lake sea"),
        measure("price", 50, 240, step=5, adds=True),
        date("painted"),
        key("hotel_id"),
    ),
    table(
        "hotels",
        "hotel",
        identity(),
        label("name", ("Alba", "Bristol", "Corona", "Delta", "Europa", "Flora", "Grand", "Kings", "Mirador")),
        category("city", "Porto Rome Vienna"),
        measure("rating", 2.5, 4.9, step=0.1),
    ),
    "in",
)

COMPANY = schema(
    "company",
    table(
        "employees",
        "employee",
        label("name", PEOPLE),
        category("role", "analyst clerk engineer manager"),
        measure("salary", 30, 99, adds=True),
        date("hired"),
        key("department_id"),
    ),
    table(
        "departments",
        "department",
        identity(),
        label("name", ("Audit", "Design", "Legal", "Payroll", "Research", "Sales", "Security", "Support", "Training")),
        category("site", "Berlin Dublin Madrid"),
        measure("budget", 100, 900, step=10, adds=True),
    ),
    "in",
)

TRAVEL = schema(
    "travel",
    table(
        "flights",
        "flight",
        label("code", tuple(f"{letters}{number}" for letters in ("KA", "MO", "PX", "TR") for number in range(11, 16))),
        category("destination", "Athens Cairo Lima Seoul"),
        measure("distance", 300, 2400, step=50, adds=True, extremes="longest shortest"),
        date("flown"),
        key("airline_id"),
    ),
    table(
        "airlines",
        "airline",
        identity(),
        label("name", ("Aerolux", "Bluejet", "Cirrus", "Nimbus", "Polar", "Skylark", "Sunwing", "Tropica", "Zephyr")),
        category("country", "Brazil Iceland Kenya"),
    ),
    "with",
)

ZOO = schema(
    "zoo",
    table(
        "animals",
        "animal",
        label("name", ANIMAL_NAMES),
        category("species", "bear camel otter zebra", plural="species"),
        measure("weight", 12, 400, step=4, adds=True),
        date("examined"),
        key("keeper_id"),
    ),
    table(
        "keepers",
        "keeper",
        identity(),
        label("name", FIRST_NAMES),
        category("shift", "day evening night"),
        blank("phone", "4410 4417 4425"),
    ),
    "assigned to",
)

MUSIC = schema(
    "music",
    table(
        "songs",
        "song",
        label("title", pairs("Broken Golden Slow Summer Wild", "Dream Heart Moon Rain")),
        category("mood", "angry calm happy sad"),
        measure("length", 120, 400, step=5, adds=True, extremes="longest shortest"),
        date("recorded"),
        key("band_id"),
    ),
    table(
        "bands",
        "band",
        identity(),
        label(
            "name", ("Aurora", "Basalt", "Cinder", "Dynamo", "Ember", "Granite", "Lantern", "Marble", "Orbit", "Velvet")
        ),
        category("country", "Canada France Ghana"),
        blank("manager", "Diaz Novak Reed"),
    ),
    "by",
)

CLINIC = schema(
    "clinic",
    table(
        "patients",
        "patient",
        label("name", PEOPLE),
        category("ward", "east north south west"),
        measure("age", 18, 90),
        date("admitted"),
        key("doctor_id"),
    ),
    table(
        "doctors",
        "doctor",
        identity(),
        label("name", FIRST_NAMES),
        category("field", "heart lung skin"),
        blank("phone", "7102 7115 7133"),
    ),
    "treated by",
)

SHOP = schema(
    "shop",
    table(
        "orders",
        "order",
        label("code", tuple(f"{letter}{number}" for letter in "BGNW" for number in range(21, 26))),
        category("status", "open paid returned shipped"),
        measure("amount", 10, 300, step=5, adds=True),
        date("placed"),
        key("customer_id"),
    ),
    table(
        "customers",
        "customer",
        identity(),
        label("name", FIRST_NAMES),
        category("city", "Boston Denver Miami"),
        blank("email", "a@x.com b@x.com c@x.com"),
    ),
    "from",
)

SCHOOL = schema(
    "school",
    table(
        "courses",
        "course",
        label("title", pairs("Applied Basic Modern Practical", "Botany Drawing Logic Music")),
        category("season", "autumn spring summer winter"),
        measure("fee", 40, 300, step=5, adds=True),
        date("launched"),
        blank("tutor", "Abel Iris Jon"),
    ),
)

GARDEN = schema(
    "garden",
    table(
        "plants",
        "plant",
        label("name", pairs("Alpine Dwarf Giant Royal", "Fern Lily Palm Rose")),
        category("color", "green pink white yellow"),
        measure("height", 10, 180, step=5),
        date("planted"),
        blank("label", "A4 B7 C2"),
    ),
)

TRAIN_SCHEMAS = (LIBRARY, SPORT, HOTEL, COMPANY, TRAVEL, ZOO, MUSIC, CLINIC, SHOP, SCHOOL, GARDEN)
