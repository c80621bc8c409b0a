/** Dialogs about the draft: compare, publish with a name or at a time, discard. */
import { Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import { diffOf, summaryOf } from "@/definition/diff";
import GraphDiff from "@/pages/versions/GraphDiff";
import { VersionFields } from "@/pages/versions/NameVersion";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { FormDialog } from "@/ui/FormDialog";
import { instant } from "@/ui/format";
import { useEditor, useEditorStore } from "../context";
import { forgetScheduled, publishDraft, wordsFor } from "./remote";
import { useSaver } from "./useSaving";

export type DraftDialog = "name" | "time" | "compare" | "discard";

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
          The flow goes back to version {version} for everybody. Lost changes: {summary}. You can undo this until you
          leave the page.
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

function isPast(time: string | undefined): boolean {
  return time !== undefined && new Date(time).getTime() <= Date.now();
}

function PublishDialog({ onClose, isTimed }: DialogProps & { isTimed: boolean }) {
  const store = useEditorStore();
  const saver = useSaver();
  const words = wordsFor(useEditor((state) => state.flow.status));
  const summary = useSummary();
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <FormDialog
      onClose={onClose}
      title={isTimed ? `${words.action} at a time` : words.action}
      centered={false}
      action={isTimed ? "Schedule" : words.action}
      initial={{ name: "", note: "", at: inAnHour() }}
      isReady={({ at }) => !isTimed || (instant(at) !== undefined && !isPast(instant(at)))}
      // A refusal is shown above the canvas.
      onSubmit={({ name, note, at }) =>
        publishDraft(store, saver, {
          name: name.trim() || null,
          note: note.trim() || null,
          at: isTimed ? instant(at) : null,
        })
      }
    >
      {({ values, bind }) => (
        <>
          <Text size="sm">Changes: {summary}</Text>
          {isTimed && (
            <TextInput
              type="datetime-local"
              label={`Time (${zone})`}
              description="The draft as it is now is published then. Later changes stay in the draft."
              error={isPast(instant(values.at)) ? "Choose a time in the future." : undefined}
              required
              {...bind("at")}
            />
          )}
          <VersionFields bind={bind} placeholder="Optional" />
        </>
      )}
    </FormDialog>
  );
}
