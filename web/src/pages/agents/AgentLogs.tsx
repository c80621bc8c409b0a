import { Accordion, Group, Stack, Text } from "@mantine/core";
import { api } from "@/api/client";
import { CALM } from "@/api/queries";
import { duration, milliseconds } from "@/ui/format";
import { itemsOf, LoadMore, PAGED } from "@/ui/LoadMore";
import { StatusBadge } from "@/ui/StatusBadge";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import { Time } from "@/ui/Time";
import { AgentSteps, Value } from "./AgentSteps";
import { useAgentRun } from "./useAgentRun";

/** The runs of an agent, newest first, each expandable to its steps. */
export function AgentLogs({ agentId }: { agentId: string }) {
  const query = api.useInfiniteQuery(
    "get",
    "/api/agent/logs",
    { params: { query: { agent_id: agentId, limit: 20 } } },
    { ...PAGED, refetchInterval: CALM },
  );
  if (query.isPending) return <LoadingRows />;
  if (query.data === undefined) return <Refused error={query.error} onRetry={() => void query.refetch()} />;
  const items = itemsOf(query.data);
  if (items.length === 0)
    return <Empty title="No runs yet" hint="Run the agent under “Try it”, or use it in a flow." />;
  return (
    <Stack>
      <Accordion variant="separated">
        {items.map((log) => (
          <Accordion.Item key={log.id} value={log.id} bg="var(--card)">
            <Accordion.Control>
              <Group gap="md" wrap="nowrap">
                <StatusBadge outcome={log.status} iconOnly />
                <Text size="sm" truncate flex={1}>
                  {log.task}
                </Text>
                <Text size="xs" c="var(--quiet)" visibleFrom="sm">
                  {duration(milliseconds(log.duration_us))}
                </Text>
                <Text size="xs" c="var(--quiet)">
                  <Time at={log.created_at} />
                </Text>
              </Group>
            </Accordion.Control>
            <Accordion.Panel>
              <Whole id={log.id} />
            </Accordion.Panel>
          </Accordion.Item>
        ))}
      </Accordion>
      <LoadMore query={query} noun="tasks" />
    </Stack>
  );
}

function Whole({ id }: { id: string }) {
  const { data: run, error } = useAgentRun(id);
  if (error) return <Refused error={error} />;
  if (!run) return <LoadingRows rows={3} />;
  return (
    <Stack gap="sm">
      <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
        {run.task}
      </Text>
      {run.input !== null && run.input !== undefined && <Value value={run.input} />}
      <AgentSteps steps={run.steps} />
      {run.status === "success" && <Value value={run.data ?? run.text ?? ""} />}
      {run.error_text && (
        <Text size="sm" c="var(--failed)">
          {run.error_text}
        </Text>
      )}
    </Stack>
  );
}
