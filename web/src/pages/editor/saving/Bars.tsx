/** Notices about saving, between the header and the canvas. */
import { Button } from "@mantine/core";
import { IconAlertTriangle, IconBroadcast, IconUsers } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { useSession } from "@/app/session";
import { messageOf } from "@/ui/states";
import { Time } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import { isDirty, type ServerFlow } from "../store";
import { Bar } from "./Bar";
import { comparedWith } from "./compared";
import { latestSave, saveAsNew } from "./remote";
import { useSaver } from "./useSaving";

function ConflictBar({ theirs }: { theirs: ServerFlow }) {
  const store = useEditorStore();
  const saver = useSaver();
  const definition = useEditor((state) => state.definition);
  const [, go] = useLocation();
  const [refusal, setRefusal] = useState<string | null>(null);
  const { user } = useSession();
  const { data: latest } = useQuery({
    queryKey: ["latest save", theirs.id, theirs.version],
    queryFn: () => latestSave(theirs.id),
    retry: false,
  });
  const mine = latest?.userId === user.id;
  const compared = `Compared with your version, their version has ${comparedWith(definition, theirs.definition)}.`;

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
        {mine ? "You" : (latest?.who ?? "Another user")} saved version {theirs.version}
        {mine && " in another tab or browser"}
      </b>{" "}
      {latest && <Time at={latest.at} />} while you were editing. {compared} {refusal}
    </Bar>
  );
}

export function Bars() {
  const saver = useSaver();
  const saving = useEditor((state) => state.saving);
  const dirty = useEditor(isDirty);
  const active = useEditor((state) => state.flow.status === "active");
  if (saving.kind === "conflict") return <ConflictBar theirs={saving.theirs} />;
  const refused = saving.kind === "refused" && (
    <Bar color="failed" icon={<IconAlertTriangle size={20} aria-hidden />}>
      <b>Not saved:</b> {saving.message}
    </Bar>
  );
  if (!active || !dirty) return refused || null;
  return (
    <>
      {refused}
      <Bar
        color="waiting"
        icon={<IconBroadcast size={20} aria-hidden />}
        actions={
          <>
            <Button size="xs" onClick={() => void saver.saveNow()} loading={saving.kind === "saving"}>
              Publish
            </Button>
            <Button size="xs" variant="default" onClick={saver.discard}>
              Discard
            </Button>
          </>
        }
      >
        <b>Unpublished changes.</b> They are kept on this device. Publish makes them live (Ctrl+S).
      </Bar>
    </>
  );
}
