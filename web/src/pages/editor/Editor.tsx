import { Button, Group, Modal, Text } from "@mantine/core";
import { useDocumentTitle, useMediaQuery } from "@mantine/hooks";
import { IconX } from "@tabler/icons-react";
import { useQueries, useQuery } from "@tanstack/react-query";
import { ReactFlowProvider } from "@xyflow/react";
import { Suspense, useEffect, useMemo, useState } from "react";
import { useLocation } from "wouter";
import { useStore } from "zustand";
import { type Catalogue, useCatalogue } from "@/api/catalogue";
import { ApiError, server } from "@/api/client";
import { type Connector, connectorQuery } from "@/api/connectors";
import { whenCredentialsChange } from "@/api/credentials";
import { isPassing } from "@/api/queries";
import { PALETTE_KEY } from "@/app/commands/commands";
import { useSession } from "@/app/session";
import type { Definition } from "@/definition/types";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { IconButton } from "@/ui/IconButton";
import { type Keys, KeysTable } from "@/ui/KeysTable";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import { DocsLink } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, Loading, LoadingRows, Refused } from "@/ui/states";
import { Canvas } from "./canvas/Canvas";
import { EditorProvider, useEditor, useEditorStore } from "./context";
import classes from "./editor.module.css";
import { FindBar } from "./find/FindBar";
import { Header } from "./header/Header";
import { Problems } from "./Problems";
import { CurlDialog } from "./palette/CurlDialog";
import { Palette, QuickPalette } from "./palette/Palette";
import panel from "./panel/panel.module.css";
import { Resizer, SidePanel } from "./panel/SidePanel";
import { checkOf } from "./problems";
import { shownOf, useRunStore } from "./run/runStore";
import { Bars, LeftDrafts } from "./saving/Bars";
import { type Draft, type Drafts, draftsOf, firstOf, pruneDrafts, readPinned, type Tabs } from "./saving/drafts";
import { remoteOf, saveAsNew } from "./saving/remote";
import { SaverProvider, useKeptPins, useNewSaver, useWatching } from "./saving/useSaving";
import { type EditorStore, makeStore, type ServerFlow } from "./store";
import { CLOSED, ROOM_FOR_LIST, useUi } from "./ui";
import { useEditorCommands } from "./useEditorCommands";
import { useKeptFocus } from "./useKeptFocus";
import { useClipboard, useKeys } from "./useKeys";

const JsonText = lazily(() => import("./JsonText"));
const Guide = lazily(() => import("./setup/Guide").then((part) => ({ default: part.Guide })));

/** The definition as JSON beside the canvas. A change of either updates the other. */
function JsonPane() {
  const open = useUi((ui) => ui.json);
  const width = useUi((ui) => ui.jsonWidth);
  const { set, keep } = useUi.getState();
  if (!open) return null;
  return (
    <section className={panel.panel} style={{ width }} aria-label="Flow as JSON">
      <Resizer label="Width of the JSON panel" size={width} onResize={(jsonWidth) => keep({ jsonWidth })} />
      <Group justify="space-between" px="sm" py={6}>
        <Group gap="sm">
          <Text fw={600}>JSON</Text>
          <DocsLink page="definition" label="Documentation of the format">
            Documentation
          </DocsLink>
        </Group>
        <IconButton label="Hide JSON" tip icon={IconX} data-next="[data-json]" onClick={() => set({ json: false })} />
      </Group>
      <Suspense fallback={<Loading label="Opening JSON" />}>
        <JsonText />
      </Suspense>
    </section>
  );
}

// Keep the store's catalog: with the settings of the operations that the flow's connectors call.

/** Return the catalog in which a connector's node has the schema of its operation, where the connector is loaded. */
function withConnectors(catalogue: Catalogue, connectors: readonly Connector[]): Catalogue {
  if (connectors.length === 0) return catalogue;
  const byType = new Map(connectors.map((one) => [one.type, one]));
  return {
    ...catalogue,
    schemaOf: (node) => {
      const operations = byType.get(node.type)?.operations ?? [];
      const found = operations.find((one) => one.id === node.config?.operation)?.config_schema;
      return (found as Record<string, unknown> | undefined) ?? catalogue.schemaOf(node);
    },
  };
}

function loadedOf(results: { data: Connector | undefined }[]): Connector[] {
  return results.flatMap(({ data }) => (data === undefined ? [] : [data]));
}

function useCatalogueIn(store: EditorStore): void {
  const { catalogue } = useCatalogue();
  // A text, so that a change of the definition that adds no service renders nothing.
  const used = useStore(store, ({ definition: { nodes } }) =>
    [...new Set(nodes.map((node) => node.type))].filter((type) => catalogue?.find(type)?.operations).join(" "),
  );
  const types = useMemo(() => used.split(" ").filter(Boolean), [used]);
  const connectors = useQueries({ queries: types.map(connectorQuery), combine: loadedOf });
  useEffect(() => {
    if (catalogue !== undefined) store.getState().setCatalogue(withConnectors(catalogue, connectors));
  }, [store, catalogue, connectors]);
}

const KEYS: Keys = [
  [PALETTE_KEY, "Search nodes, flows, runs, pages and actions"],
  ["Ctrl + F", "Find a text in the flow; Enter and Shift + Enter go to the next and previous match"],
  ["Arrows", "Go to the previous, next, upper or lower node"],
  ["Enter", "Open the node"],
  ["/ or Tab or double click", "Add a node"],
  ["F2", "Rename the node or group; write the note"],
  ["Menu key or Shift + F10, right click, long press", "Open the menu of the selection"],
  ["D", "Disable or enable the selected nodes"],
  ["P", "Pin the output of the node, or unpin it"],
  ["N", "Add a note"],
  ["G, Shift + G", "Group the selected nodes; ungroup"],
  ["F", "Fold or unfold the group"],
  ["T", "Tidy up"],
  ["Delete", "Delete the selection"],
  ["Alt + arrows", "Move the selected nodes"],
  ["Shift + drag", "Select with a box"],
  ["Shift or Ctrl + click", "Add to the selection"],
  ["Space + drag, middle button", "Move the canvas"],
  ["Ctrl + wheel, pinch", "Zoom"],
  ["Ctrl + A", "Select all"],
  ["Ctrl + C, X, V", "Copy, cut, paste (also between flows, and cURL commands)"],
  ["Ctrl + D", "Duplicate"],
  ["Ctrl + Z, Ctrl + Shift + Z", "Undo, redo"],
  ["Ctrl + S", "Publish the draft; save a version of an inactive flow"],
  ["Ctrl + Enter", "Run, also from a field; in a dialog: send its form; in the full screen of code: run its node"],
  ["Ctrl + Shift + Enter", "Run only the selected node"],
  ["Alt + Enter", "In an expression: edit it in full screen"],
  ["Escape", "Leave a field; on the canvas: clear the selection"],
  ["?", "Show keyboard shortcuts"],
];

function KeysDialog() {
  const open = useUi((ui) => ui.keys);
  return (
    <Modal opened={open} onClose={() => useUi.getState().set({ keys: false })} title="Keyboard shortcuts" size="lg">
      <KeysTable keys={KEYS} />
    </Modal>
  );
}

/** Shown in place of a deleted flow. Its unsaved changes can be saved as a new flow. */
function NoFlow({ drafts }: { drafts: Drafts }) {
  const { may } = useSession();
  const [, go] = useLocation();
  const [draft, setDraft] = useState<Draft | undefined>(() => drafts.read() ?? drafts.left()[0]);
  const [asking, setAsking] = useState(false);
  const hint = "It was deleted, or it belongs to another workspace.";
  if (draft === undefined || !may("editor")) return <Empty title="Flow not found" hint={hint} />;

  async function asNew(kept: Draft) {
    try {
      const id = await saveAsNew("Unsaved changes", kept.definition);
      forget();
      go(`/flows/${id}`);
    } catch (error) {
      notify.refused("The flow could not be created", error);
    }
  }
  function forget() {
    drafts.clear();
    for (const one of drafts.left()) drafts.drop(one);
    setDraft(undefined);
  }
  return (
    <>
      <Empty
        title="Flow not found"
        hint={`${hint} Your unsaved changes are still on this device.`}
        action={
          <>
            <Button onClick={() => void asNew(draft)}>Save as new flow</Button>
            <Button variant="default" onClick={() => setAsking(true)}>
              Discard
            </Button>
          </>
        }
      />
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Discard unsaved changes?"
        action="Discard"
        danger
        onConfirm={forget}
      >
        Your unsaved changes are lost. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}

/** Identify this tab and the open tabs: each keeps its unsaved changes separately. */
const KEPT = "headrace.tab";
const PREFIX = "headrace.tab.";

function newName(): string {
  return [...crypto.getRandomValues(new Uint32Array(2))].map((part) => part.toString(36)).join("");
}

/**
 * This tab's name, which survives a reload. It is in the session storage only between two pages: a duplicated tab
 * copies the storage and would get the same name.
 */
function named(): string {
  const name = sessionStorage.getItem(KEPT) ?? newName();
  const take = () => sessionStorage.removeItem(KEPT);
  take();
  window.addEventListener("pagehide", () => sessionStorage.setItem(KEPT, name));
  window.addEventListener("pageshow", take);
  // Held while the page exists, however it ends.
  void navigator.locks?.request(PREFIX + name, () => new Promise<never>(() => {}))?.catch(() => {});
  return name;
}

let name: string | undefined;

function thisTab(): string {
  name ??= named();
  return name;
}

/** Return the names of the open tabs; null if the browser does not support it, which requires a secure connection. */
async function openTabs(): Promise<ReadonlySet<string> | null> {
  if (navigator.locks === undefined) return null;
  const { held = [] } = await navigator.locks.query();
  const names = held.map((lock) => lock.name ?? "").filter((one) => one.startsWith(PREFIX));
  return new Set(names.map((one) => one.slice(PREFIX.length)));
}

// Validate the definition shortly after each change. A late response is ignored.

const QUIET = 300;
const AGAIN = 3_000;

async function ask(store: EditorStore, definition: Definition, signal: AbortSignal): Promise<void> {
  const { data } = await server.POST("/api/workflows/validate", {
    body: { definition: definition as unknown as Record<string, never> },
    signal,
  });
  if (data === undefined || signal.aborted || store.getState().definition !== definition) return;
  store.getState().setCheck(checkOf(definition, data.issues, data.nodes, store.getState().catalogue));
}

/** Keep the store's `check` up to date with its definition. */
function startChecking(store: EditorStore): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = new AbortController();

  function plan(wait: number): void {
    clearTimeout(timer);
    running.abort();
    timer = setTimeout(() => {
      running = new AbortController();
      ask(store, store.getState().definition, running.signal).catch((error: unknown) => {
        // A refused request is reported when saving; an unreachable server is asked again.
        if (isPassing(error)) plan(AGAIN);
      });
    }, wait);
  }

  plan(0);
  const stop = store.subscribe((state, before) => {
    if (state.definition !== before.definition) plan(QUIET);
    // The titles of settings come from it.
    else if (state.catalogue !== before.catalogue && state.check !== null && state.check.problems.length > 0) plan(0);
  });
  // A credential may be missing, or its account not connected.
  const ignore = whenCredentialsChange(() => plan(QUIET));
  return () => {
    stop();
    ignore();
    clearTimeout(timer);
    running.abort();
  };
}

function useChecking(): void {
  const store = useEditorStore();
  useEffect(() => startChecking(store), [store]);
}

const RunPanel = lazily(() => import("./run/RunPanel").then((part) => ({ default: part.RunPanel })));

/** The drafts and pins that this browser keeps for the user. */
interface Kept {
  userId: string;
  tabs: Tabs;
  drafts: Drafts;
}

/** Create the store: the server's version of the flow, with this user's unsaved changes on top. */
function opened(flow: ServerFlow, { userId, drafts, tabs }: Kept, readOnly: boolean): EditorStore {
  const store = makeStore(flow, readPinned(userId, flow.id));
  if (readOnly) return store;
  const restored = firstOf(drafts, tabs, flow);
  if (restored.kind !== "nothing") store.getState().replaceDefinition(restored.definition, "restore unsaved changes");
  if (restored.kind === "conflict") store.getState().setSaving({ kind: "conflict", theirs: flow });
  return store;
}

/** Effects for the open flow; renders nothing. */
function Watchers() {
  useChecking();
  useWatching();
  useKeptPins();
  return null;
}

/** Effects of the canvas; renders nothing. */
function CanvasWatchers() {
  useKeys();
  useClipboard();
  useKeptFocus();
  useEditorCommands();
  return null;
}

function Workbench({ narrow, kept }: { narrow: boolean; kept: Kept }) {
  const name = useEditor((state) => state.flow.name);
  useDocumentTitle(`${name} · Headrace`);
  const readOnly = useEditor((state) => state.readOnly);
  const json = useUi((ui) => ui.json);
  const docked = useUi((ui) => ui.docked) && !narrow;
  const wide = useMediaQuery("(min-width: 1600px)") ?? false;
  return (
    <div className={classes.editor}>
      <CanvasWatchers />
      <Header />
      <Bars />
      {!readOnly && <LeftDrafts drafts={kept.drafts} known={kept.tabs.open !== null} />}
      {narrow && (
        <Quiet size="xs" px="md" py={4} bg="var(--card)">
          Read-only: use a wider screen to edit.
        </Quiet>
      )}
      <div className={classes.body}>
        {/* Beside the JSON there is room for the nodes on a wide screen only; `/` offers them anyway. */}
        {!narrow && !readOnly && (wide || !json) && <Palette />}
        <div className={classes.middle}>
          <Canvas />
          <Problems />
          <RunArea />
          <FindBar />
          {docked && <SidePanel docked />}
        </div>
        {!narrow && <JsonPane />}
        {!docked && <SidePanel docked={false} />}
      </div>
      <QuickPalette />
      <CurlDialog />
      <KeysDialog />
    </div>
  );
}

/** The panel of the run, which is loaded with the first run. */
function RunArea() {
  const flowId = useEditor((state) => state.flow.id);
  const isWanted = useRunStore((known) => {
    const { runId, starting, refusal, listening } = shownOf(known, flowId);
    return runId !== null || starting || refusal !== null || listening !== null;
  });
  return (
    isWanted && (
      <Suspense fallback={null}>
        <RunPanel />
      </Suspense>
    )
  );
}

function useRestoredNotice(store: EditorStore, isShown: boolean): void {
  useEffect(() => {
    const { definition, saved, saving } = store.getState();
    if (definition === saved || saving.kind === "conflict") return;
    if (isShown) notify.hint("Your unsaved changes were restored. Use Undo to remove them.");
  }, [store, isShown]);
}

interface OpenProps {
  flow: ServerFlow;
  kept: Kept;
  guided: boolean;
}

function OpenEditor({ flow, kept, guided }: OpenProps) {
  const { may } = useSession();
  const narrow = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false }) ?? false;
  const readOnly = (narrow && !guided) || !may("editor");
  const [store] = useState(() => opened(flow, kept, !may("editor")));
  useCatalogueIn(store);
  useRestoredNotice(store, !guided);
  useEffect(() => store.getState().setReadOnly(readOnly), [store, readOnly]);
  useEffect(() => {
    const isNew = !readOnly && window.innerWidth >= ROOM_FOR_LIST && store.getState().definition.nodes.length === 0;
    useUi.getState().set({ ...CLOSED, isNew });
  }, [store, readOnly]);
  const saver = useNewSaver(store, kept.drafts);
  if (saver === null) return null;
  return (
    <EditorProvider store={store}>
      <SaverProvider value={saver}>
        <Watchers />
        {guided ? (
          <Suspense fallback={<LoadingRows />}>
            <Guide />
          </Suspense>
        ) : (
          <ReactFlowProvider>
            <Workbench narrow={narrow} kept={kept} />
          </ReactFlowProvider>
        )}
      </SaverProvider>
    </EditorProvider>
  );
}

/** The kept drafts of a flow, once the open tabs are known. */
function useKept(flowId: string): Kept | null {
  const { user } = useSession();
  const [kept, setKept] = useState<Kept | null>(null);
  useEffect(() => {
    let left = false;
    void openTabs()
      .catch(() => null)
      .then((open) => {
        if (left) return;
        const tabs = { own: thisTab(), open };
        pruneDrafts(tabs);
        setKept({ userId: user.id, tabs, drafts: draftsOf(user.id, flowId, tabs) });
      });
    return () => {
      left = true;
    };
  }, [user.id, flowId]);
  return kept;
}

/** The editor of one flow; `guided`: its set-up, step by step and without the canvas. */
export default function Editor({ id, guided = false }: { id: string; guided?: boolean }) {
  const kept = useKept(id);
  const { may } = useSession();
  const mayEdit = may("editor");
  // Fetch the current state from the server, not a cached one.
  const { data, error, refetch, isFetchedAfterMount } = useQuery({
    queryKey: ["edited flow", id, mayEdit],
    queryFn: () => remoteOf(id, mayEdit).read(),
    staleTime: 0,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
  const { catalogue, error: catalogueError, retry } = useCatalogue();
  const problem: unknown = error;
  const [first, setFirst] = useState<ServerFlow | null>(null);
  useEffect(() => {
    if (first === null && data !== undefined && isFetchedAfterMount) setFirst(data);
  }, [data, first, isFetchedAfterMount]);

  if (first !== null && catalogue !== undefined && kept !== null)
    return <OpenEditor flow={first} kept={kept} guided={guided} />;
  if (problem instanceof ApiError && problem.status === 404 && kept !== null) return <NoFlow drafts={kept.drafts} />;
  if (problem !== null && problem !== undefined) return <Refused error={problem} onRetry={() => void refetch()} />;
  if (catalogueError) return <Refused error={catalogueError} onRetry={retry} />;
  return <Loading label="Opening the flow" fill />;
}
