/** Notices about saving, between the header and the canvas. */
import { Button, Group, Text } from "@mantine/core";
import { IconAlertTriangle, IconClock, IconFileAlert, IconUsers } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, Suspense, useEffect, useMemo, useState } from "react";
import { useLocation } from "wouter";
import { useShallow } from "zustand/react/shallow";
import { useSession } from "@/app/session";
import type { Clash } from "@/definition/merge";
import type { Definition } from "@/definition/types";
import { titleOf } from "@/forms/schema/problems";
import type { FieldSchema } from "@/forms/schema/types";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { wholeTime } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import { messageOf } from "@/ui/states";
import { Time } from "@/ui/Time";
import { differences } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { calledIn, isUnpublished, type Presence, type ServerFlow, serverOf, shownOf } from "../store";
import { type Drafts, type LeftDraft, newsIn, onDrafts, restoredOf } from "./drafts";
import { cancelPublish, latestSave, saveAsNew } from "./remote";
import { useSaver } from "./useSaving";

interface BarProps {
  color: string;
  icon: ReactNode;
  children: ReactNode;
  actions?: ReactNode;
}

/** A notice with actions over the whole width. */
function Bar({ color, icon, children, actions }: BarProps) {
  return (
    <Group
      role="status"
      px="md"
      py={8}
      gap="sm"
      justify="space-between"
      style={{
        background: `color-mix(in srgb, var(--${color}) 10%, var(--card))`,
        borderBottom: `1px solid var(--${color})`,
      }}
    >
      <Group gap="xs" c={`var(--${color})`} flex={1} miw={240} wrap="nowrap">
        {icon}
        <Text size="sm" c="var(--mantine-color-text)" component="div">
          {children}
        </Text>
      </Group>
      {actions !== undefined && <Group gap="xs">{actions}</Group>}
    </Group>
  );
}

const AND = new Intl.ListFormat("en", { type: "conjunction" });

/** Return how another definition differs from this one: "2 nodes more and 1 node changed". */
function comparedWith(one: Definition, other: Definition): string {
  const { added, removed, changed } = differences(one, other);
  const nodes = (count: number, word: string) =>
    count === 0 ? [] : [`${count} ${count === 1 ? "node" : "nodes"} ${word}`];
  const parts = [...nodes(added, "more"), ...nodes(removed, "fewer"), ...nodes(changed, "changed")];
  return parts.length === 0 ? "the same nodes with other connections, positions or settings" : AND.format(parts);
}

interface LeftDraftsProps {
  drafts: Drafts;
  /** True if the tabs that kept them are known to be closed. */
  known: boolean;
}

/** Offer the latest unsaved changes of other tabs, to use or discard. */
export function LeftDrafts({ drafts, known }: LeftDraftsProps) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const [left, setLeft] = useState(() => newsIn(drafts, asSaved()));
  const [doomed, setDoomed] = useState<LeftDraft | null>(null);
  // Another tab may use the same draft, or save its own.
  useEffect(() => onDrafts(look));
  const [draft] = left;
  if (draft === undefined) return null;

  function asSaved(): ServerFlow {
    return serverOf(store.getState());
  }
  function look() {
    setLeft(newsIn(drafts, asSaved()));
  }
  function use(chosen: LeftDraft) {
    const theirs = asSaved();
    const { setSaving, replaceDefinition } = store.getState();
    if (restoredOf(chosen, theirs).kind === "conflict") setSaving({ kind: "conflict", theirs });
    replaceDefinition(chosen.definition, "use changes of another tab");
    // Now this tab keeps it, unless the browser's storage is full.
    if (drafts.read() !== null) drafts.drop(chosen);
    look();
  }
  return (
    <Bar
      color="waiting"
      icon={<IconFileAlert size={20} aria-hidden />}
      actions={
        <>
          <Button size="xs" variant="default" onClick={() => use(draft)}>
            Use here
          </Button>
          <Button size="xs" variant="default" onClick={() => setDoomed(draft)}>
            Discard
          </Button>
        </>
      }
    >
      <b>{known ? "A closed tab" : "Another tab"} has unsaved changes</b> <Time at={new Date(draft.at).toISOString()} />
      . Compared with the current state: it has {comparedWith(definition, draft.definition)}.
      {known ? "" : " That tab may still be open."}
      <ConfirmDialog
        opened={doomed !== null}
        onClose={() => setDoomed(null)}
        title="Discard unsaved changes?"
        action="Discard"
        danger
        onConfirm={() => {
          if (doomed !== null) drafts.drop(doomed);
          look();
        }}
      >
        The unsaved changes of that tab are lost. The flow is not changed. This cannot be undone.
      </ConfirmDialog>
    </Bar>
  );
}

const DraftDialogs = lazily(() => import("./DraftDialogs"));

const MAX_CLASHES = 3;
const MAX_VALUE = 60;

function shortOf(value: unknown): string {
  if (value === undefined) return "removed";
  const text = typeof value === "string" ? `“${value}”` : JSON.stringify(value);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

/** What both users changed, each in another way. All other changes of both are kept. */
function Clashes({ clashes }: { clashes: readonly Clash[] }) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  function placeOf([kind, id, ...rest]: readonly string[]): string {
    if (kind !== "nodes" || id === undefined) return [kind, ...(kind === "settings" ? [id] : []), ...rest].join(" › ");
    const node = definition.nodes.find((one) => one.id === id);
    const schema = node && (store.getState().catalogue?.schemaOf(node) as FieldSchema | undefined);
    const field =
      rest[0] === "config" ? (titleOf(schema, rest.slice(1)) ?? rest.slice(1).join(" › ")) : rest.join(" › ");
    return [calledIn(store.getState(), id), field].filter((part) => part !== "").join(" › ");
  }
  return (
    <>
      Both of you changed:
      <ul style={{ margin: 0, paddingInlineStart: 20 }}>
        {clashes.slice(0, MAX_CLASHES).map(({ path, mine, theirs }) => (
          <li key={path.join(" ")}>
            <b>{placeOf(path)}</b>: yours {shortOf(mine)}, theirs {shortOf(theirs)}
          </li>
        ))}
        {clashes.length > MAX_CLASHES && <li>and {clashes.length - MAX_CLASHES} more</li>}
      </ul>
      All other changes of both are kept.{" "}
    </>
  );
}

function ConflictBar({ theirs }: { theirs: ServerFlow }) {
  const store = useEditorStore();
  const saver = useSaver();
  const definition = useEditor((state) => state.definition);
  const [, go] = useLocation();
  const [refusal, setRefusal] = useState<string | null>(null);
  const { user } = useSession();
  const version = useEditor((state) => state.version);
  const isVersion = theirs.version > version || theirs.draft?.by == null;
  const { data: saved } = useQuery({
    queryKey: ["latest save", theirs.id, theirs.version],
    queryFn: () => latestSave(theirs.id),
    enabled: isVersion,
    retry: false,
  });
  const latest = isVersion ? saved : theirs.draft?.by;
  const mine = latest?.userId === user.id;
  const clashes = useMemo(() => store.getState().clashesWith(theirs, definition), [store, theirs, definition]);

  async function asNew() {
    try {
      const id = await saveAsNew(`${store.getState().flow.name} (mine)`, definition);
      store.getState().take(theirs, true);
      go(`/flows/${id}`);
    } catch (error) {
      setRefusal(messageOf(error));
    }
  }

  return (
    <Bar
      color="failed"
      icon={<IconUsers size={20} aria-hidden />}
      actions={
        <>
          <Button size="xs" variant="default" onClick={() => void saver.keepMine()}>
            Keep mine
          </Button>
          <Button size="xs" variant="default" onClick={() => void saver.takeTheirs()}>
            Use theirs
          </Button>
          <Button size="xs" variant="default" onClick={() => void asNew()}>
            Save mine as new flow
          </Button>
        </>
      }
    >
      <b>
        {mine ? "You" : (latest?.who ?? "Another user")}{" "}
        {isVersion ? `saved version ${theirs.version}` : "changed the draft"}
        {mine && " in another tab or browser"}
      </b>{" "}
      {latest && <Time at={latest.at} />} while you were editing.{" "}
      {clashes.length === 0 ? (
        `Compared with your version, their version has ${comparedWith(definition, shownOf(theirs))}. `
      ) : (
        <Clashes clashes={clashes} />
      )}
      {refusal}
    </Bar>
  );
}

/** The draft began before the current version was saved: it cannot be published without a decision. */
export function OutdatedBar() {
  const saver = useSaver();
  const id = useEditor((state) => state.flow.id);
  const [published, definition] = useEditor(useShallow((state) => [state.published, state.definition]));
  const [version, base] = useEditor(useShallow((state) => [state.version, state.base]));
  const { data: latest } = useQuery({
    queryKey: ["latest save", id, version],
    queryFn: () => latestSave(id),
    retry: false,
  });
  const [asking, setAsking] = useState(false);
  return (
    <Bar
      color="waiting"
      icon={<IconUsers size={20} aria-hidden />}
      actions={
        <>
          <Button size="xs" variant="default" onClick={() => void saver.rebase()}>
            Keep draft (overwrite)
          </Button>
          <Button size="xs" variant="default" onClick={() => setAsking(true)}>
            Use version {version}
          </Button>
        </>
      }
    >
      <b>
        {latest?.who ?? "Somebody"} saved version {version}
      </b>{" "}
      after this draft was begun from version {base}. Compared with the draft, it has{" "}
      {comparedWith(definition, published)}.
      {asking && (
        <Suspense fallback={null}>
          <DraftDialogs dialog="discard" onClose={() => setAsking(false)} />
        </Suspense>
      )}
    </Bar>
  );
}

/** A publish at a time, or why it failed. */
function ScheduledBar({ scheduled }: { scheduled: NonNullable<Presence["scheduled"]> }) {
  const store = useEditorStore();
  const { may } = useSession();
  const id = useEditor((state) => state.flow.id);
  const revision = useEditor((state) => state.revision);
  const { failure, publish_at, name, created_by_name, draft_revision } = scheduled;
  async function cancel() {
    try {
      await cancelPublish(id);
      store.getState().setPresence({ ...store.getState().presence, scheduled: null });
    } catch (error) {
      notify.refused("The scheduled publish was not cancelled", error);
    }
  }
  const failed = failure !== null;
  return (
    <Bar
      color={failed ? "failed" : "waiting"}
      icon={failed ? <IconAlertTriangle size={20} aria-hidden /> : <IconClock size={20} aria-hidden />}
      actions={
        may("editor") && (
          <Button size="xs" variant="default" onClick={() => void cancel()}>
            {failed ? "Dismiss" : "Cancel publish"}
          </Button>
        )
      }
    >
      {failed ? (
        <>
          <b>The draft was not published</b> on {wholeTime(publish_at)}, as scheduled: {failure}
        </>
      ) : (
        <>
          <b>The draft {name === null ? "" : `“${name}” `}will be published</b> on {wholeTime(publish_at)} (
          {created_by_name ?? "a former member"} scheduled it).
          {draft_revision !== revision && " Changes made since then are not part of it."}
        </>
      )}
    </Bar>
  );
}

/** Why the draft was not saved or not published. */
function RefusedBar() {
  const saving = useEditor((state) => state.saving);
  if (saving.kind !== "refused" && saving.kind !== "unpublished") return null;
  return (
    <Bar color="failed" icon={<IconAlertTriangle size={20} aria-hidden />}>
      <b>{saving.kind === "refused" ? "Not saved:" : "Not published:"}</b> {saving.message}
    </Bar>
  );
}

export function Bars() {
  const saving = useEditor((state) => state.saving);
  const readOnly = useEditor((state) => state.readOnly);
  const scheduled = useEditor((state) => state.presence.scheduled);
  const outdated = useEditor((state) => state.base < state.version && isUnpublished(state));
  if (saving.kind === "conflict") return <ConflictBar theirs={saving.theirs} />;
  return (
    <>
      <RefusedBar />
      {outdated && !readOnly && <OutdatedBar />}
      {scheduled !== null && <ScheduledBar scheduled={scheduled} />}
    </>
  );
}
