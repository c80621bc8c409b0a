import { Button } from "@mantine/core";
import { useState } from "react";
import { useLocation } from "wouter";
import { useSession } from "@/app/session";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Empty } from "@/ui/states";
import type { Draft, Drafts } from "./drafts";
import { saveAsNew } from "./remote";

/** In place of a flow that is gone; what was typed in it and never saved can become a flow of its own. */
export function NoFlow({ drafts }: { drafts: Drafts }) {
  const { may } = useSession();
  const [, go] = useLocation();
  const [draft, setDraft] = useState<Draft | undefined>(() => drafts.read() ?? drafts.left()[0]);
  const [asking, setAsking] = useState(false);
  const hint = "It may have been deleted, or be another workspace's.";
  if (draft === undefined || !may("editor")) return <Empty title="There is no such flow" hint={hint} />;

  async function asNew(kept: Draft) {
    try {
      const id = await saveAsNew("What was not saved", kept.definition);
      forget();
      go(`/flows/${id}`);
    } catch (error) {
      notify.refused("It did not become a flow", error);
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
        title="There is no such flow"
        hint={`${hint} What you typed in it and did not save is still on this device.`}
        action={
          <>
            <Button onClick={() => void asNew(draft)}>Make a new flow of it</Button>
            <Button variant="default" onClick={() => setAsking(true)}>
              Throw it away
            </Button>
          </>
        }
      />
      <ConfirmDialog
        opened={asking}
        onClose={() => setAsking(false)}
        title="Throw it away?"
        action="Throw it away"
        danger
        onConfirm={forget}
      >
        What you typed is then gone for good.
      </ConfirmDialog>
    </>
  );
}
