import { Button } from "@mantine/core";
import { IconFileAlert } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { Time } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import { type ServerFlow, serverOf } from "../store";
import { Bar } from "./Bar";
import { comparedWith } from "./compared";
import { type Drafts, type LeftDraft, newsIn, onDrafts, restoredOf } from "./drafts";

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
      <b>{known ? "A closed tab" : "Another tab"} has unsaved changes</b>{" "}
      <Time at={new Date(draft.at).toISOString()} />. Compared with the current state: it has{" "}
      {comparedWith(definition, draft.definition)}.{known ? "" : " That tab may still be open."}
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
