import { Button } from "@mantine/core";
import { useState } from "react";
import { useLocation } from "wouter";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Empty } from "@/ui/states";
import type { Draft, Drafts } from "./drafts";
import { saveAsNew } from "./remote";

/** Shown in place of a deleted flow. Its unsaved changes can be saved as a new flow. */
export function NoFlow({ drafts }: { drafts: Drafts }) {
  const { may } = useSession();
  const [, go] = useLocation();
  const [draft, setDraft] = useState<Draft | undefined>(() => drafts.read() ?? drafts.left()[0]);
  const [asking, setAsking] = useState(false);
  const hint = "It was deleted, or it belongs to another workspace.";
  if (draft === undefined || !may("editor")) return <Empty title="Flow not found" hint={hint} />;

  async function asNew(kept: Draft) {
    try {
      const id = await saveAsNew("Unsaved changes", kept.definition);
      forget();
      go(`/flows/${id}`);
    } catch (error) {
      notify.refused("The flow could not be created", error);
    }
  }
  function forget() {
    drafts.clear();
    for (const one of drafts.left()) drafts.drop(one);
    setDraft(undefined);
  }
  return (
    <>
      <Empty
        title="Flow not found"
        hint={`${hint} Your unsaved changes are still on this device.`}
        action={
          <>
            <Button onClick={() => void asNew(draft)}>Save as new flow</Button>
            <Button variant="default" onClick={() => setAsking(true)}>
              Discard
            </Button>
          </>
        }
      />
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Discard unsaved changes?"
        action="Discard"
        danger
        onConfirm={forget}
      >
        Your unsaved changes are lost. This cannot be undone.
      </ConfirmDialog>
    </>
  );
}
