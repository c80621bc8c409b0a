"""Values for tests of databases, and access to the values of a result."""

# Texts that would change a statement if they were inserted into it.
HOSTILE = [
    "Zoë'; DROP TABLE notes; --",
    "' OR '1'='1",
    '" OR ""="',
    "\\' OR 1=1 -- ",
    "\\",
    "%s %(a)s %%",
    "? :a $1 ??",
    "{{ 1 }}",
    "/* */ -- #",
    "\N{FULLWIDTH APOSTROPHE}\u02bc\x1a\u2028",
    "\xbf'\xbf\\' OR 1=1",
    "",
]


def column(answer):
    """Return the first column of the rows."""
    return [next(iter(row.values())) for row in answer["rows"]]
