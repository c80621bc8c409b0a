/** Notices about saving, between the header and the canvas. */
import { Button } from "@mantine/core";
import { IconAlertTriangle, IconClock, IconUsers } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Suspense, useState } from "react";
import { useLocation } from "wouter";
import { useShallow } from "zustand/react/shallow";
import { useSession } from "@/app/session";
import { wholeTime } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { notify } from "@/ui/notify";
import { messageOf } from "@/ui/states";
import { Time } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import { isUnpublished, type Presence, type ServerFlow, shownOf } from "../store";
import { Bar } from "./Bar";
import { comparedWith } from "./compared";
import { cancelPublish, latestSave, saveAsNew } from "./remote";
import { useSaver } from "./useSaving";

const DraftDialogs = lazily(() => import("./DraftDialogs"));

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
  const compared = `Compared with your version, their version has ${comparedWith(definition, shownOf(theirs))}.`;

  async function asNew() {
    try {
      const id = await saveAsNew(`${store.getState().flow.name} (mine)`, definition);
      saver.takeTheirs();
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
            Keep mine (overwrite)
          </Button>
          <Button size="xs" variant="default" onClick={saver.takeTheirs}>
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
      {latest && <Time at={latest.at} />} while you were editing. {compared} {refusal}
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
