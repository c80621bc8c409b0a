"""Full-text search of memories finds the same in SQLite and in PostgreSQL.

For PostgreSQL, the statements of AgentMemory are executed by psycopg in a migrated database.
"""

from contextlib import contextmanager, nullcontext
from itertools import product

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from postgres import create
from properties import examples
from world import fresh_database

from database import full_text
from database.full_text import all_words, any_word, save_words
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryScope

SCOPE = MemoryScope("ws_1", "a", None, 5)
INSERT = (
    "INSERT INTO agent_memories (id, workspace_id, agent_id, session, key, content, tags, created_at, updated_at, "
    "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 1, ?) RETURNING number"
)


class Sqlite:
    """The database of the process."""

    def __init__(self):
        self.execute = full_text.execute

    def in_use(self):
        return nullcontext()

    def write(self, key, content="", tags="[]", workspace_id="ws_1", expires_at=None):
        row = f"mem_{workspace_id}_{key}", workspace_id, "a", "", key, content, tags, expires_at
        (number,) = self.execute(INSERT, row).fetchone()
        save_words(number, key, content, tags)

    def remove_all(self):
        self.execute("DELETE FROM agent_memories")

    def keys(self, numbers):
        found = dict(self.execute("SELECT number, key FROM agent_memories").fetchall())
        return [found[number] for number in numbers]

    def with_all(self, text):
        return self.keys(agent_memory.best(SCOPE, all_words(text), 100))

    def with_any(self, text):
        return self.keys(agent_memory.best(SCOPE, any_word(text), 100))

    def listed(self, text, limit=100, before=None):
        return self.keys(agent_memory.newest(SCOPE, text, limit, before))


class OnPostgres(Sqlite):
    def __init__(self, url):
        self.connection = psycopg.connect(url, autocommit=True)
        self.remove_all()

    @contextmanager
    def in_use(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(full_text, "is_postgres", lambda: True)
            for module in (full_text, agent_memory):
                patch.setattr(module, "execute", self.execute)
            yield

    def execute(self, sql, params=()):
        return self.connection.execute(sql.replace("%", "%%").replace("?", "%s"), params)


@pytest.fixture(scope="module")
def postgres_url(postgres_server, postgres_template):
    create(postgres_server, "full_text", postgres_template)
    return postgres_server.url(database="full_text")


@pytest.fixture
def sqlite(tmp_path):
    with fresh_database(tmp_path):
        yield Sqlite()


@pytest.fixture
def idle_postgres(postgres_url):
    memories = OnPostgres(postgres_url)
    yield memories
    memories.connection.close()


@pytest.fixture
def postgres(idle_postgres):
    with idle_postgres.in_use():
        yield idle_postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def memories(request):
    return request.getfixturevalue(request.param)


TEXTS = {
    "koeln": "Die Straße nach Köln",
    "cafe": "café au lait, señor!",
    "decomposed": "cafe\u0301 noir",
    "russian": "Любимый город Рим, ещё раз",
    "greek": "ΟΔΥΣΣΕΥΣ και Πηνελόπη",
    "hebrew": "הבית של דנה",
    "hindi": "मेरा शहर दिल्ली",
    "japanese": "東京 は 首都",
    "turkish": "İstanbul",
    "mail": "write to jane.doe+news@mail.example.com",
    "host": "https://www.example.org/a-path/file_name.txt?q=1#part",
    "numbers": "at -5 °C, 19.90 EUR, 1e5, 2024-05-06, +49 30 1234, v1.2.3",
    "path": "/usr/local/bin/python3.11 --version",
    "quotes": "he said \"don't\" and 'it''s' \\ back",
    "markup": "<b>bold</b> &amp; &lt;",
    "operators": "this AND that OR NOT NEAR",
}
FOUND = {
    "straße köln": {"koeln"},
    "KOLN": {"koeln"},
    "KÖ": {"koeln"},
    "cafe": {"cafe", "decomposed"},
    "CAFÉ": {"cafe", "decomposed"},
    "cafe\u0301": {"cafe", "decomposed"},
    "senor": {"cafe"},
    "город": {"russian"},
    "ГОРОД": {"russian"},
    "οδυσσευς": {"greek"},
    "דנה": {"hebrew"},
    "दिल्ली": {"hindi"},
    "東京": {"japanese"},
    "東": {"japanese"},
    "京": set(),
    "istanbul": {"turkish"},
    "İSTANBUL": {"turkish"},
    # Parts of what PostgreSQL's parser keeps whole
    "jane.doe+news@mail.example.com": {"mail"},
    "jane": {"mail"},
    "example": {"mail", "host"},
    "example.com": {"mail"},
    "com.example": set(),
    "www.example.org": {"host"},
    "file_name.txt": {"host"},
    "file txt": {"host"},
    "path/file": {"host"},
    "5": {"numbers"},
    "-5": {"numbers"},
    "+5": {"numbers"},
    "19.9": {"numbers"},
    "90": {"numbers"},
    "1e5": {"numbers"},
    "2024-05": {"numbers"},
    "05-2024": set(),
    "v1.2": {"numbers"},
    "1.2": set(),
    "python": {"path"},
    "python3.11": {"path"},
    "/usr/local": {"path"},
    "--version": {"path"},
    "don't": {"quotes"},
    '"don\'t"': {"quotes"},
    "it's": {"quotes"},
    "'it''s'": {"quotes"},
    "\\": set(),
    "bold": {"markup"},
    "<b>": {"markup", "path", "quotes"},
    "amp lt": {"markup"},
    # Operators are words
    "AND": {"operators", "quotes"},
    "that OR": {"operators"},
    "NOT": {"operators"},
    "cafe & noir": {"decomposed"},
    "cafe | koln": set(),
    "!cafe": {"cafe", "decomposed"},
    "cafe:*": {"cafe", "decomposed"},
    "caf*": {"cafe", "decomposed"},
    "cafe <-> noir": {"decomposed"},
    "caf lait sen": {"cafe"},
    "afe": set(),
    # Key and tags, but no phrase over two of the texts
    "koeln": {"koeln"},
    "markup tagged": {"markup"},
    "lt-tagged": set(),
    # No word at all, or beside others
    "😀": set(),
    "\u202e": set(),
    '"': set(),
    "😀 noir '": {"decomposed"},
    "no\0ir": set(),
    "noir\0": {"decomposed"},
}


@pytest.fixture
def written(memories):
    for key, content in TEXTS.items():
        memories.write(key, content, '["tagged"]')
    memories.write("koeln", "Köln café example 5", workspace_id="ws_2")
    memories.write("expired", "Köln café example 5", expires_at=5)
    return memories


def test_a_search_for_all_words_finds_the_same_in_each_database(written):
    wrong = {text: found for text in FOUND if (found := set(written.with_all(text))) != FOUND[text]}
    assert wrong == {}
    wrong = {text: found for text in FOUND if (found := set(written.listed(text))) != FOUND[text]}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Where is Köln, which café?", {"koeln", "cafe", "decomposed"}),
        ("in at it", {"numbers", "quotes"}),  # short words are whole words
        ("bol straß", {"koeln"}),
        ("“bold”", {"markup"}),
        ("mail@example", {"mail", "host"}),
        ("…", set()),
        ("😀", set()),
        ("", set()),
        ("' | ''", set()),
    ],
)
def test_a_search_for_any_word_finds_the_same_in_each_database(written, text, found):
    assert set(written.with_any(text)) == found


HOSTILE = [
    "'", "''", "\\'", "'a", "a:", "a:*", "a:*b", ":*", "a & ", "& a", "a | | b", "!!", "!", "(", ")", "()", "((((a",
    "<->", "a <-> ", "<2>", "a <99999> b", "%d", "%", "$1", "?", "?1", "a\\", "\\\\", "a\0b", "\0", "\ud800", "\ufffe",
    "; DROP TABLE agent_memories; --", "a" * 50_000, "é" * 50_000, "ab " * 20_000, "'" * 20_000, "a/" * 50_000,
    " ".join(f"a/b/{number}" for number in range(200)), "(" * 20_000, "\t\r\n\v\f\x1c\x85\u2028", "𝒳" * 5_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_nothing_in_a_search_is_syntax(memories, text):
    memories.write("k", "some other words")
    text = text.encode("utf-8", "replace").decode()
    assert [memories.with_all(text), memories.with_any(text)] == [[], []]
    assert memories.listed(text) == (["k"] if not text.replace("\0", " ").strip() else [])
    assert memories.with_all("some words") == ["k"]


def test_the_largest_memories_are_found(memories):
    words = ["".join(letters) for letters in product("abcdefghijklmnopqrstuvwxyz", repeat=3)]
    contents = {
        "words": " ".join(words)[:100_000],
        "letters": "".join(f"{chr(0x20000 + number)} " for number in range(40_000)),
        "one word": "a" * 100_000,
        "the same": "again " * 16_000,
        "separators": "'\\" * 50_000,
    }
    for key, content in contents.items():
        memories.write(key, content)
    assert memories.with_all("zzz") == memories.with_all("aaa zzy") == ["words"]
    assert memories.with_all(chr(0x20000 + 39_999)) == ["letters"]
    assert memories.with_all("a" * 300) == ["one word"] and memories.with_all("again") == ["the same"]
    assert memories.with_all("separ") == ["separators"]


def test_the_best_comes_first(memories):
    contents = {
        "long": "tea " + "and a lot of other things " * 30,
        "often": "tea tea tea tea tea",
        "short": "tea",
        "both": "green tea in the morning",
        "apart": "green leaves, and much later in the day a cup of tea",
    }
    for key, content in contents.items():
        memories.write(key, content)
    assert memories.with_all("tea")[-1] == "long"
    assert memories.with_all("green tea") == ["both", "apart"]
    assert set(memories.with_any("green or with tea")[:2]) == {"both", "apart"}


def test_pages_of_a_search_are_newest_first(memories):
    for number in range(5):
        memories.write(f"k{number}", "tea")
    first, second = memories.listed("tea", 2), memories.listed("", 2)
    assert first == second == ["k4", "k3"]
    (before,) = memories.execute("SELECT number FROM agent_memories WHERE key = 'k3'").fetchone()
    for text in ("tea", ""):
        assert memories.listed(text, 2, before) == ["k2", "k1"]
        assert memories.listed(text, None, before) == ["k2", "k1", "k0"]
        assert memories.listed(text, 2, 10**9) == ["k4", "k3"] and memories.listed(text, 2, 0) == []


# PostgreSQL alone

LETTERS = "abzAZ019 éÉñÜø'\"\\-+._@/:*&|!()<>%?,…“”東京дД\0😀\u0301\u05d0\n"
texts = st.text(LETTERS, max_size=30)


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=1, max_size=4), texts)
@example(["a\u0301b"], "áb")
@example(["a.b"], "a b")
def test_both_databases_find_the_same(sqlite, idle_postgres, contents, text):
    found = []
    for memories in (sqlite, idle_postgres):
        with memories.in_use():
            memories.remove_all()
            for number, content in enumerate(contents):
                memories.write(f"k{number}", content.replace("\0", ""))
            found.append([sorted(search(text)) for search in (memories.with_all, memories.with_any, memories.listed)])
    assert found[0] == found[1]


@pytest.mark.slow
def test_postgresql_knows_more_about_letters(postgres):
    for key, content in {"a": "Straße", "b": "Nguyễn", "c": "Ὀδυσσεύς"}.items():
        postgres.write(key, content)
    assert [postgres.with_all(text) for text in ("STRASSE", "nguyen", "οδυσσευς")] == [["a"], ["b"], ["c"]]


@pytest.mark.slow
def test_a_search_in_many_memories_uses_their_index(postgres):
    postgres.execute(
        "INSERT INTO agent_memories (id, workspace_id, agent_id, session, key, content, tags, created_at, updated_at, "
        "words) SELECT 'mem_' || n, 'ws_1', 'a' || n % 10, '', 'k' || n, repeat('x', 1000), '[]', 1, 1, "
        "CAST('common:1 w' || n || ':2' AS tsvector) FROM generate_series(1, 5000) AS n"
    )
    postgres.execute("ANALYZE agent_memories")
    where, params = MemoryScope("ws_1", None, None, 5).where()
    explain = f"EXPLAIN {full_text.select_matching(where)}"
    plan = "\n".join(line for (line,) in postgres.execute(explain, (all_words("w4711"), *params, 5)))
    assert "Bitmap Index Scan on agent_memories_words" in plan, plan


@pytest.mark.slow
def test_a_changed_memory_is_found_by_its_new_words(postgres):
    postgres.write("k", "Rome")
    (number,) = postgres.execute("SELECT number FROM agent_memories").fetchone()
    save_words(number, "k", "Oslo", "[]")
    assert postgres.with_all("rome") == [] and postgres.with_all("oslo") == ["k"]
