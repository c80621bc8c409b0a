import {
  Alert,
  Box,
  Button,
  Code,
  Group,
  List,
  Stack,
  Tabs,
  Text,
  Textarea,
  TextInput,
  Tooltip,
  UnstyledButton,
} from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconCopyPlus, IconPencil, IconTrash } from "@tabler/icons-react";
import { type ReactNode, Suspense, useEffect, useMemo, useRef, useState } from "react";
import type { NodeType } from "@/api/catalogue";
import type { FlowNode, Json } from "@/definition/types";
import type { NodeFormProps, NodeRun } from "@/forms/context";
import { Words } from "@/forms/fields/FieldFrame";
import { nameOf } from "@/graph/nameOf";
import { Disclosure } from "@/ui/Disclosure";
import { IconButton } from "@/ui/IconButton";
import { lazily } from "@/ui/lazily";
import { NodeIcon } from "@/ui/NodeIcon";
import { DocsLink } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Loading, LoadingRows, messageOf } from "@/ui/states";
import { idRefusal } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { markField } from "../find/hits";
import { inWords, type Problem } from "../problems";
import { RunNodeButton } from "../run/RunNodeButton";
import { OUTPUT, shownOf, useRunStore } from "../run/runStore";
import { useEditorRun } from "../run/useEditorRun";
import { type NodeData, useNodeData } from "../run/useNodeData";
import { SETTINGS } from "../store";
import { LARGE, useUi } from "../ui";
import { canvasPlace } from "../useKeptFocus";
import { JsonField } from "./JsonField";
import { Neighbours } from "./Neighbours";
import { NodeOptions } from "./NodeOptions";
import classes from "./panel.module.css";
import { respondingByNode, unsentBy } from "./starts";

/** Says that a webhook does not send the response of this node, with a button to correct it. */
function UnsentHint({ node }: { node: FlowNode }) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const readOnly = useEditor((state) => state.readOnly);
  const unsent = useMemo(() => unsentBy(definition, catalogue, node), [definition, catalogue, node]);
  if (unsent.length === 0) return null;
  return (
    <Alert color="yellow" variant="light" mx="md" mb="xs" p="xs" role="status">
      {unsent.map((one) => (
        <Stack key={one.node.id} gap={6} align="flex-start">
          <Text size="sm">
            The response of this node is not sent: {one.title} of “{one.name}” is “{one.now}”.
          </Text>
          {!readOnly && (
            <Button
              size="compact-xs"
              variant="default"
              data-next="[data-panel] [role=tabpanel] :is(input, .cm-content)"
              onClick={() => store.getState().setConfig(one.node.id, respondingByNode(one))}
            >
              Respond by this node
            </Button>
          )}
        </Stack>
      ))}
    </Alert>
  );
}

const Addresses = lazily(() => import("./Addresses"));

// The documentation of a node type, from the catalog: loaded when it is opened, and there without internet.

const NodeDocsBody = lazily(() => import("./NodeDocsBody"));

function NodeDocs({ type, nodeId }: { type: NodeType; nodeId: string }) {
  return (
    <Disclosure title="Settings and examples explained">
      <Suspense fallback={<LoadingRows rows={3} />}>
        <NodeDocsBody type={type} nodeId={nodeId} />
      </Suspense>
    </Disclosure>
  );
}

// The data of a node in a run, loaded when it is shown: most nodes are edited without it.

interface Props {
  node: FlowNode;
  data: NodeData;
}

const parts = () => import("../run/RunData");
const Whole = lazily(() => parts().then((part) => ({ default: part.RunData })));
const Head = lazily(() => parts().then((part) => ({ default: part.DataHead })));
const Output = lazily(() => parts().then((part) => ({ default: part.OutputPane })));
const Input = lazily(() => import("../run/InputPane").then((part) => ({ default: part.InputPane })));

const WAITING = <Loading label="Loading the data" />;

function RunData(props: Props) {
  return (
    <Suspense fallback={WAITING}>
      <Whole {...props} />
    </Suspense>
  );
}

function DataHead(props: Props) {
  return (
    <Suspense fallback={null}>
      <Head {...props} />
    </Suspense>
  );
}

function InputPane(props: Props) {
  return (
    <Suspense fallback={WAITING}>
      <Input {...props} />
    </Suspense>
  );
}

function OutputPane(props: Props) {
  return (
    <Suspense fallback={WAITING}>
      <Output {...props} />
    </Suspense>
  );
}

const NodeFormBody = lazily(() => import("@/forms/NodeFormBody"));

/** Guides by node type, for types that need more than descriptions of settings. */
const GUIDES: Record<string, string> = {
  webhook: "webhooks",
  respond: "webhooks",
  form: "forms",
  form_page: "forms#more-pages-in-the-same-run",
  rss_trigger: "triggers",
  email_trigger: "triggers",
  poll: "triggers#any-list",
  mqtt_trigger: "triggers#mqtt",
  postgres_trigger: "triggers#postgresql",
  approval: "runs#waiting",
  http: "http",
  sql: "sql",
  file: "files",
  agent: "agents",
};
/** Return the guide to a type; one is for all triggers of services. */
function guideTo(type: NodeType): string | undefined {
  return GUIDES[type.type] ?? (type.trigger && type.mark ? "app-triggers" : undefined);
}
const NO_PROBLEMS: readonly Problem[] = [];
const NO_CONFIG: Record<string, Json> = {};

/** The node's id in expressions. Changing it updates the expressions. */
function NodeId({ id }: { id: string }) {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  const [wanted, setWanted] = useState<string | null>(null);
  const refusal = wanted === null ? undefined : idRefusal(store.getState().definition, id, wanted);

  function save() {
    if (wanted !== null && wanted !== id && refusal === undefined) store.getState().renameNode(id, wanted);
    setWanted(null);
  }

  if (wanted === null) {
    return (
      <Tooltip label="Name in expressions" position="bottom">
        <UnstyledButton
          disabled={readOnly}
          onClick={() => setWanted(id)}
          data-node-id
          aria-label={`steps.${id}: change id`}
        >
          <Code>steps.{id}</Code> {!readOnly && <IconPencil size={13} aria-hidden />}
        </UnstyledButton>
      </Tooltip>
    );
  }
  return (
    <TextInput
      size="xs"
      aria-label="Node id"
      data-next="[data-node-id]"
      value={wanted}
      error={refusal}
      autoFocus
      spellCheck={false}
      onChange={(event) => setWanted(event.currentTarget.value)}
      onBlur={save}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== "Escape") return;
        // The key must not affect the element that gets the focus next. With Ctrl it also runs the flow.
        if (!event.ctrlKey && !event.metaKey) event.preventDefault();
        if (event.key === "Escape") setWanted(null);
        else if (refusal === undefined) save();
      }}
    />
  );
}

interface NameProps {
  node: FlowNode;
  type: NodeType | undefined;
  readOnly: boolean;
}

/** The node's name. The id follows it once the field is left. */
function NodeName({ node, type, readOnly }: NameProps) {
  const store = useEditorStore();
  // The name before the first change, until the field is left.
  const changed = useRef<{ id: string; before: string | undefined } | null>(null);
  function follow() {
    const { current } = changed;
    changed.current = null;
    if (current !== null) store.getState().followName(current.id, current.before);
  }
  return (
    <TextInput
      variant="unstyled"
      aria-label="Node name"
      data-name={node.id}
      placeholder={nameOf(node, type)}
      classNames={{ input: classes.title }}
      value={node.name ?? ""}
      maxLength={200}
      readOnly={readOnly}
      onChange={(event) => {
        if (changed.current !== null && changed.current.id !== node.id) follow();
        changed.current ??= { id: node.id, before: node.name };
        store.getState().patchNode(node.id, { name: event.currentTarget.value || undefined });
      }}
      onBlur={follow}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        canvasPlace()?.focus({ preventScroll: true });
      }}
    />
  );
}

const BELOW = { position: "bottom" } as const;

function Title({ node, type, readOnly, brief }: NameProps & { brief: boolean }) {
  const store = useEditorStore();
  return (
    <Stack gap={6} p="md" pb="xs">
      <Group gap="xs" wrap="nowrap">
        <NodeIcon type={type} size={36} />
        <Box flex={1} miw={0}>
          <NodeName node={node} type={type} readOnly={readOnly} />
        </Box>
        {!readOnly && (
          <Group gap={2} wrap="nowrap">
            <IconButton
              label="Duplicate"
              tip="Duplicate (Ctrl+D)"
              tipAt={BELOW}
              icon={IconCopyPlus}
              onClick={() => store.getState().duplicate([node.id])}
            />
            <IconButton
              label="Delete node"
              tip="Delete (Del)"
              tipAt={BELOW}
              icon={IconTrash}
              data-next=".react-flow[tabindex]"
              onClick={() => store.getState().removeNodes([node.id])}
            />
          </Group>
        )}
      </Group>
      <Group gap="xs">
        <Quiet size="xs">{type?.name ?? `Unknown type ${node.type}`}</Quiet>
        <NodeId key={node.id} id={node.id} />
      </Group>
      {!brief && type !== undefined && (
        <Quiet>
          <Words text={type.description} />{" "}
          {!type.own && (
            <DocsLink
              page={type.service && type.operations ? `connectors/${type.service.type}` : `nodes#${type.type}`}
              label={`Documentation of ${type.name}`}
            >
              Documentation
            </DocsLink>
          )}
          {guideTo(type) !== undefined && (
            <>
              {" · "}
              <DocsLink page={guideTo(type) as string} label={`Guide to ${type.name}`}>
                Guide
              </DocsLink>
            </>
          )}
        </Quiet>
      )}
      {!brief && type !== undefined && <NodeDocs key={node.id} type={type} nodeId={node.id} />}
      {type?.install != null && (
        <Alert color="yellow" variant="light" p="xs" title="Not installed on this server">
          <Code>{type.install}</Code>
        </Alert>
      )}
    </Stack>
  );
}

/** The problems that a form field shows. */
function ofConfig(problems: readonly Problem[]): readonly Problem[] {
  return problems.filter((problem) => problem.field?.startsWith("config"));
}

function ConfigTab({ node, type, problems, readOnly }: PartProps) {
  const store = useEditorStore();
  const flowId = useEditor((state) => state.flow.id);
  const definition = useEditor((state) => state.definition);
  const pinned = useEditor((state) => state.pinned);
  const runId = useRunStore((runs) => shownOf(runs, flowId).runId) ?? undefined;
  const context = useMemo(
    () => ({ flowId, definition, nodeId: node.id, runId, pinned: { ...pinned } }),
    [flowId, definition, node.id, runId, pinned],
  );
  const shown = useMemo(() => ofConfig(problems), [problems]);
  const run = useFormRun(node.id);
  if (type === undefined) return <ConfigJson node={node} readOnly={readOnly} />;
  return (
    <NodeForm
      type={type}
      value={node.config ?? NO_CONFIG}
      context={context}
      problems={shown}
      readOnly={readOnly}
      onChange={(config) => store.getState().setConfig(node.id, config)}
      run={run}
    />
  );
}

function ConfigJson({ node, readOnly }: { node: FlowNode; readOnly: boolean }) {
  const store = useEditorStore();
  return (
    <JsonField
      label="Settings as JSON"
      value={node.config ?? {}}
      readOnly={readOnly}
      minHeight={200}
      refusalOf={(value) =>
        typeof value === "object" && value !== null && !Array.isArray(value) ? undefined : "Must be an object"
      }
      onChange={(config) => store.getState().setConfig(node.id, config as Record<string, Json>)}
    />
  );
}

interface PartProps {
  node: FlowNode;
  type: NodeType | undefined;
  problems: readonly Problem[];
  readOnly: boolean;
}

type Tab = "settings" | "options" | "notes" | "data" | "json";

const FRAMES = 180;
const FIELDS = "input, textarea, select, [contenteditable=true], button";

const IN_PANEL: Record<string, string> = {
  name: "[aria-label='Node name']",
  id: "[data-node-id]",
  notes: "[role=tabpanel] textarea",
  foreach: "[role=tabpanel] :is(input, .cm-editor)",
};

/** Return the rendered field of a part of the node. */
function partAt(path: string): HTMLElement | null | undefined {
  const key = path.split(/[.[\]]+/).filter(Boolean)[1] ?? path;
  const known = IN_PANEL[path] ?? `[role=tabpanel] [id$="_${CSS.escape(key)}"]`;
  return document.querySelector("[data-panel]")?.querySelector<HTMLElement>(known);
}

/** Return the frame of a setting with its label. If the form hides it below "More settings", these are opened. */
function frameAt(path: string): HTMLElement | null | undefined {
  if (path in IN_PANEL) return partAt(path);
  const key = path.split(/[.[\]]+/).filter(Boolean)[1] ?? path;
  const form = document.querySelector("[data-panel] [role=tabpanel]");
  const frame = form?.querySelector<HTMLElement>(`[data-field$="_${CSS.escape(key)}"]`) ?? partAt(path);
  if (frame == null) form?.querySelector<HTMLElement>("[data-more][aria-expanded=false]")?.click();
  return frame;
}

/** Focus a setting once its form is rendered. Field ids end with the setting's key. */
function focusField(path: string, frames = FRAMES): void {
  const part = partAt(path);
  const field = part?.matches(FIELDS) ? part : part?.querySelector<HTMLElement>(FIELDS);
  if (field == null) {
    if (frames > 0) requestAnimationFrame(() => focusField(path, frames - 1));
    return;
  }
  // No further than needed: the name of the node stays in sight.
  field.scrollIntoView({ block: "nearest" });
  field.focus({ preventScroll: true });
}

/** Parts above the tabs. */
const IN_TITLE = ["name", "id", "type", "group"];

/** Return the tab that contains the part with the problem. */
function tabOf(path: string): Tab {
  if (path === OUTPUT) return "data";
  if (path === "notes") return path;
  return path.startsWith("config") || IN_TITLE.includes(path) ? "settings" : "options";
}

/** The panel of the selected node: name, settings, connections. */
export function NodePanel({ node }: { node: FlowNode }) {
  const store = useEditorStore();
  const type = useEditor((state) => state.catalogue?.find(node.type));
  const problems = useEditor((state) => state.check?.byNode.get(node.id)) ?? NO_PROBLEMS;
  const readOnly = useEditor((state) => state.readOnly);
  const field = useEditor((state) => state.field);
  const [tab, setTab] = useState<Tab>("settings");
  useEffect(() => {
    if (field === null) return;
    setTab(tabOf(field.path));
    if (field.mark) markField(() => frameAt(field.path));
    else if (field.path !== OUTPUT && field.path !== SETTINGS) focusField(field.path);
  }, [field]);
  const parts = { node, type, problems, readOnly };
  // The form shows problems of its fields itself.
  const inForm = tab === "settings" && type !== undefined ? ofConfig(problems) : NO_PROBLEMS;
  const others = problems.filter((problem) => !inForm.includes(problem));

  const data = useNodeData(node.id);
  const narrow = useMediaQuery("(max-width: 48em)", undefined, { getInitialValueInEffect: false }) ?? false;
  const docked = useUi((ui) => ui.docked) && !narrow;
  const large = useUi((ui) => ui.docked || ui.panelWidth >= LARGE) && !narrow;
  // The data takes the place of all that it can do without.
  const isData = tab === "data" && !large;
  const settings = (
    <>
      <Tabs
        // Beside the settings, input and output need no tab.
        value={large && tab === "data" ? "settings" : tab}
        onChange={(value) => setTab((value as Tab) ?? "settings")}
        keepMounted={false}
        className={isData ? classes.filled : undefined}
        styles={{ tab: { paddingInline: 8 } }}
      >
        <Tabs.List px="xs">
          <Tabs.Tab value="settings">Settings</Tabs.Tab>
          <Tabs.Tab value="options">Options</Tabs.Tab>
          <Tabs.Tab value="notes">Notes</Tabs.Tab>
          {!large && <Tabs.Tab value="data">Run data</Tabs.Tab>}
          <Tabs.Tab value="json">JSON</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="settings" p="md">
          <ConfigTab key={node.id} {...parts} />
        </Tabs.Panel>
        <Tabs.Panel value="options" p="md">
          <NodeOptions
            node={node}
            collects={type?.collects ?? false}
            readOnly={readOnly}
            onPatch={(patch) => store.getState().patchNode(node.id, patch)}
          />
        </Tabs.Panel>
        <Tabs.Panel value="notes" p="md">
          <Textarea
            label="Notes"
            description="For readers of the flow; shown on hover"
            autosize
            minRows={5}
            maxRows={20}
            value={node.notes ?? ""}
            readOnly={readOnly}
            onChange={(event) => store.getState().patchNode(node.id, { notes: event.currentTarget.value || undefined })}
          />
        </Tabs.Panel>
        <Tabs.Panel value="data" p="md" className={classes.filled}>
          <RunData node={node} data={data} />
        </Tabs.Panel>
        <Tabs.Panel value="json" p="md">
          <ConfigJson key={node.id} node={node} readOnly={readOnly} />
        </Tabs.Panel>
      </Tabs>
      {!isData && <Neighbours key={node.id} node={node} />}
    </>
  );

  const head = (
    <>
      <Title node={node} type={type} readOnly={readOnly} brief={isData || docked} />
      <RunNodeButton node={node} />
      <UnsentHint node={node} />
      {type?.trigger && (
        <Suspense fallback={null}>
          <Addresses node={node} />
        </Suspense>
      )}
      {others.length > 0 && (
        <Alert color="yellow" variant="light" mx="md" mb="xs" p="xs">
          <List size="sm" spacing={2}>
            {others.map((problem) => (
              <List.Item key={`${problem.path} ${problem.message}`}>{inWords(problem)}</List.Item>
            ))}
          </List>
        </Alert>
      )}
    </>
  );
  return (
    <div className={large ? classes.large : isData ? classes.whole : undefined} data-below={docked || undefined}>
      {!docked && head}
      {large ? (
        <Columns node={node} data={data} head={docked ? head : undefined}>
          {settings}
        </Columns>
      ) : (
        settings
      )}
    </div>
  );
}

/** Input, settings and output side by side. In a low panel the head of the node is above its settings. */
function Columns({ node, data, head, children }: Props & { head: ReactNode; children: ReactNode }) {
  const runs = (
    <Group gap="md" px="md" pb="xs" justify="space-between">
      <DataHead node={node} data={data} />
    </Group>
  );
  return (
    <>
      {head === undefined && runs}
      <div className={classes.columns}>
        <section className={classes.column} aria-label="Data of the node">
          <InputPane key={node.id} node={node} data={data} />
        </section>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
        <section className={classes.settings} aria-label="Settings of the node" tabIndex={0}>
          {head !== undefined && (
            <>
              {head}
              {runs}
            </>
          )}
          {children}
        </section>
        <section className={classes.column} aria-label="Result of the node">
          <OutputPane key={node.id} node={node} data={data} />
        </section>
      </div>
    </>
  );
}

/** Running a node from within its form, as from the full-screen editor of its code. */
function useFormRun(nodeId: string): NodeRun {
  const { runNode, going, refusal, failed } = useEditorRun();
  const isBefore = failed !== undefined && failed.nodeId !== nodeId;
  const problem = isBefore ? `“${failed.name}” failed: ${failed.error ?? ""}` : null;
  const told = refusal === null ? problem : messageOf(refusal);
  return useMemo(
    () => ({ label: "Run this node", start: () => void runNode(nodeId, true), busy: going, problem: told }),
    [runNode, nodeId, going, told],
  );
}

/** The form of a node's settings. Its code is loaded when the first one is shown. */
function NodeForm(props: NodeFormProps) {
  return (
    <Suspense fallback={<LoadingRows rows={3} />}>
      <NodeFormBody {...props} />
    </Suspense>
  );
}
