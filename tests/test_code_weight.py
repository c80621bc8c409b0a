"""The count of what shall become less."""

from tools.weight import weigh

MODULE = '''
"""A docstring
of two lines."""
import pack.part  # a comment

class Shape:
    """A docstring."""

    def _once(self):
        return """text
# no comment"""

    def _twice(self):
        return self._once(), self._twice, self._twice
'''

VIEW = """
// a comment
const url = "https://example.com"; /* a comment
of two lines */
export const View = () => (
    <p>
        {/* a comment */}
    </p>
);
"""


def test_code_is_counted_without_blank_lines_comments_and_docstrings():
    texts = {
        "main.py": MODULE,
        "pack/__init__.py": "from . import part\nclass Shape: ...",
        "pack/part.py": "x = 1",
        "packs/mail/pack.py": "import main\nimport pack.part",
        "tests/test_main.py": "import main",
        "tools/count.py": "import main",
        "web/src/View.tsx": VIEW,
        "web/src/View.test.tsx": VIEW,
        "web/src/api/schema.d.ts": VIEW,
        ".github/ci.yml": "",
        "LICENSE": "",
    }
    assert list(weigh(texts).values()) == [
        *("10", "12", "2", "5"),
        "4 / 1",  # main
        "11; 5",
        "1",
        "50 %",
        "tests/test_webhook_path.py: at most ?",
    ]
