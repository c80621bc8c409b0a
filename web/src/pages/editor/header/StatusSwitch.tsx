import { Badge, Button, Group, Modal, Stack, Switch, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { ApiError, api, type Detail } from "@/api/client";
import { FLOW_STATUS } from "@/ui/flowStatus";
import { messageOf } from "@/ui/states";
import { useEditor, useEditorStore } from "../context";
import { checkOf, inWords, type Problem } from "../problems";
import { useSaver } from "../saving/useSaving";
import { calledIn, type FlowStatus, isUnpublished } from "../store";

interface Refusal {
  message: string;
  problems: readonly Problem[];
}

/** The switch between active and inactive. Problems that prevent activation are listed by node. */
export function StatusSwitch() {
  const store = useEditorStore();
  const saver = useSaver();
  const { id, status } = useEditor((state) => state.flow);
  const readOnly = useEditor((state) => state.readOnly);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [busy, setBusy] = useState(false);
  const change = api.useMutation("put", "/api/workflows/{flow}");

  function refuse(message: string, details: readonly Detail[]) {
    const { definition, catalogue } = store.getState();
    setRefusal({ message, problems: checkOf(definition, details, {}, catalogue).problems });
  }

  function warn(details: readonly Detail[]) {
    const { definition, catalogue } = store.getState();
    const lines = checkOf(definition, details, {}, catalogue).problems.map((problem) => {
      const of = problem.nodeId === null ? null : calledIn(store.getState(), problem.nodeId);
      return of === null ? inWords(problem) : `${of}: ${inWords(problem)}`;
    });
    notifications.show({
      color: "yellow",
      title: "The flow is active, with warnings",
      message: [...new Set(lines)].map((line) => <div key={line}>{line}</div>),
    });
  }

  async function switchTo(wanted: FlowStatus) {
    setBusy(true);
    try {
      if (wanted === "active" && isUnpublished(store.getState())) {
        // The draft becomes the version that its triggers start.
        const warnings = await saver.publish({ activate: true });
        if (warnings.length > 0) warn(warnings);
        return;
      }
      const { version } = store.getState();
      const params = { path: { flow: id } };
      const saved = await change.mutateAsync({ params, body: { status: wanted, version } });
      store.getState().setFlow({ status: saved.status });
      if (saved.warnings?.length) warn(saved.warnings);
    } catch (error) {
      refuse(messageOf(error), error instanceof ApiError ? error.details : []);
    } finally {
      setBusy(false);
    }
  }

  if (readOnly) {
    return (
      <Badge variant="default" tt="none" style={{ flexShrink: 0 }}>
        {FLOW_STATUS[status]}
      </Badge>
    );
  }

  return (
    <Group gap="xs" wrap="nowrap" style={{ flexShrink: 0 }}>
      <Tooltip label="Triggers start the flow while it is active">
        <Switch
          label={FLOW_STATUS[status]}
          aria-label="Active"
          checked={status === "active"}
          disabled={busy}
          onChange={(event) => void switchTo(event.currentTarget.checked ? "active" : "draft")}
        />
      </Tooltip>
      <Modal
        opened={refusal !== null}
        onClose={() => setRefusal(null)}
        title="The flow cannot be activated"
        size="lg"
      >
        <Stack gap="xs">
          {refusal?.problems.length === 0 && <Text size="sm">{refusal.message}</Text>}
          {refusal?.problems.map((problem) => (
            <UnstyledButton
              key={`${problem.path} ${problem.message}`}
              p="xs"
              bd="1px solid var(--line)"
              bdrs="md"
              disabled={problem.nodeId === null}
              onClick={() => {
                setRefusal(null);
                if (problem.nodeId !== null) store.getState().goTo(problem.nodeId, problem.field);
              }}
            >
              <Text size="sm" fw={600} title={problem.nodeId ?? undefined}>
                {problem.nodeId === null ? "Flow" : calledIn(store.getState(), problem.nodeId)}
              </Text>
              <Text size="sm">{inWords(problem)}</Text>
            </UnstyledButton>
          ))}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setRefusal(null)}>
              Close
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Group>
  );
}
