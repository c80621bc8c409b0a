"""Which passwords are too easy to guess: those of which little is left without well-known words, names and sequences.

The words are our own short list. A long list of leaked passwords would find more, and weigh more than the rest of the
accounts together; the limits on guessing (`security/login_throttle.py`) are for what is left.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

MIN_DISTINCT = 5  # different characters
MIN_REST = 4  # letters that must be left; of digits and signs, twice as many
MIN_RUN = 3  # characters of a sequence, or equal ones, that count as one
MIN_NAME = 4  # characters of a name that is looked for

# Words that every list of guesses begins with, in the languages of most attacks, and the name of this server.
WORDS = [
    *("password", "passwort", "passwd", "passphrase", "motdepasse", "contraseña", "contrasena", "senha"),
    *("parola", "wachtwoord", "haslo", "пароль", "geheim", "secret", "letmein", "welcome", "willkommen"),
    *("bienvenue", "bienvenido", "changeme", "changeit", "change", "default", "master", "administrator", "admin"),
    *("root", "superuser", "sysadmin", "operator", "guest", "user", "username", "login", "logon", "access"),
    *("account", "iloveyou", "iloveu", "loveyou", "lovely", "love", "forever", "princess", "prince", "sunshine"),
    *("sunflower", "flower", "butterfly", "angel", "angels", "babygirl", "football", "baseball", "basketball"),
    *("soccer", "hockey", "liverpool", "chelsea", "arsenal", "barcelona", "juventus", "monkey", "dragon"),
    *("tiger", "eagle", "horse", "shadow", "ninja", "mustang", "ferrari", "porsche", "mercedes", "batman"),
    *("superman", "spiderman", "starwars", "pokemon", "pikachu", "naruto", "minecraft", "matrix", "killer"),
    *("hunter", "ranger", "trustno", "summer", "winter", "spring", "autumn", "monday", "friday", "january"),
    *("december", "computer", "internet", "server", "system", "service", "database", "network", "google"),
    *("facebook", "microsoft", "windows", "android", "samsung", "apple", "cookie", "chocolate", "banana"),
    *("cheese", "pepper", "ginger", "freedom", "whatever", "nothing", "something", "hello", "secure", "security"),
    *("private", "test", "testing", "tester", "demo", "example", "sample", "temp", "temporary", "company"),
    *("office", "business", "charlie", "michael", "jordan", "jennifer", "michelle", "jessica", "ashley"),
    *("daniel", "thomas", "robert", "andrew", "joshua", "matthew", "nicole", "headrace", "workflow"),
    *("automation", "n8n"),
]
# What fingers find in a row, and hands on a keyboard in a column; each is looked for backwards too.
ROWS = [
    *("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn", "!@#$%^&*()", '!"§$%&/()=', "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb"),
    *("qazwsxedcrfvtgbyhnujmikolp", "q1w2e3r4t5y6u7i8o9p0"),
]
SEQUENCES = [row[::step] for row in ROWS for step in (1, -1)]
# Signs and digits that stand for letters; 1 is read both as i and as l.
READINGS = [str.maketrans("4@8301$57!9", f"aabeo{one}sst{one}g") for one in "il"]

HINT = "choose a longer one, for instance several words that do not belong together"


def weakness(password: str, about: Iterable[str] = ()) -> str | None:
    """What makes the password easy to guess, as the rest of a sentence that begins with it; None where nothing does.

    `about` are names that somebody who guesses knows: the address, the person's name, the workspaces'.
    """
    text = unicodedata.normalize("NFKC", password).casefold()
    if len(set(text)) < MIN_DISTINCT:
        return f"has fewer than {MIN_DISTINCT} different characters; {HINT}"
    names = {part for name in about for part in _parts(name.casefold()) if len(part) >= MIN_NAME}
    words = sorted({*WORDS, *names}, key=len, reverse=True)
    if any(_weight(_stripped(reading, words)) < MIN_REST for reading in _readings(_unrepeated(text))):
        return f"is little more than a common word, a name or a sequence; {HINT}"
    return None


def _parts(name: str) -> Iterator[str]:
    """The words of a name or an address, and all of them as one."""
    words = "".join(letter if letter.isalnum() else " " for letter in name).split()
    yield from words
    yield "".join(words)


def _unrepeated(text: str) -> str:
    """What the whole text is a repetition of; the text itself where it is none."""
    return text[: (text + text).find(text, 1)]


def _readings(text: str) -> Iterator[str]:
    """The text, and what it says if signs stand for letters; with years and sequences, and without them."""
    for read in (text, _without_runs(_without_years(text))):
        yield from (read, *(read.translate(reading) for reading in READINGS))


def _stripped(text: str, words: Iterable[str]) -> str:
    """The text without what is in every list of guesses; separators go first, so that `pass-word` is found."""
    text = "".join(letter for letter in text if not letter.isspace() and letter not in "-_.,")
    for word in words:
        text = text.replace(word, "")
    return _without_runs(_without_years(text))


def _without_years(text: str) -> str:
    for century in ("19", "20"):
        while (at := text.find(century)) >= 0 and text[at : at + 4].isdecimal() and len(text[at : at + 4]) == 4:
            text = text[:at] + text[at + 4 :]
    return text


def _without_runs(text: str) -> str:
    """The text without sequences and repetitions of at least MIN_RUN characters."""
    kept, at = "", 0
    while at < len(text):
        length = _run_at(text, at)
        if length < MIN_RUN:
            kept, length = kept + text[at], 1
        at += length
    return kept


def _run_at(text: str, at: int) -> int:
    """How many characters from here on are equal or stand in one of the sequences."""
    equal = len(text) - at - len(text[at:].lstrip(text[at]))
    longest = equal
    for sequence in SEQUENCES:
        length = longest + 1
        while at + length <= len(text) and text[at : at + length] in sequence:
            longest, length = length, length + 1
    return longest


def _weight(text: str) -> float:
    """How much there is to guess: a letter counts for one, everything else for half."""
    return sum(1 if letter.isalpha() else 0.5 for letter in text)
