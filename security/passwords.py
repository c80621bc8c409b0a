"""Passwords that are too easy to guess: little is left of them without common words, names and sequences.

The word list is short and our own. A list of leaked passwords would find more, but be larger than all other code for
accounts; the login throttle (`security/login_throttle.py`) limits guesses at the rest.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

MIN_DISTINCT = 5  # different characters
MIN_REST = 4  # letters that must be left; twice as many digits and symbols
MIN_RUN = 3  # characters of a sequence, or equal ones, that count as one
MIN_NAME = 4  # characters of a name to look for

# The first words of common guessing lists, in the languages of most attacks, and the name of this server.
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
# Rows and columns of keyboards, and sequences; each is looked for backwards too.
ROWS = [
    *("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn", "!@#$%^&*()", '!"§$%&/()=', "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb"),
    *("qazwsxedcrfvtgbyhnujmikolp", "q1w2e3r4t5y6u7i8o9p0"),
]
SEQUENCES = [row[::step] for row in ROWS for step in (1, -1)]
# Symbols and digits that stand for letters; 1 is read as i and as l.
READINGS = [str.maketrans("4@8301$57!9", f"aabeo{one}sst{one}g") for one in "il"]

HINT = "choose a longer one, for example several unrelated words"


def find_weakness(password: str, about: Iterable[str] = ()) -> str | None:
    """Return why the password is easy to guess, to follow the word "password", or None if it is not.

    `about` has names that an attacker knows: the address, the person's name, the workspaces'.
    """
    text = unicodedata.normalize("NFKC", password).casefold()
    if len(set(text)) < MIN_DISTINCT:
        return f"has fewer than {MIN_DISTINCT} different characters; {HINT}"
    names = {part for name in about for part in _split_name(name.casefold()) if len(part) >= MIN_NAME}
    words = sorted({*WORDS, *names}, key=len, reverse=True)
    text = text[: (text + text).find(text, 1)]  # the part that the whole text repeats, or the text
    rests = [_strip(reading, words) for reading in _list_readings(text)]
    if any(sum(1 if letter.isalpha() else 0.5 for letter in rest) < MIN_REST for rest in rests):
        return f"is little more than a common word, a name or a sequence; {HINT}"
    return None


def _split_name(name: str) -> Iterator[str]:
    """Yield the words of a name or an address, then all of them joined."""
    words = "".join(letter if letter.isalnum() else " " for letter in name).split()
    yield from words
    yield "".join(words)


def _list_readings(text: str) -> Iterator[str]:
    """Yield the text, with and without years and sequences, and its readings with symbols as letters."""
    for read in (text, _remove_runs(_remove_years(text))):
        yield from (read, *(read.translate(reading) for reading in READINGS))


def _strip(text: str, words: Iterable[str]) -> str:
    """Return the text without common words. Separators are removed first, so that `pass-word` is found."""
    text = "".join(letter for letter in text if not letter.isspace() and letter not in "-_.,")
    for word in words:
        text = text.replace(word, "")
    return _remove_runs(_remove_years(text))


def _remove_years(text: str) -> str:
    for century in ("19", "20"):
        while (at := text.find(century)) >= 0 and text[at : at + 4].isdecimal() and len(text[at : at + 4]) == 4:
            text = text[:at] + text[at + 4 :]
    return text


def _remove_runs(text: str) -> str:
    """Return the text without sequences and repetitions of at least MIN_RUN characters."""
    kept, at = "", 0
    while at < len(text):
        length = len(text) - at - len(text[at:].lstrip(text[at]))  # of the repetition that begins here
        for sequence in SEQUENCES:
            while at + length < len(text) and text[at : at + length + 1] in sequence:
                length += 1
        if length < MIN_RUN:
            kept, length = kept + text[at], 1
        at += length
    return kept
