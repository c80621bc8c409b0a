/** The menu of a right click, the menu key or a long press. */

import { Menu } from "@mantine/core";
import { useReactFlow } from "@xyflow/react";
import { Fragment, type RefObject, useCallback, useEffect, useRef } from "react";
import type { Position } from "@/definition/types";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { edgeKey } from "../changes";
import { useEditorStore } from "../context";
import type { EditorStore } from "../store";
import { useUi } from "../ui";
import { canvasPlace } from "../useKeptFocus";
import { isElsewhere, openSelected, pastedOf, wholeOf } from "../useKeys";

import { type Action, act, canvasActions } from "./canvasActions";

import { type Command, type Entry, entriesOf, type Target } from "./menu";

/** Return the target of the menu at an element of the canvas, after selecting it unless it is selected. */
function targetAt(element: Element, store: EditorStore, at: Position): Target {
  const { selected, select, definition } = store.getState();
  const id = element.closest<HTMLElement>(".react-flow__node")?.dataset.id;
  if (id !== undefined) {
    if (!selected.includes(id)) select([id]);
    return { kind: "selection" };
  }
  if (element.closest(".react-flow__nodesselection-rect") !== null) return { kind: "selection" };
  const key = element.closest<HTMLElement>(".react-flow__edge")?.dataset.id;
  const edge = definition.edges.find((one) => edgeKey(one) === key);
  if (edge === undefined) return { kind: "canvas", at };
  select([], [edgeKey(edge)]);
  return { kind: "edge", edge };
}

/** Return the target of the menu key: the selection, else the canvas. */
function targetOfKey(store: EditorStore, at: Position): Target {
  const { selected, selectedEdges, definition } = store.getState();
  const edge = definition.edges.find((one) => selectedEdges.includes(edgeKey(one)));
  if (selected.length > 0) return { kind: "selection" };
  return edge === undefined ? { kind: "canvas", at } : { kind: "edge", edge };
}

function placeOfKey(): Position {
  const chosen = document.querySelector(".react-flow__node.selected, .react-flow__edge.selected");
  const box = (chosen ?? document.querySelector(".react-flow"))?.getBoundingClientRect();
  if (box === undefined) return { x: 0, y: 0 };
  return { x: box.x + Math.min(box.width / 2, 80), y: box.y + Math.min(box.height / 2, 40) };
}

/** Open the menu on the events of the canvas. */
export function useContextMenu(place: RefObject<HTMLElement | null>): void {
  const store = useEditorStore();
  const { screenToFlowPosition } = useReactFlow();
  const open = useCallback(
    (screen: Position, target: (at: Position) => Target) => {
      const found = target(screenToFlowPosition(screen));
      if (entriesOf(store.getState(), found).length > 0) useUi.getState().set({ menu: { screen, target: found } });
    },
    [store, screenToFlowPosition],
  );
  useLongPress(place, (element, screen) => open(screen, (at) => targetAt(element, store, at)));

  useEffect(() => {
    const canvas = place.current;
    // The browser's own event of the menu key follows the key.
    let byKey = 0;
    function onContextMenu(event: MouseEvent) {
      if (isElsewhere(event.target) || !(event.target instanceof Element)) return;
      event.preventDefault();
      const { target: element } = event;
      if (event.timeStamp - byKey < 1_000) return;
      open({ x: event.clientX, y: event.clientY }, (at) => targetAt(element, store, at));
    }
    function onKeyDown(event: KeyboardEvent) {
      const isMenuKey = event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey);
      if (!isMenuKey || isElsewhere(event.target)) return;
      event.preventDefault();
      byKey = event.timeStamp;
      // Not within the event: it would reach the document, where it closes an open menu.
      window.setTimeout(() => open(placeOfKey(), (at) => targetOfKey(store, at)));
    }
    canvas?.addEventListener("contextmenu", onContextMenu);
    canvas?.addEventListener("keydown", onKeyDown);
    return () => {
      canvas?.removeEventListener("contextmenu", onContextMenu);
      canvas?.removeEventListener("keydown", onKeyDown);
    };
  }, [place, store, open]);
}

async function paste(store: EditorStore, at: Position): Promise<void> {
  try {
    const pasted = pastedOf(await navigator.clipboard.readText());
    if (pasted.kind === "nodes") store.getState().paste(await wholeOf(pasted.definition), at);
    else if (pasted.kind === "curl")
      useUi.getState().set({ curl: { where: { position: at }, command: pasted.command } });
    else notify.hint("The clipboard contains neither nodes nor a cURL command.");
  } catch {
    notify.hint("The browser does not let this page read the clipboard: press Ctrl+V instead.");
  }
}

const BY_KEY: ReadonlySet<Command> = new Set<Action>(["rename", "disable", "pin", "group", "ungroup", "fold", "tidy"]);

function perform(command: Command, store: EditorStore, target: Target, screen: Position): void {
  const state = store.getState();
  const at = target.kind === "canvas" ? target.at : { x: 0, y: 0 };
  if (BY_KEY.has(command)) act(command as Action, store);
  else if (command === "open" || command === "write") openSelected(store);
  else if (command === "run") state.run?.(state.selected[0]);
  // The browser's own event, which `useClipboard` answers, needs no permission.
  else if (command === "copy" || command === "cut") document.execCommand(command);
  else if (command === "paste") void paste(store, at);
  else if (command === "duplicate") state.duplicate(state.selected);
  else if (command === "delete" || command === "disconnect") state.removeSelected();
  else if (command === "insert" && target.kind === "edge")
    useUi.getState().set({ quick: { screen, where: { on: target.edge } } });
  else if (command === "add") useUi.getState().set({ quick: { screen, where: { position: at } } });
  else if (command === "note") act("note", store, at);
  else if (command === "select all") state.selectAll();
  else if (command === "fit") canvasActions.current?.zoomToFit();
}

export function ContextMenu() {
  const store = useEditorStore();
  const menu = useUi((ui) => ui.menu);
  const close = () => useUi.getState().set({ menu: null });
  if (menu === null) return null;
  const { screen, target } = menu;
  const sections = entriesOf(store.getState(), target);

  function choose(entry: Entry) {
    close();
    // Most commands work where the focus is.
    canvasPlace()?.focus({ preventScroll: true });
    perform(entry.command, store, target, screen);
  }
  return (
    <Menu
      key={`${screen.x} ${screen.y}`}
      opened
      onClose={() => {
        close();
        canvasPlace()?.focus({ preventScroll: true });
      }}
      position="right-start"
      offset={2}
      shadow="md"
      width={250}
      transitionProps={{ duration: 0 }}
      returnFocus={false}
    >
      <Menu.Target>
        <div style={{ position: "fixed", left: screen.x, top: screen.y, width: 1, height: 1 }} />
      </Menu.Target>
      <Menu.Dropdown aria-label="Actions" aria-labelledby={undefined} onContextMenu={(event) => event.preventDefault()}>
        {sections.map((entries, at) => (
          <Fragment key={entries[0]?.command}>
            {at > 0 && <Menu.Divider />}
            {entries.map((entry) => (
              <Menu.Item
                key={entry.command}
                color={entry.isDangerous ? "red" : undefined}
                rightSection={
                  entry.keys && (
                    <Quiet size="xs" aria-hidden>
                      {entry.keys}
                    </Quiet>
                  )
                }
                onClick={() => choose(entry)}
              >
                {entry.label}
              </Menu.Item>
            ))}
          </Fragment>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

const LONG_MS = 500;
/** A finger is never quite still. */
const SLACK = 10;

/** Call the function when a finger stays on an element: not every browser has a context menu for touch. */
function useLongPress(
  place: RefObject<HTMLElement | null>,
  onPress: (element: Element, screen: Position) => void,
): void {
  const latest = useRef(onPress);
  useEffect(() => {
    latest.current = onPress;
  });
  useEffect(() => {
    const canvas = place.current;
    let timer: number | undefined;
    let from: Position = { x: 0, y: 0 };
    const cancel = () => window.clearTimeout(timer);

    function onDown(event: PointerEvent) {
      cancel();
      const { target, clientX: x, clientY: y } = event;
      // A second finger zooms.
      if (event.pointerType !== "touch" || !event.isPrimary || !(target instanceof Element)) return;
      from = { x, y };
      timer = window.setTimeout(() => latest.current(target, { x, y }), LONG_MS);
    }
    function onMove(event: PointerEvent) {
      if (Math.hypot(event.clientX - from.x, event.clientY - from.y) > SLACK) cancel();
    }
    canvas?.addEventListener("pointerdown", onDown, true);
    canvas?.addEventListener("pointermove", onMove, true);
    for (const end of ["pointerup", "pointercancel"] as const) canvas?.addEventListener(end, cancel, true);
    return () => {
      cancel();
      canvas?.removeEventListener("pointerdown", onDown, true);
      canvas?.removeEventListener("pointermove", onMove, true);
      for (const end of ["pointerup", "pointercancel"] as const) canvas?.removeEventListener(end, cancel, true);
    };
  }, [place]);
}
