import { Text } from "@mantine/core";
import { useDocumentTitle, useMediaQuery } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { ReactFlowProvider } from "@xyflow/react";
import { Suspense, useEffect, useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import { ApiError } from "@/api/client";
import { useSession } from "@/app/session";
import { lazily } from "@/ui/lazily";
import { Loading, Refused } from "@/ui/states";
import { Canvas } from "./canvas/Canvas";
import { useChecking } from "./checking";
import { EditorProvider, useEditor } from "./context";
import classes from "./editor.module.css";
import { FindBar } from "./find/FindBar";
import { Header } from "./header/Header";
import { JsonPane } from "./JsonPane";
import { KeysDialog } from "./KeysDialog";
import { Problems } from "./Problems";
import { CurlDialog } from "./palette/CurlDialog";
import { Palette } from "./palette/Palette";
import { QuickPalette } from "./palette/QuickPalette";
import { SidePanel } from "./panel/SidePanel";
import { shownOf, useRunStore } from "./run/runStore";
import { Bars } from "./saving/Bars";
import { type Drafts, draftsOf, firstOf, pruneDrafts, readPinned, type Tabs } from "./saving/drafts";
import { LeftDrafts } from "./saving/LeftDrafts";
import { NoFlow } from "./saving/NoFlow";
import { remoteOf } from "./saving/remote";
import { openTabs, thisTab } from "./saving/tabs";
import { SaverProvider, useKeptPins, useNewSaver, useWatching } from "./saving/useSaving";
import { type EditorStore, makeStore, type ServerFlow } from "./store";
import { CLOSED, useUi } from "./ui";
import { useCatalogueIn } from "./useCatalogueIn";
import { useClipboard } from "./useClipboard";
import { useEditorCommands } from "./useEditorCommands";
import { useKeptFocus } from "./useKeptFocus";
import { useKeys } from "./useKeys";

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
  if (restored.kind !== "nothing")
    store.getState().replaceDefinition(restored.definition, "restore unsaved changes");
  if (restored.kind === "conflict") store.getState().setSaving({ kind: "conflict", theirs: flow });
  return store;
}

/** Effects for the open flow; renders nothing. */
function Watchers() {
  useChecking();
  useWatching();
  useKeptPins();
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
  const wide = useMediaQuery("(min-width: 1600px)") ?? false;
  return (
    <div className={classes.editor}>
      <Header />
      <Bars />
      {!readOnly && <LeftDrafts drafts={kept.drafts} known={kept.tabs.open !== null} />}
      {narrow && (
        <Text size="xs" c="var(--quiet)" px="md" py={4} bg="var(--card)">
          Read-only: use a wider screen to edit.
        </Text>
      )}
      <div className={classes.body}>
        {/* Beside the JSON there is room for the nodes on a wide screen only; `/` offers them anyway. */}
        {!narrow && !readOnly && (wide || !json) && <Palette />}
        <div className={classes.middle}>
          <Canvas />
          <Problems />
          <RunArea />
          <FindBar />
        </div>
        {!narrow && <JsonPane />}
        <SidePanel />
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

function useRestoredNotice(store: EditorStore): void {
  useEffect(() => {
    const { definition, saved, saving } = store.getState();
    if (definition === saved || saving.kind === "conflict") return;
    notifications.show({ message: "Your unsaved changes were restored. Use Undo to remove them." });
  }, [store]);
}

function OpenEditor({ flow, kept }: { flow: ServerFlow; kept: Kept }) {
  const { may } = useSession();
  const narrow = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false }) ?? false;
  const readOnly = narrow || !may("editor");
  const [store] = useState(() => opened(flow, kept, !may("editor")));
  useCatalogueIn(store);
  useRestoredNotice(store);
  useEffect(() => store.getState().setReadOnly(readOnly), [store, readOnly]);
  useEffect(() => useUi.getState().set(CLOSED), []);
  const saver = useNewSaver(store, kept.drafts);
  if (saver === null) return null;
  return (
    <EditorProvider store={store}>
      <SaverProvider value={saver}>
        <ReactFlowProvider>
          <Watchers />
          <Workbench narrow={narrow} kept={kept} />
        </ReactFlowProvider>
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

/** The editor of one flow. */
export default function Editor({ id }: { id: string }) {
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
    return <OpenEditor flow={first} kept={kept} />;
  if (problem instanceof ApiError && problem.status === 404 && kept !== null)
    return <NoFlow drafts={kept.drafts} />;
  if (problem !== null && problem !== undefined)
    return <Refused error={problem} onRetry={() => void refetch()} />;
  if (catalogueError) return <Refused error={catalogueError} onRetry={retry} />;
  return <Loading label="Opening the flow" fill />;
}
