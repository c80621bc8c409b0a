"""PDF files: their text, page by page, and what they say about themselves."""

from __future__ import annotations

import io
import logging
from itertools import islice
from typing import Any

import pypdf
from pypdf.errors import FileNotDecryptedError, PyPdfError

INFO = ("title", "author", "subject", "creator", "producer")
# What the library raises over a file in which something is not what it takes it for.
SLIPS = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)
# It warns of every slip of the programs that wrote a file.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`{text, pages, page_count, info}` of up to `max_pages`; `{problem}` where that cannot be read.

    `password` opens the file, null where it has none; `most` is how many characters of text it may have.
    """
    try:
        return _extracted(pypdf.PdfReader(io.BytesIO(data), password=options["password"]), options), ()
    except FileNotDecryptedError:
        return {"problem": "is locked with a password, which is missing or wrong"}, ()
    except (PyPdfError, *SLIPS) as error:
        return {"problem": f"is no PDF that can be read: {error}"[:500]}, ()


def _extracted(reader: pypdf.PdfReader, options: dict[str, Any]) -> dict[str, Any]:
    pages: list[str] = []
    room = options["most"]
    for page in islice(reader.pages, options["max_pages"]):
        pages.append(page.extract_text().strip())
        room -= len(pages[-1])
        if room < 0:
            return {"problem": f"has more than {options['most']} characters of text"}
    info = {name: str(value)[:1_000] for name in INFO if (value := getattr(reader.metadata, name, None))}
    return {"text": "\n\n".join(pages), "pages": pages, "page_count": len(reader.pages), "info": info}
