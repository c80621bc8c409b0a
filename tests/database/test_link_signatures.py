"""Text without the signatures of links, as both databases give it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres import create

import database
from database import fetch_value
from database.queries.waits import in_sql

pytestmark = pytest.mark.slow

LINK = "https://a.example/api/runs/run_1/resume?node=a&token={}"
PARTS = st.sampled_from(
    ["token", "TOKEN", "Token", "=", "%3D", "%253d", "%25253D", "\\u003D", "\\\\u003d", "resume", "RESUME", "x" * 499,
     "x" * 500, "ä" * 250, "abc_DEF-09", "-", "&answer=ok", " ", "…", "\n", "K", "İ", "ſ", "'", "?", "%s", "\\"]
)  # fmt: skip


@pytest.fixture(scope="module")
def connected(postgres_server, postgres_template):
    """Connect this process to a database for all tests of the file."""
    create(postgres_server, "signatures_test", postgres_template)
    database.connect(postgres_server.url(database="signatures_test"), "normal")
    yield
    database.disconnect()
    postgres_server.admin("DROP DATABASE signatures_test WITH (FORCE)", database="postgres")


def without_signatures(text):
    return fetch_value("SELECT without_signatures(?)", (text,))


@pytest.mark.parametrize(
    "text",
    [
        *("", "token", "resume token=", "a resume token=abc", f"{'x' * 600} token=abc", "token=abc resume"),
        *(LINK.format("a" * 43), f"{LINK.format('aB_-')} and {LINK.format('aB')}x", f"resume{'ä' * 246} token=abc"),
        *(f"resume{'ä' * 247} token=abc", f"resume{'x' * 493} token=abc", f"resume{'x' * 494} token=abc"),
        *(f"resume{'x' * 495} token=abc", "TOKEN=abc", "resume TOKEN=abc token", "resume toKen%253D25abc"),
        *("resume token=token=abc", "resume token=abctoken=abc", "resume token\\\\u003dabc"),
    ],
)  # fmt: skip
def test_a_text_is_shown_without_signatures_as_in_sqlite(connected, text):
    assert without_signatures(text) == in_sql(text)


def test_no_text_has_no_signatures(connected):
    assert without_signatures(None) is None


@given(st.lists(PARTS, max_size=12).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_shown_without_signatures_as_in_sqlite(connected, text):
    assert without_signatures(text) == in_sql(text)
