/** Dialogs about the draft: compare, publish with a name or at a time, discard. */
import { Button, Group, Modal, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { type FormEvent, useMemo, useState } from "react";
import { diffOf, summaryOf } from "@/definition/diff";
import GraphDiff from "@/pages/versions/GraphDiff";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { instant } from "@/ui/format";
import { useEditor, useEditorStore } from "../context";
import type { DraftDialog } from "../header/PublishButton";
import { forgetScheduled, publishDraft, wordsFor } from "./publishing";
import { useSaver } from "./useSaving";

const NAME = 100;
const NOTE = 2_000;

interface DialogProps {
  onClose: () => void;
}

export default function DraftDialogs({ dialog, onClose }: DialogProps & { dialog: DraftDialog }) {
  if (dialog === "compare") return <CompareDialog onClose={onClose} />;
  if (dialog === "discard") return <DiscardDialog onClose={onClose} />;
  return <PublishDialog onClose={onClose} isTimed={dialog === "time"} />;
}

/** The changes since the current version, in a few words. */
function useSummary(): string {
  const published = useEditor((state) => state.published);
  const definition = useEditor((state) => state.definition);
  return useMemo(() => summaryOf(diffOf(published, definition)), [published, definition]);
}

function CompareDialog({ onClose }: DialogProps) {
  const published = useEditor((state) => state.published);
  const definition = useEditor((state) => state.definition);
  const version = useEditor((state) => state.version);
  const [node, setNode] = useState("");
  const summary = useSummary();
  return (
    <Modal opened onClose={onClose} title={`Draft compared with version ${version}`} size="min(1100px, 94vw)">
      <Text size="sm" pb="xs" role="status">
        {summary}
      </Text>
      <GraphDiff before={published} after={definition} node={node} onNode={setNode} />
    </Modal>
  );
}

function DiscardDialog({ onClose }: DialogProps) {
  const store = useEditorStore();
  const saver = useSaver();
  const version = useEditor((state) => state.version);
  const by = useEditor((state) => state.draftBy);
  const scheduled = useEditor((state) => state.presence.scheduled);
  const summary = useSummary();
  return (
    <ConfirmDialog
      opened
      onClose={onClose}
      title="Discard the draft?"
      action="Discard"
      danger
      onConfirm={async () => {
        await saver.discard();
        forgetScheduled(store);
      }}
    >
      <Stack gap="xs">
        <Text size="sm">
          The flow goes back to version {version} for everybody. Lost changes: {summary}. You can undo this
          until you leave the page.
        </Text>
        {by !== null && <Text size="sm">{by.who} saved the draft last.</Text>}
        {scheduled !== null && <Text size="sm">Its scheduled publish is cancelled.</Text>}
      </Stack>
    </ConfirmDialog>
  );
}

/** Return a local time in an hour, rounded up, as the input has it. */
function inAnHour(): string {
  const at = new Date(Math.ceil((Date.now() + 3_600_000) / 900_000) * 900_000);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function PublishDialog({ onClose, isTimed }: DialogProps & { isTimed: boolean }) {
  const store = useEditorStore();
  const saver = useSaver();
  const words = wordsFor(useEditor((state) => state.flow.status));
  const summary = useSummary();
  const [name, setName] = useState("");
  const [note, setNote] = useState("");
  const [at, setAt] = useState(inAnHour);
  const [busy, setBusy] = useState(false);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const time = instant(at);
  const isPast = time !== undefined && new Date(time).getTime() <= Date.now();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    const options = { name: name.trim() || null, note: note.trim() || null, at: isTimed ? time : null };
    await publishDraft(store, saver, options).finally(() => setBusy(false));
    // A refusal is shown above the canvas.
    onClose();
  }

  return (
    <Modal opened onClose={onClose} title={isTimed ? `${words.action} at a time` : words.action} size="md">
      <form onSubmit={(event) => void submit(event)}>
        <Stack gap="sm">
          <Text size="sm">Changes: {summary}</Text>
          {isTimed && (
            <TextInput
              type="datetime-local"
              label={`Time (${zone})`}
              description="The draft as it is now is published then. Later changes stay in the draft."
              value={at}
              onChange={(event) => setAt(event.currentTarget.value)}
              error={isPast ? "Choose a time in the future." : undefined}
              required
            />
          )}
          <TextInput
            label="Name of the version"
            placeholder="Optional"
            maxLength={NAME}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            data-autofocus
          />
          <Textarea
            label="Note"
            placeholder="Optional"
            maxLength={NOTE}
            autosize
            minRows={2}
            maxRows={6}
            value={note}
            onChange={(event) => setNote(event.currentTarget.value)}
          />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={busy} disabled={isTimed && (time === undefined || isPast)}>
              {isTimed ? "Schedule" : words.action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
