"""The editor of a flow as a person has it before them: its nodes and edges, and what one does with them."""

import json
import re

from playwright.sync_api import expect
from servers import until

STEPS = 8  # of the pointer on its way: the canvas sees it come

# Ten frames, in which what is still being drawn moves.
FRAMES = """async () => { for (let n = 0; n < 10; n++) await new Promise(requestAnimationFrame) }"""


class Editor:
    """The editor in `page`; `definition` is what the server has of the flow that is open."""

    def __init__(self, page, server):
        self.page, self.server, self.flow = page, server, None
        self.canvas = page.locator(".react-flow[aria-label^='The flow']")
        self.nodes, self.edges = page.locator(".react-flow__node"), page.locator(".react-flow__edge")
        self.panel = page.get_by_role("complementary", name="Details")

    # Flows

    def add(self, definition, name="Flow", status="draft"):
        """The id of a new flow."""
        body = {"name": name, "status": status, "definition": definition}
        return self.server.call("POST", "/api/flows", body)["id"]

    def open(self, flow):
        """Go to the editor of the flow, by its id or of a new one with this definition."""
        self.flow = flow if isinstance(flow, str) else self.add(flow)
        self.page.goto(f"/flows/{self.flow}")
        self.is_open()
        return self

    def is_open(self):
        """Return when the canvas is there."""
        expect(self.canvas).to_be_visible()

    @property
    def stored(self):
        return self.server.call("GET", f"/api/workflows/{self.flow}")

    @property
    def definition(self):
        return json.loads(self.stored["definition_json"])

    def ids(self):
        """Those of the nodes, as the server has them."""
        return [node["id"] for node in self.definition["nodes"]]

    def wires(self):
        """The edges, as the server has them: `"a b"`, `"a b branch"`."""
        return sorted(" ".join(edge) if isinstance(edge, list) else _wire(edge) for edge in self.definition["edges"])

    def becomes(self, nodes=None, wires=None):
        """Return when the server has these nodes and edges, in any order: the editor saves by itself."""

        def holds():
            return (nodes is None or sorted(self.ids()) == sorted(nodes)) and (
                wires is None or self.wires() == sorted(wires)
            )

        # Playwright's own waiting lets the page go on meanwhile.
        until(lambda: self.page.wait_for_timeout(50) or holds(), f"the flow has {nodes or ''} {wires or ''}")

    def saved(self):
        """Return when the page says that the server has everything."""
        # Other notices speak of what was saved, too.
        expect(self.page.get_by_role("status").filter(has_text=re.compile("^Saved$"))).to_be_visible()

    # On the canvas

    def node(self, id_):
        return self.page.locator(f'.react-flow__node[data-id="{id_}"]')

    def handle(self, id_, way=None):
        """Where an edge leaves a node: by no branch, or by the one of this name."""
        return self.node(id_).locator(f'[data-handleid="by {way or ""}"]')

    def into(self, id_):
        return self.node(id_).locator('[data-handleid="into"]')

    def click(self, id_, **options):
        self.node(id_).click(position={"x": 70, "y": 12}, **options)

    def selected(self, *ids):
        """Return when these nodes are selected and no others."""
        expect(self.page.locator(".react-flow__node.selected")).to_have_count(len(ids))
        for id_ in ids:
            expect(self.node(id_)).to_have_class(has("selected"))

    def press(self, keys):
        """Keys for the canvas."""
        self.page.keyboard.press(keys)

    def drag(self, start, end, drop=True):
        """From one thing, or point, to another with the mouse; it stays pressed there without `drop`."""
        (x, y), (to_x, to_y) = map(self._still, (start, end))
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        # The first little way makes it a drag.
        mouse.move(x + 6, y + 3)
        mouse.move(to_x, to_y, steps=STEPS)
        # A hand never stops at once: on a busy machine, the page has seen the line begin only by now.
        self.page.evaluate(FRAMES)
        mouse.move(to_x + 1, to_y)
        if drop:
            mouse.up()

    def _still(self, place):
        """The middle of a thing, once the canvas has found its view."""
        return place if isinstance(place, tuple) else _middle(self.box(place))

    def box(self, place):
        """The box of a thing once it does not move any more."""
        before, box = None, place.bounding_box()
        while box is None or before != box:
            self.page.evaluate(FRAMES)
            before, box = box, place.bounding_box()
        return box

    def spot(self, x=0.5, y=0.5):
        """A point of the canvas, as parts of its width and height."""
        box = self.canvas.bounding_box()
        return box["x"] + box["width"] * x, box["y"] + box["height"] * y

    def ran(self, id_, outcome):
        """Return when the node is marked with what became of it in the run that is shown, or with nothing for None."""
        marked = self.node(id_).locator(f'[data-outcome="{outcome}"]' if outcome else "[data-outcome]")
        expect(marked).to_have_count(1 if outcome else 0)

    # Running

    @property
    def run_panel(self):
        """Below the canvas: the run that is shown."""
        return self.page.get_by_role("region", name="Run", exact=True)

    def run(self):
        self.page.get_by_role("button", name="Run", exact=True).click()

    def run_by(self, choice):
        """Run in one of the other ways, such as "Run with input…"."""
        self.page.get_by_role("button", name="More run options").click()
        self.page.get_by_role("menuitem", name=choice).click()

    def run_with(self, input):
        """Run with this input, given as JSON."""
        self.run_by("Run with input")
        dialog = self.page.get_by_role("dialog", name="Run with input")
        self.write(dialog.get_by_role("textbox", name="Input as JSON"), json.dumps(input))
        dialog.get_by_role("button", name="Run", exact=True).click()
        expect(dialog).to_be_hidden()

    def ended(self, words="Succeeded"):
        """Return when the run that is shown has ended so; gives it as the server has it, the newest of the flow."""
        expect(self.run_panel.get_by_text(words, exact=True)).to_be_visible()
        (newest,) = self.server.call("GET", f"/api/runs?workflow_id={self.flow}&limit=1")["items"]
        return self.server.call("GET", f"/api/runs/{newest['id']}")

    # Adding

    @property
    def palette(self):
        """The dialog that offers nodes."""
        return self.page.get_by_role("dialog", name="Add node")

    def pick(self, words):
        """Search in the dialog that offers nodes, and take the first that is found."""
        expect(self.palette).to_be_visible()
        self.palette.get_by_role("combobox", name="Search nodes").fill(words)
        expect(self.palette.get_by_role("option", selected=True)).to_be_visible()
        self.page.keyboard.press("Enter")
        expect(self.palette).to_be_hidden()

    # The panel

    def tab(self, name):
        self.panel.get_by_role("tab", name=name, exact=True).click()

    def field(self, label):
        """A field of the form of the selected node, whatever it is made of."""
        # One that is required has a star behind its label.
        return self.panel.get_by_label(re.compile(rf"^{re.escape(label)}( \*)?$")).and_(
            self.page.locator("input, textarea, [contenteditable=true]")
        )

    def type_in(self, label, text):
        """Replace what is in a field by this text, typed."""
        self.write(self.field(label), text)

    def write(self, field, text):
        """Replace what is in a field or an editor of code by this text."""
        field.click()
        self.page.keyboard.press("Control+A")
        # At once, as pasted: an editor of code closes brackets that are typed.
        self.page.keyboard.insert_text(text)


def has(name):
    """A pattern for a class attribute with this name in it."""
    return re.compile(rf"(^|\s){re.escape(name)}(\s|$)")


def _wire(edge):
    return " ".join(filter(None, (edge["from"], edge["to"], edge.get("branch"))))


def _middle(box):
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
