"""PDF files: their text by page, and their metadata."""

from __future__ import annotations

import io
import logging
from itertools import islice
from typing import Any

import pypdf
from pypdf.errors import FileNotDecryptedError, PyPdfError

from parsers.child import SLIPS

INFO = ("title", "author", "subject", "creator", "producer")
# It warns of every error of the program that wrote the file.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return `{text, pages, page_count, info}` of up to `max_pages`; `{problem}` if the file cannot be read.

    `password` may be null; `most` is the maximum number of characters.
    """
    try:
        return _extract(pypdf.PdfReader(io.BytesIO(data), password=options["password"]), options), ()
    except FileNotDecryptedError:
        return {"problem": "is protected by a password, which is missing or wrong"}, ()
    except (PyPdfError, *SLIPS) as error:
        return {"problem": f"is not a readable PDF: {error}"[:500]}, ()


def _extract(reader: pypdf.PdfReader, options: dict[str, Any]) -> dict[str, Any]:
    pages: list[str] = []
    room = options["most"]
    for page in islice(reader.pages, options["max_pages"]):
        pages.append(page.extract_text().strip())
        room -= len(pages[-1])
        if room < 0:
            return {"problem": f"has more than {options['most']} characters of text"}
    info = {name: str(value)[:1_000] for name in INFO if (value := getattr(reader.metadata, name, None))}
    return {"text": "\n\n".join(pages), "pages": pages, "page_count": len(reader.pages), "info": info}
