"""Invisible and reordering characters: shown as escapes, refused in names, removed from terminal output."""

import unicodedata

import pytest

from cli import to_one_line
from fields import JOINERS, OF_TEXTS, first_unseen, visible
from models import Run

# One of each kind: a joiner, variation selectors, letters that look like spaces, reordering marks, tags.
HIDDEN = (
    "\u034f\ufe00\ufe0f\U000e0100\U000e01ef\u180b\u180f\u115f\u3164\u2800\u202e\u2066\u200b\ufeff\U000e0041\u00ad\x1b"
)


@pytest.mark.parametrize("letter", HIDDEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_invisible_characters_are_shown_as_json_escapes(letter):
    shown = visible(f"pay{letter}ment")
    assert shown.isascii() and "\\u" in shown and shown.startswith("pay") and shown.endswith("ment")
    assert first_unseen(f"pay{letter}ment") == f"U+{ord(letter):04X}"


def test_every_character_without_a_glyph_is_known():
    """Unicode's Default_Ignorable_Code_Point is in these categories, or among the listed letters and marks."""
    marks = ["\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0)), "\u17b4", "\u17b5"]
    formats = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp")]
    assert [letter for letter in marks + formats if first_unseen(letter) is None] == []


@pytest.mark.parametrize("text", ["Zahlung für Ölß", "支払い", "دفع", "भुगतान", "paid ✓ 👍", "a b"])
def test_ordinary_text_stays_unchanged(text):
    assert visible(text) == text and first_unseen(text) is None


def test_scripts_and_emoji_keep_their_invisible_characters():
    text = "می‌خواهم 👩‍💻 ❤️\n"
    assert visible(text, but=OF_TEXTS) == text and first_unseen(text.strip(), but=JOINERS) is None


def test_a_terminal_gets_a_space_for_each():
    assert to_one_line(f"a{HIDDEN.replace(chr(0xFE0F), '')}b") == "a" + " " * (len(HIDDEN) - 1) + "b"


# Texts for people


@pytest.mark.parametrize("letter", ["\u202e", "\u034f", "\U000e0100", "\u3164", "\n", "\x1b"])
def test_a_name_cannot_have_invisible_characters(owner, letter, flow):
    name = f"Pay{letter}roll"
    for answer in (
        owner.post("/api/flows", {"name": name}),
        owner.put(f"/api/workflows/{flow['id']}", {"name": name}),
        owner.patch("/api/profile", {"name": name}),
        owner.patch(f"/api/workspaces/{owner.workspace.id}", {"name": name}),
        owner.post("/api/tokens", {"name": name}),
    ):
        assert answer.status_code == 400 and f"U+{ord(letter):04X}" in answer.json["error"], answer.text


def test_the_reason_of_a_wait_shows_the_whole_question(owner, make_flow):
    node = {"id": "ask", "type": "approval", "config": {"message": "{{ input.text }}"}}
    flow = make_flow({"nodes": [node]})
    text = "Pay 10\u202e00\U000e0100\u034f €?\nYes ❤️"
    run = owner.post(f"/api/workflows/{flow['id']}/run", {"input": {"text": text}}).json
    assert run["waiting"] == "approval: Pay 10\\u202e00\\udb40\\udd00\\u034f €?\nYes ❤️"
    assert Run.get().waiting == run["waiting"]
