import { Button } from "@mantine/core";
import { IconFileAlert } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { Time } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import type { ServerFlow } from "../store";
import { Bar } from "./Bar";
import { comparedWith } from "./compared";
import { type Drafts, type LeftDraft, newsIn, onDrafts, restoredOf } from "./drafts";

interface LeftDraftsProps {
  drafts: Drafts;
  /** Whether it is known that the tabs which kept them are closed. */
  known: boolean;
}

/** What was typed in other tabs and never saved: the latest of it, to be used or thrown away. */
export function LeftDrafts({ drafts, known }: LeftDraftsProps) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const [left, setLeft] = useState(() => newsIn(drafts, asSaved()));
  const [doomed, setDoomed] = useState<LeftDraft | null>(null);
  // Another tab may use the same, or save its own.
  useEffect(() => onDrafts(look));
  const [draft] = left;
  if (draft === undefined) return null;

  function asSaved(): ServerFlow {
    const { flow, version, saved } = store.getState();
    return { ...flow, version, definition: saved };
  }
  function look() {
    setLeft(newsIn(drafts, asSaved()));
  }
  function use(chosen: LeftDraft) {
    const theirs = asSaved();
    const { setSaving, replaceDefinition } = store.getState();
    if (restoredOf(chosen, theirs).kind === "conflict") setSaving({ kind: "conflict", theirs });
    replaceDefinition(chosen.definition, "use what another tab kept");
    // By now this tab has kept it, unless the browser's store is full.
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
            Use it here
          </Button>
          <Button size="xs" variant="default" onClick={() => setDoomed(draft)}>
            Throw it away
          </Button>
        </>
      }
    >
      <b>{known ? "A tab that is closed" : "Another tab"} kept something that was never saved</b>{" "}
      <Time at={new Date(draft.at).toISOString()} />. Compared with what is here, it has{" "}
      {comparedWith(definition, draft.definition)}.{known ? "" : " That tab may still be open."}
      <ConfirmDialog
        opened={doomed !== null}
        onClose={() => setDoomed(null)}
        title="Throw it away?"
        action="Throw it away"
        danger
        onConfirm={() => {
          if (doomed !== null) drafts.drop(doomed);
          look();
        }}
      >
        What was typed there is then gone for good. The flow stays as it is.
      </ConfirmDialog>
    </Bar>
  );
}
