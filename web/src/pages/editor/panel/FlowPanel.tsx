import { Code, Group, NumberInput, Select, Stack, Text, Textarea, Title, UnstyledButton } from "@mantine/core";
import { Suspense, useMemo } from "react";
import { api } from "@/api/client";
import { useSession } from "@/app/session";
import { TourOffer } from "@/app/tour/TourOffer";
import type { FlowSettings, Json } from "@/definition/types";
import { CopyIcon } from "@/ui/IconButton";
import { lazily } from "@/ui/lazily";
import { NodeIcon } from "@/ui/NodeIcon";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows } from "@/ui/states";
import { useEditor, useEditorStore } from "../context";
import { useDismissed } from "../setup/dismissed";
import { JsonField } from "./JsonField";
import { type Start, startsOf } from "./starts";

function Address({ address }: { address: string }) {
  const url = window.location.origin + address;
  return (
    <Group gap={4} wrap="nowrap">
      <Code style={{ overflowWrap: "anywhere" }}>{url}</Code>
      <CopyIcon value={url} label="Copy URL" />
    </Group>
  );
}

function StartOf({ start }: { start: Start }) {
  const store = useEditorStore();
  const type = useEditor((state) => state.catalogue?.find(start.node.type));
  return (
    <Stack gap={2}>
      <UnstyledButton onClick={() => store.getState().goTo(start.node.id)}>
        <Group gap="xs" wrap="nowrap">
          <NodeIcon type={type} size={28} />
          <Stack gap={0} miw={0}>
            <Text size="sm" fw={600} truncate>
              {start.name}
            </Text>
            <Quiet size="xs">{start.brief || start.about}</Quiet>
          </Stack>
        </Group>
      </UnstyledButton>
      {start.address !== null && <Address address={start.address} />}
    </Stack>
  );
}

function HowItStarts() {
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const active = useEditor((state) => state.flow.status === "active");
  const starts = useMemo(() => startsOf(definition, catalogue), [definition, catalogue]);
  return (
    <Stack gap="xs">
      <Title order={2} size="h3">
        Triggers
      </Title>
      {starts.length === 0 && <Quiet>Started by hand. Add a trigger to start it automatically.</Quiet>}
      {starts.map((start) => (
        <StartOf key={start.node.id} start={start} />
      ))}
      {starts.some((start) => start.node.type !== "manual") && !active && (
        <Quiet size="xs">Triggers start the flow only while it is active.</Quiet>
      )}
    </Stack>
  );
}

const ZONES = Intl.supportedValuesOf("timeZone");
const OVERLAP = [
  { value: "queue", label: "Queue the run" },
  { value: "skip", label: "Skip the run" },
];

function ErrorFlow({
  value,
  onChange,
  readOnly,
}: {
  value: string | null;
  onChange: (id: string | null) => void;
  readOnly: boolean;
}) {
  const own = useEditor((state) => state.flow.id);
  const { data } = api.useQuery("get", "/api/flows", { params: { query: { limit: 200 } } }, { staleTime: 60_000 });
  const flows = (data?.items ?? []).filter((flow) => flow.id !== own);
  const options = flows.map((flow) => ({ value: flow.id, label: flow.name }));
  if (value !== null && !options.some((one) => one.value === value)) options.push({ value, label: value });
  return (
    <Select
      label="Error flow"
      description="Runs when a run of this flow fails. It must start with an “On error” node."
      placeholder="None"
      searchable
      clearable
      allowDeselect
      clearButtonProps={{ "aria-label": "Clear error flow" }}
      data={options}
      value={value}
      disabled={readOnly}
      onChange={onChange}
    />
  );
}

function Settings() {
  const { workspace } = useSession();
  const store = useEditorStore();
  const settings = useEditor((state) => state.definition.settings) ?? {};
  const readOnly = useEditor((state) => state.readOnly);
  const set = (patch: FlowSettings) => store.getState().setSettings(patch);
  const asNumber = (value: string | number) => (typeof value === "number" ? value : undefined);
  return (
    <Stack gap="md">
      <Title order={2} size="h3">
        Settings
      </Title>
      <Select
        label="Time zone"
        description="Used by schedules, and by {{ now }} in expressions"
        placeholder={`${workspace.timezone} (workspace default)`}
        searchable
        clearable
        allowDeselect
        clearButtonProps={{ "aria-label": "Clear time zone" }}
        limit={60}
        data={ZONES}
        value={settings.timezone ?? null}
        disabled={readOnly}
        onChange={(value) => set({ timezone: value ?? undefined })}
      />
      <NumberInput
        label="Timeout (seconds)"
        description="A run fails this long after its start, whatever it waits for."
        placeholder="No limit for waits"
        min={0.001}
        value={settings.timeout ?? ""}
        readOnly={readOnly}
        onChange={(value) => set({ timeout: asNumber(value) })}
      />
      <NumberInput
        label="Max concurrent runs"
        placeholder="Unlimited"
        min={0}
        max={10_000}
        allowDecimal={false}
        value={settings.max_concurrent_runs ?? ""}
        readOnly={readOnly}
        onChange={(value) => set({ max_concurrent_runs: asNumber(value) })}
      />
      <Select
        label="When the limit is reached"
        data={OVERLAP}
        value={settings.overlap ?? "queue"}
        disabled={readOnly}
        onChange={(value) => set({ overlap: value === "skip" ? "skip" : undefined })}
      />
      <NumberInput
        label="Parallel branches"
        description="Nodes of one run that may be executed at the same time, if they do not depend on each other"
        placeholder="1 (one node after the other)"
        min={1}
        max={16}
        allowDecimal={false}
        value={settings.parallel ?? ""}
        readOnly={readOnly}
        onChange={(value) => set({ parallel: asNumber(value) })}
      />
      <ErrorFlow
        value={settings.error_workflow_id ?? null}
        readOnly={readOnly}
        onChange={(id) => set({ error_workflow_id: id ?? undefined })}
      />
      <JsonField
        folded
        label="Variables"
        hint="Available in expressions as vars, for example {{ vars.limit }}"
        value={settings.vars ?? {}}
        readOnly={readOnly}
        refusalOf={(value) =>
          typeof value === "object" && value !== null && !Array.isArray(value) ? undefined : "Must be an object"
        }
        onChange={(vars) =>
          set({ vars: Object.keys(vars ?? {}).length === 0 ? undefined : (vars as Record<string, Json>) })
        }
      />
    </Stack>
  );
}

const Setup = lazily(() => import("../setup/Setup").then((part) => ({ default: part.Setup })));

const MAX_DESCRIPTION = 2_000;

/** The description of the flow for users, which the list of flows and the pages of runs show too. */
function Description() {
  const store = useEditorStore();
  const text = useEditor((state) => state.definition.settings?.description) ?? "";
  const readOnly = useEditor((state) => state.readOnly);
  if (readOnly) return text && <Text size="sm">{text}</Text>;
  return (
    <Textarea
      label="Description"
      placeholder="What does this flow do?"
      autosize
      minRows={1}
      maxRows={8}
      maxLength={MAX_DESCRIPTION}
      value={text}
      onChange={(event) => store.getState().setSettings({ description: event.currentTarget.value || undefined })}
    />
  );
}

/** The settings of the flow, shown while no node is selected. */
export function FlowPanel() {
  const isSettingUp = useIsSettingUp();
  return (
    <Stack gap="lg" p="md">
      <TourOffer />
      {isSettingUp && (
        <Suspense fallback={<LoadingRows rows={3} />}>
          <Setup />
        </Suspense>
      )}
      <Description />
      <HowItStarts />
      <Settings />
    </Stack>
  );
}

/** Return true if the set-up of the flow is shown: it was made from a template, and the set-up was not dismissed. */
function useIsSettingUp(): boolean {
  const { user } = useSession();
  const flowId = useEditor((state) => state.flow.id);
  const [isDismissed] = useDismissed(user.id, flowId);
  return useEditor((state) => !state.readOnly && Boolean(state.definition.settings?.template)) && !isDismissed;
}
