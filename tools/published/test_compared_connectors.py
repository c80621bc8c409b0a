"""Each connector is compared with a published package, or says why not."""

from pathlib import Path

from packs.connectors import connector_files

UNCOMPARED = {"linkedin": "its own clients know no paths, only how requests are encoded"}


def test_each_connector_is_compared_with_a_package_or_says_why_not():
    files = sorted(Path(__file__).parent.glob("test_published_*.py"))
    tests = "".join(file.read_text(encoding="utf-8") for file in files if not file.stem.endswith("_oauth"))
    missing = {type_ for type_ in connector_files.types() if f'"{type_}"' not in tests}
    assert {type_ for type_ in missing if not type_.startswith("google_")} == set(UNCOMPARED)
