import { Alert, Anchor, Badge, Group, SimpleGrid, Stack, Text, TextInput, Title, UnstyledButton } from "@mantine/core";
import { IconAlertTriangle, IconPlus, IconSearch } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "wouter";
import { api, type Schemas } from "@/api/client";
import { useSession } from "@/app/session";
import { Button } from "@/ui/Button";
import { NodeIcon } from "@/ui/NodeIcon";
import { Page } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Empty, LoadingRows, Refused } from "@/ui/states";
import classes from "./agents.module.css";

const LOOK = { category: "ai", icon: "robot" };
/** The names of the types of tools. */
const TOOLS: Record<string, string> = {
  http: "HTTP",
  code: "Code",
  store: "Key-value store",
  tables: "Tables",
  memory: "Memory",
  run_flow: "Run flows",
  sql: "SQL",
  mcp: "MCP",
  runs: "Runs",
  flows: "Flows",
};

function AgentCard({ agent }: { agent: Schemas["AgentOut"] }) {
  const tools = agent.tools.map((tool) => String(tool.type));
  return (
    <UnstyledButton component={Link} href={`/agents/${agent.id}`} className={classes.card}>
      <Stack gap="xs" h="100%">
        <Group gap="sm" wrap="nowrap">
          <NodeIcon type={LOOK} size={36} />
          <Stack gap={0} miw={0}>
            <Title order={2} size="h3" lineClamp={1}>
              {agent.name}
            </Title>
            <Quiet size="xs">{agent.builtin ? "Built in" : "Custom"}</Quiet>
          </Stack>
        </Group>
        <Quiet lineClamp={3} flex={1}>
          {agent.description || "No description"}
        </Quiet>
        <Group gap={6}>
          {tools.map((tool) => (
            <Badge key={tool} variant="light" color="gray" tt="none" fw={500} c="var(--mantine-color-text)">
              {TOOLS[tool] ?? tool}
            </Badge>
          ))}
          {agent.memory && (
            <Badge variant="light" tt="none" fw={500}>
              Memories in prompt
            </Badge>
          )}
        </Group>
      </Stack>
    </UnstyledButton>
  );
}

export default function Agents() {
  const { may } = useSession();
  const [search, setSearch] = useState("");
  const { data, error, isPending, refetch } = api.useQuery("get", "/api/agents", {
    params: { query: { limit: 200 } },
  });
  const words = search.toLowerCase();
  const found = data?.items.filter((agent) => `${agent.name} ${agent.description}`.toLowerCase().includes(words));

  return (
    <Page
      title="Agents"
      docs="agents"
      about="Language models with instructions, tools and limits. Try one here, or use it as a node in a flow."
      actions={
        may("editor") && (
          <Button component={Link} href="/agents/new" icon={IconPlus}>
            New agent
          </Button>
        )
      }
    >
      <NoModel reason={data?.no_model} />
      <TextInput
        aria-label="Search agents"
        placeholder="Search agents"
        leftSection={<IconSearch size={16} aria-hidden />}
        maw={320}
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
      />
      {isPending && <LoadingRows />}
      {error && <Refused error={error} onRetry={() => void refetch()} />}
      {found?.length === 0 && <Empty title="No matching agents" hint="Try other words, or create an agent." />}
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
        {found?.map((agent) => (
          <AgentCard key={agent.id} agent={agent} />
        ))}
      </SimpleGrid>
    </Page>
  );
}

interface Props {
  /** What is missing and what to do; null or undefined if nothing is. */
  reason: string | null | undefined;
}

/** A notice that agents have no language model yet, with the way to add one. Renders nothing without a reason. */
function NoModel({ reason }: Props) {
  if (reason == null) return null;
  return (
    <Alert
      color="yellow"
      variant="light"
      mb="md"
      title="Agents have no language model yet"
      // Mantine's yellow has too little contrast for text.
      styles={{ title: { color: "var(--waiting)" }, icon: { color: "var(--waiting)" } }}
      icon={<IconAlertTriangle aria-hidden />}
    >
      <Text size="sm">
        {reason}{" "}
        <Anchor component={Link} href="/credentials" inherit>
          Credentials
        </Anchor>
      </Text>
    </Alert>
  );
}
