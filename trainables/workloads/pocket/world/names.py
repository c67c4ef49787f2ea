"""Names: the words of the world, with the character of each name that is written in glyphs."""

GREEK: dict[str, str] = {
    "alpha": "\u03b1",
    "beta": "\u03b2",
    "gamma": "\u03b3",
    "delta": "\u03b4",
    "zeta": "\u03b6",
    "theta": "\u03b8",
    "lambda": "\u03bb",
    "xi": "\u03be",
    "pi": "\u03c0",
    "sigma": "\u03c3",
    "phi": "\u03c6",
    "psi": "\u03c8",
    "omega": "\u03c9",
    "eta": "\u03b7",
}
CYRILLIC: dict[str, str] = {
    "be": "\u0411",
    "de": "\u0414",
    "zhe": "\u0416",
    "ee": "\u0418",
    "el": "\u041b",
    "ef": "\u0424",
    "tse": "\u0426",
    "che": "\u0427",
    "sha": "\u0428",
    "yeru": "\u042b",
    "eh": "\u042d",
    "yu": "\u042e",
    "ya": "\u042f",
}
HEBREW: dict[str, str] = {
    "alef": "\u05d0",
    "bet": "\u05d1",
    "gimel": "\u05d2",
    "dalet": "\u05d3",
    "lamed": "\u05dc",
    "mem": "\u05de",
    "samekh": "\u05e1",
    "ayin": "\u05e2",
    "pe": "\u05e4",
    "tsadi": "\u05e6",
    "qof": "\u05e7",
    "shin": "\u05e9",
}
PICTOGRAMS: dict[str, str] = {
    "king": "\u265a",
    "queen": "\u265b",
    "rook": "\u265c",
    "bishop": "\u265d",
    "knight": "\u265e",
    "pawn": "\u265f",
    "spade": "\u2660",
    "club": "\u2663",
    "umbrella": "\u2602",
    "snowman": "\u2603",
    "telephone": "\u260e",
    "skull": "\u2620",
    "radiation": "\u2622",
    "anchor": "\u2693",
    "scissors": "\u2702",
    "airplane": "\u2708",
    "note": "\u266b",
    "cup": "\u2615",
}
OPERATORS: dict[str, str] = {
    "sum": "\u2211",
    "integral": "\u222b",
    "root": "\u221a",
    "infinity": "\u221e",
    "element": "\u2208",
    "forall": "\u2200",
    "exists": "\u2203",
    "nabla": "\u2207",
    "partial": "\u2202",
    "unequal": "\u2260",
    "approximately": "\u2248",
    "percent": "%",
}
NUMBERS: tuple[str, ...] = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
DIGITS: dict[str, str] = {name: str(k) for k, name in enumerate(NUMBERS[:10])}
CAPITALS: dict[str, str] = {letter: letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

PLACES: dict[str, tuple[float, float]] = {
    "top left": (-1, -1),
    "top": (0, -1),
    "top right": (1, -1),
    "left": (-1, 0),
    "centre": (0, 0),
    "right": (1, 0),
    "bottom left": (-1, 1),
    "bottom": (0, 1),
    "bottom right": (1, 1),
}
"""Where a form stands: to the right and down of the middle."""

WINDS: tuple[str, ...] = ("east", "southeast", "south", "southwest", "west", "northwest", "north", "northeast")
"""Where something points, clockwise from the right."""

DUOS: tuple[str, ...] = (
    *("red on green", "red on blue", "orange on purple", "orange on blue", "yellow on red", "yellow on purple"),
    *("green on red", "green on magenta", "cyan on orange", "cyan on magenta", "blue on yellow", "blue on red"),
    *("purple on cyan", "purple on orange", "magenta on yellow", "magenta on green"),
)
"""Colours of a form and of its ground."""
