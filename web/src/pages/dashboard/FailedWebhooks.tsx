import { Anchor, Code, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useState } from "react";
import { type Schemas, server } from "@/api/client";
import { useSession } from "@/app/session";
import { firstLine } from "@/runs/words";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { notify } from "@/ui/notify";
import { Time } from "@/ui/Time";
import { Item } from "./Attention";

type FailedWebhook = Schemas["RegisteredWebhookOut"];

function aboutOf(hook: FailedWebhook): string {
  const done = hook.state === "removing" ? "removed from" : "added in";
  return `The webhook could not be ${done} ${hook.service}: ${firstLine(hook.error)}`;
}

/** Webhooks that the server could not add or remove in a service: it tries again, or a person does it by hand. */
export function FailedWebhooks({ hooks, onChange }: { hooks: FailedWebhook[]; onChange: () => Promise<unknown> }) {
  const { may } = useSession();
  const [open, setOpen] = useState<FailedWebhook | null>(null);
  return (
    <>
      {hooks.map((hook) => (
        <Item
          key={hook.id}
          icon={<IconAlertTriangle size={20} color="var(--failed)" role="img" aria-label="Webhook failed" />}
          href={hook.workflow_name === null ? undefined : `/flows/${hook.workflow_id}`}
          title={hook.workflow_name ?? hook.service}
          about={aboutOf(hook)}
          bad
          action={
            hook.state === "removing" &&
            may("editor") && (
              <Anchor component="button" type="button" size="sm" onClick={() => setOpen(hook)}>
                Remove by hand
              </Anchor>
            )
          }
        >
          next try <Time at={hook.next_at} />
        </Item>
      ))}
      {open !== null && <ByHand hook={open} onClose={() => setOpen(null)} onDone={onChange} />}
    </>
  );
}

interface ByHandProps {
  hook: FailedWebhook;
  onClose: () => void;
  onDone: () => Promise<unknown>;
}

function ByHand({ hook, onClose, onDone }: ByHandProps) {
  async function forget() {
    const params = { params: { path: { hook_id: hook.id } } };
    await server.DELETE("/api/registered-webhooks/{hook_id}", params);
    await onDone();
    notify.done("The webhook is marked as removed");
  }
  return (
    <ConfirmDialog
      opened
      onClose={onClose}
      title={`Remove the webhook from ${hook.service}`}
      action="I removed it"
      onConfirm={forget}
    >
      <Stack gap="sm">
        <Text size="sm">{hook.error}</Text>
        <Text size="sm">{hook.by_hand}</Text>
        <Code block>{hook.address}</Code>
        {Object.values(hook.place).length > 0 && (
          <Text size="sm">It is in: {Object.values(hook.place).join(", ")}</Text>
        )}
        <Text size="sm">The server keeps trying. Confirm only if the service no longer has the webhook.</Text>
      </Stack>
    </ConfirmDialog>
  );
}
