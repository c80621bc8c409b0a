"""A page object for the flow editor: its nodes and edges, and the actions of a user."""

import json
import re
from contextlib import contextmanager

from playwright.sync_api import expect
from servers import until

STEPS = 8  # intermediate pointer positions of a drag, which the canvas needs

# Wait for ten frames, so that an unfinished animation becomes visible as movement.
FRAMES = """async () => { for (let n = 0; n < 10; n++) await new Promise(requestAnimationFrame) }"""


class Editor:
    """The editor in `page`. `definition` is that of the draft of the open flow on the server, or of its version."""

    def __init__(self, page, server):
        self.page, self.server, self.flow = page, server, None
        self.canvas = page.locator(".react-flow[aria-label^='The flow']")
        self.nodes, self.edges = page.locator(".react-flow__node"), page.locator(".react-flow__edge")
        self.panel = page.get_by_role("complementary", name="Details")

    # Flows

    def add(self, definition, name="Flow", status="draft"):
        """Add a flow and return its id."""
        body = {"name": name, "status": status, "definition": definition}
        return self.server.call("POST", "/api/flows", body)["id"]

    def open(self, flow):
        """Open the editor with the flow of this id, or with a new flow of this definition."""
        self.flow = flow if isinstance(flow, str) else self.add(flow)
        self.page.goto(f"/flows/{self.flow}")
        self.is_open()
        return self

    def is_open(self):
        """Wait until the canvas is visible."""
        expect(self.canvas).to_be_visible()

    @property
    def stored(self):
        return self.server.call("GET", f"/api/workflows/{self.flow}")

    @property
    def draft(self):
        """Return the draft on the server; without one, its `definition_json` is null."""
        return self.server.call("GET", f"/api/workflows/{self.flow}/draft")

    @property
    def definition(self):
        return json.loads(self.draft["definition_json"] or self.stored["definition_json"])

    @property
    def published(self):
        """Return the definition of the current version."""
        return json.loads(self.stored["definition_json"])

    def ids(self):
        """Return the stored node ids."""
        return [node["id"] for node in self.definition["nodes"]]

    def wires(self):
        """Return the stored edges: `"a b"`, `"a b branch"`."""
        return sorted(" ".join(edge) if isinstance(edge, list) else _wire(edge) for edge in self.definition["edges"])

    def becomes(self, nodes=None, wires=None):
        """Wait until these nodes and edges, in any order, are saved automatically."""

        def holds():
            return (nodes is None or sorted(self.ids()) == sorted(nodes)) and (
                wires is None or self.wires() == sorted(wires)
            )

        # The page's events are processed only during Playwright's own wait.
        until(lambda: self.page.wait_for_timeout(50) or holds(), f"the flow has {nodes or ''} {wires or ''}")

    def saved(self):
        """Wait until the page says that all changes are saved, as a version or as a draft."""
        # Other notices contain the word "saved", too.
        expect(self.page.get_by_role("status").filter(has_text=re.compile("^(Saved|Draft saved)$"))).to_be_visible()

    def refuse_saves(self):
        """Abort the requests that save the draft; return the function that lets them pass again."""
        address = re.compile(r"/api/workflows/[^/]+/draft$")
        target = self.page.context
        target.route(address, lambda route: route.abort() if route.request.method == "PUT" else route.continue_())
        return lambda: target.unroute(address)

    # On the canvas

    def node(self, id_):
        return self.page.locator(f'.react-flow__node[data-id="{id_}"]')

    def handle(self, id_, way=None):
        """Return the output handle of a node: the unnamed one, or the one of the branch `way`."""
        return self.node(id_).locator(f'[data-handleid="by {way or ""}"]')

    def into(self, id_):
        return self.node(id_).locator('[data-handleid="into"]')

    def click(self, id_, **options):
        """Click a node. If it is out of view, show the whole flow first."""
        box, canvas = self.node(id_).bounding_box(), self.canvas.bounding_box()
        if box is not None and not 0 <= box["x"] - canvas["x"] <= canvas["width"] - box["width"]:
            self.page.get_by_role("button", name="Zoom to fit").click()
            self.box(self.node(id_))
        self.node(id_).click(position={"x": 70, "y": 12}, **options)

    def selected(self, *ids):
        """Wait until exactly these nodes are selected."""
        expect(self.page.locator(".react-flow__node.selected")).to_have_count(len(ids))
        for id_ in ids:
            expect(self.node(id_)).to_have_class(has_class("selected"))

    def press(self, keys):
        """Press keys."""
        self.page.keyboard.press(keys)

    def drag(self, start, end, drop=True):
        """Drag from one element or point to another; without `drop` the mouse button stays pressed."""
        (x, y), (to_x, to_y) = map(self._still, (start, end))
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        # A drag starts only after a small movement.
        mouse.move(x + 6, y + 3)
        mouse.move(to_x, to_y, steps=STEPS)
        # Move once more after some frames: on a busy machine the page has only now started to draw the line.
        self.page.evaluate(FRAMES)
        mouse.move(to_x + 1, to_y)
        if drop:
            mouse.up()

    def _still(self, place):
        """Return the center of an element that no longer moves, or the point itself."""
        return place if isinstance(place, tuple) else _middle(self.box(place))

    def box(self, place):
        """Return the bounding box of an element once it no longer moves."""
        before, box = None, place.bounding_box()
        while box is None or before != box:
            self.page.evaluate(FRAMES)
            before, box = box, place.bounding_box()
        return box

    def spot(self, x=0.5, y=0.5):
        """Return a point of the canvas, given as fractions of its width and height."""
        box = self.canvas.bounding_box()
        return box["x"] + box["width"] * x, box["y"] + box["height"] * y

    def ran(self, id_, outcome):
        """Wait until the node shows this outcome of the displayed run, or no outcome for None."""
        marked = self.node(id_).locator(f'[data-outcome="{outcome}"]' if outcome else "[data-outcome]")
        expect(marked).to_have_count(1 if outcome else 0)

    # Running

    @property
    def run_panel(self):
        """Return the panel below the canvas with the displayed run."""
        return self.page.get_by_role("region", name="Run", exact=True)

    def run(self):
        self.page.get_by_role("button", name="Run", exact=True).click()

    def run_by(self, choice):
        """Run with an entry of the menu, such as "Run with input…"."""
        self.page.get_by_role("button", name="More run options").click()
        self.page.get_by_role("menuitem", name=choice).click()

    def run_with(self, input):
        """Run with this input, given as JSON."""
        self.run_by("Run with input")
        dialog = self.page.get_by_role("dialog", name="Run with input")
        self.write(dialog.get_by_role("textbox", name="Input as JSON"), json.dumps(input))
        # Does what the button does, and adds no line to the JSON.
        self.press("Control+Enter")
        expect(dialog).to_be_hidden()

    def ended(self, words="Succeeded"):
        """Wait until the displayed run shows this status. Return the newest run of the flow."""
        expect(self.run_panel.get_by_text(words, exact=True)).to_be_visible()
        (newest,) = self.server.call("GET", f"/api/runs?workflow_id={self.flow}&limit=1")["items"]
        return self.server.call("GET", f"/api/runs/{newest['id']}")

    # Adding

    @property
    def palette(self):
        """Return the dialog for adding nodes."""
        return self.page.get_by_role("dialog", name="Add node")

    def pick(self, words):
        """Search in the dialog for adding nodes, and choose the first result."""
        expect(self.palette).to_be_visible()
        self.palette.get_by_role("combobox", name="Search nodes").fill(words)
        expect(self.palette.get_by_role("option", selected=True)).to_be_visible()
        self.page.keyboard.press("Enter")
        expect(self.palette).to_be_hidden()

    # The panel

    def tab(self, name):
        self.panel.get_by_role("tab", name=name, exact=True).click()

    def field(self, label):
        """Return a field in the form of the selected node: an input or a code editor."""
        # The label of a required field ends with a star.
        return self.panel.get_by_label(re.compile(rf"^{re.escape(label)}( \*)?$")).and_(
            self.page.locator("input, textarea, [contenteditable=true]")
        )

    def type_in(self, label, text):
        """Replace the content of the field with this label."""
        self.write(self.field(label), text)

    def write(self, field, text):
        """Replace the content of a field or a code editor."""
        field.click()
        self.page.keyboard.press("Control+A")
        # Insert the whole text, like a paste: a code editor adds closing brackets to typed text.
        self.page.keyboard.insert_text(text)


# Clicks with the mouse, and the first change of each field that is typed into.
NOTED = """
addEventListener("click", ({ target, detail }) => {
  const hit = target.closest("button, a, label") ?? target;
  if (detail > 0) note("click", hit.ariaLabel ?? hit.innerText);
}, true);
addEventListener("input", ({ target }) => {
  if (target === window.typed || target.type === "checkbox") return;
  window.typed = target;
  note("entry", target.ariaLabel ?? "");
}, true);
"""


@contextmanager
def counting(context):
    """Yield lists of the clicks and of the text entries in the pages of this context, each with words of its target."""
    counted = {"click": [], "entry": []}
    context.expose_binding("note", lambda source, kind, words: counted[kind].append(words.strip() or "?"))
    context.add_init_script(NOTED)
    for page in context.pages:
        page.evaluate(NOTED)
    yield counted["click"], counted["entry"]


def has_class(name):
    """Return a pattern for a class attribute that contains this name."""
    return re.compile(rf"(^|\s){re.escape(name)}(\s|$)")


def _wire(edge):
    return " ".join(filter(None, (edge["from"], edge["to"], edge.get("branch"))))


def _middle(box):
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
