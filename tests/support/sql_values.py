"""Values for tests of databases, and the values of an answer."""

# Texts that would break out of a statement, if they were part of one.
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
