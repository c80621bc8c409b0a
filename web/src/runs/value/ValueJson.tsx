/** A value as JSON. Loaded when it is first shown. */
import { ensureSyntaxTree, syntaxTree } from "@codemirror/language";
import { SearchCursor } from "@codemirror/search";
import { type Extension, Prec, type Range } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, keymap, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { useMemo } from "react";
import CodeMirror from "@/ui/code/CodeMirror";
import { type Path, type Picking, usePicking } from "./kinds";

// CodeMirror extensions of the JSON view: keys that can be picked, and marked matches of the search.

type SyntaxNode = ReturnType<typeof syntaxTree>["topNode"];

const VALUES = new Set(["Object", "Array", "String", "Number", "True", "False", "Null"]);

/** Return the path of the key at this position; undefined if there is none. */
function pathAt(view: EditorView, position: number): Path | undefined {
  let node: SyntaxNode | null = syntaxTree(view.state).resolveInner(position, 1);
  if (node.name !== "PropertyName") node = syntaxTree(view.state).resolveInner(position, -1);
  if (node.name !== "PropertyName") return undefined;
  const path: Path = [];
  for (let at: SyntaxNode | null = node; at !== null; at = at.parent) {
    if (at.name === "Property") {
      const key = at.getChild("PropertyName");
      if (key !== null) path.unshift(JSON.parse(view.state.sliceDoc(key.from, key.to)) as string);
    } else if (at.parent?.name === "Array") path.unshift(placeOf(at));
  }
  return path;
}

function placeOf(item: SyntaxNode): number {
  let place = 0;
  for (let before = item.prevSibling; before !== null; before = before.prevSibling) {
    if (VALUES.has(before.name)) place += 1;
  }
  return place;
}

const key = Decoration.mark({ class: "cm-pick", attributes: { draggable: "true" } });
const match = Decoration.mark({ class: "cm-searchMatch" });

/** Return a plugin that decorates the visible part of the document. */
function visible(decorate: (view: EditorView) => Range<Decoration>[]): Extension {
  return ViewPlugin.fromClass(
    class {
      decorations: DecorationSet;
      constructor(view: EditorView) {
        this.decorations = Decoration.set(decorate(view), true);
      }
      update(update: ViewUpdate) {
        const parsed = syntaxTree(update.startState) !== syntaxTree(update.state);
        if (update.docChanged || update.viewportChanged || parsed) {
          this.decorations = Decoration.set(decorate(update.view), true);
        }
      }
    },
    { decorations: (plugin) => plugin.decorations },
  );
}

function keysIn(view: EditorView): Range<Decoration>[] {
  const found: Range<Decoration>[] = [];
  const { from, to } = view.viewport;
  const tree = ensureSyntaxTree(view.state, to, 50) ?? syntaxTree(view.state);
  tree.iterate({
    from,
    to,
    enter: (node) => {
      if (node.name === "PropertyName") found.push(key.range(node.from, node.to));
    },
  });
  return found;
}

function isKey(target: EventTarget | null): target is HTMLElement {
  return target instanceof HTMLElement && target.closest(".cm-pick") !== null;
}

/** Keys can be dragged and clicked; Enter inserts the key at the cursor. */
function pickedKeys(picking: Picking): Extension {
  function pathOf(view: EditorView, target: HTMLElement) {
    return pathAt(view, view.posAtDOM(target) + 1);
  }
  return [
    visible(keysIn),
    Prec.high(
      keymap.of([
        {
          key: "Enter",
          run: (view) => {
            const path = pathAt(view, view.state.selection.main.head);
            if (path !== undefined) picking.insert(path);
            return path !== undefined;
          },
        },
      ]),
    ),
    EditorView.domEventHandlers({
      // Without the editor's own reaction, which selects text, the browser starts the drag.
      mousedown: (event) => isKey(event.target),
      dragstart: (event, view) => {
        if (!isKey(event.target)) return false;
        const path = pathOf(view, event.target);
        if (path !== undefined) picking.onDragStart(event, path);
        return true;
      },
      click: (event, view) => {
        if (!isKey(event.target)) return false;
        const path = pathOf(view, event.target);
        if (path !== undefined) picking.insert(path);
        return true;
      },
    }),
    EditorView.theme({
      ".cm-pick": { cursor: "grab", borderRadius: "3px" },
      ".cm-pick:hover": { background: "color-mix(in srgb, var(--running) 16%, transparent)" },
    }),
  ];
}

const lower = (text: string) => text.toLowerCase();

/** Mark the text everywhere, and scroll to its first place. */
function markedText(query: string): Extension {
  if (query === "") return [];
  const wanted = lower(query);
  function matchesIn(view: EditorView): Range<Decoration>[] {
    const { from, to } = view.viewport;
    const cursor = new SearchCursor(view.state.doc, wanted, from, to, lower);
    return [...{ [Symbol.iterator]: () => cursor }].map((one) => match.range(one.from, one.to));
  }
  const scroll = ViewPlugin.define((view) => {
    const first = new SearchCursor(view.state.doc, wanted, 0, undefined, lower).next();
    let left = false;
    // A view may not be changed while it is updated.
    if (!first.done) {
      const { from } = first.value;
      requestAnimationFrame(() => {
        if (!left) view.dispatch({ effects: EditorView.scrollIntoView(from, { y: "center" }) });
      });
    }
    return {
      destroy: () => {
        left = true;
      },
    };
  });
  return [visible(matchesIn), scroll];
}

interface ValueJsonProps {
  title: string;
  text: string;
  language: "json" | "text";
  query: string;
}

export default function ValueJson({ title, text, language, query }: ValueJsonProps) {
  const picking = usePicking();
  const extensions = useMemo(
    () => [picking === null || language !== "json" ? [] : pickedKeys(picking), markedText(query)],
    [picking, language, query],
  );
  return (
    <CodeMirror
      value={text}
      language={language}
      readOnly
      label={title}
      maxHeight="none"
      minHeight={0}
      extensions={extensions}
    />
  );
}
