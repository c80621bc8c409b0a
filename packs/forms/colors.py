"""Colors of forms: an accent color that can be read on a light and on a dark page (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias

Rgb: TypeAlias = tuple[int, int, int]

MIN_CONTRAST = 4.5
STEPS = 50
LIGHT_CARD, DARK_CARD = (255, 255, 255), (27, 33, 41)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


class Accent(NamedTuple):
    """An accent color for one theme, and that of text on it, in CSS."""

    color: str
    text: str


@lru_cache(256)
def choose_accents(color: str) -> tuple[Accent, Accent]:
    """Return the accent `#rrggbb` for the light and for the dark theme, changed as little as its contrast requires."""
    given = _parse(color)
    return _fit(given, LIGHT_CARD, BLACK), _fit(given, DARK_CARD, WHITE)


def get_contrast(one: Rgb, other: Rgb) -> float:
    """Return the contrast ratio of two colors, from 1 to 21."""
    darker, lighter = sorted((_get_luminance(one), _get_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _fit(color: Rgb, card: Rgb, towards: Rgb) -> Accent:
    """Mix the color with black or white until it is seen on the card."""
    mixed = (_mix(color, towards, step / STEPS) for step in range(STEPS + 1))
    found = next(one for one in mixed if get_contrast(one, card) >= MIN_CONTRAST)
    text = max((BLACK, WHITE), key=lambda one: get_contrast(one, found))
    return Accent(_format(found), _format(text))


def _mix(color: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def _get_luminance(color: Rgb) -> float:
    """Return the relative luminance of a color, as WCAG defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (one / 255 for one in color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parse(color: str) -> Rgb:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _format(color: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
