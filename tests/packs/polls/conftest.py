import pytest
from sources import Source, polling, watched
from world import fresh_database


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture
def source():
    """A source that the trigger `watch` polls."""
    made = Source()
    with watched(made):
        yield made


@pytest.fixture
def process(tmp_path):
    """A process that polls in the test's thread; its runs stay pending."""
    with polling(tmp_path) as made:
        yield made
