import { Badge, Group, Tabs } from "@mantine/core";
import { useSearchParams } from "wouter";
import { api } from "@/api/client";
import { Page } from "@/ui/Page";
import { LoadingRows, Refused } from "@/ui/states";
import { AgentDefinition } from "./AgentDefinition";
import { AgentMemory } from "./AgentMemory";
import { AgentLogs, TryOut } from "./TryOut";

const TABS = [
  { value: "try", label: "Try it" },
  { value: "definition", label: "Definition" },
  { value: "logs", label: "Logs" },
  { value: "memory", label: "Memory" },
];

const ABOVE = { path: "/agents", label: "Agents" };

export default function AgentPage({ id }: { id: string }) {
  if (id === "new") return <NewAgent />;
  return <KnownAgent id={id} />;
}

function NewAgent() {
  return (
    <Page title="New agent" above={ABOVE} about="A language model with instructions, tools and limits." width={860}>
      <AgentDefinition agent={null} />
    </Page>
  );
}

function KnownAgent({ id }: { id: string }) {
  const [search, setSearch] = useSearchParams();
  const { data: agent, error, refetch } = api.useQuery("get", "/api/agents/{name}", { params: { path: { name: id } } });
  const tab = search.get("tab") ?? "try";

  if (error) {
    return (
      <Page title="Agent" above={ABOVE}>
        <Refused error={error} onRetry={() => void refetch()} />
      </Page>
    );
  }
  if (!agent) {
    return (
      <Page title="Agent" above={ABOVE}>
        <LoadingRows />
      </Page>
    );
  }
  return (
    <Page
      title={agent.name}
      above={ABOVE}
      about={agent.description}
      width={1000}
      actions={
        <Group gap="xs">
          <Badge variant="light" color="gray" tt="none" c="var(--mantine-color-text)">
            {agent.model ?? "Default model"}
          </Badge>
          {agent.builtin && (
            <Badge variant="light" tt="none">
              built in
            </Badge>
          )}
        </Group>
      }
    >
      <Tabs value={tab} onChange={(next) => setSearch({ tab: next ?? "try" }, { replace: true })} keepMounted={false}>
        <Tabs.List mb="md">
          {TABS.map(({ value, label }) => (
            <Tabs.Tab key={value} value={value}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="try">
          <TryOut agent={agent} />
        </Tabs.Panel>
        <Tabs.Panel value="definition">
          <AgentDefinition key={agent.updated_at} agent={agent} />
        </Tabs.Panel>
        <Tabs.Panel value="logs">
          <AgentLogs agentId={agent.id} />
        </Tabs.Panel>
        <Tabs.Panel value="memory">
          <AgentMemory agentId={agent.id} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
