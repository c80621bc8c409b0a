/** What there is to decide about saving, between the header and the canvas. */
import { Button, Group, Text } from "@mantine/core";
import { IconAlertTriangle, IconBroadcast, IconUsers } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useLocation } from "wouter";
import { messageOf } from "@/ui/states";
import { Time } from "@/ui/Time";
import { differences } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { isDirty, type ServerFlow } from "../store";
import { latestSave, saveAsNew } from "./remote";
import { useSaver } from "./useSaving";

function Bar({
  color,
  icon,
  children,
  actions,
}: {
  color: string;
  icon: ReactNode;
  children: ReactNode;
  actions?: ReactNode;
}) {
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

function ConflictBar({ theirs }: { theirs: ServerFlow }) {
  const store = useEditorStore();
  const saver = useSaver();
  const definition = useEditor((state) => state.definition);
  const [, go] = useLocation();
  const [refusal, setRefusal] = useState<string | null>(null);
  const { data: latest } = useQuery({
    queryKey: ["latest save", theirs.id, theirs.version],
    queryFn: () => latestSave(theirs.id),
    retry: false,
  });
  const { added, removed, changed } = differences(definition, theirs.definition);
  const compared = `Theirs has ${added} nodes more, ${removed} fewer and ${changed} different from yours.`;

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
            Keep mine (save over)
          </Button>
          <Button size="xs" variant="default" onClick={saver.takeTheirs}>
            Take theirs
          </Button>
          <Button size="xs" variant="default" onClick={() => void asNew()}>
            Save mine as a new flow
          </Button>
        </>
      }
    >
      <b>
        {latest?.who ?? "Somebody"} saved version {theirs.version}
      </b>{" "}
      {latest && <Time at={latest.at} />} while you were changing it. {compared} {refusal}
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
        <b>Changes are not live yet.</b> They are kept on this device until you publish them (Ctrl+S).
      </Bar>
    </>
  );
}
