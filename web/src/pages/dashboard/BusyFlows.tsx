import { Anchor, Text } from "@mantine/core";
import { Link } from "wouter";
import type { Schemas } from "@/api/client";
import { count, duration, percent } from "@/ui/format";
import { Card } from "@/ui/Page";
import { Table, Td, Tr } from "@/ui/Table";

const MOST = 5;

/** The flows with the most runs, with failure rate and duration. */
export function BusyFlows({ flows }: { flows: Schemas["FlowCountOut"][] }) {
  if (flows.length === 0) return null;
  const busiest = [...flows].sort((one, other) => other.total - one.total).slice(0, MOST);
  return (
    <Card title="Busiest flows" pad={false}>
      <Table label="Busiest flows" head={["Flow", "Runs", "Failed", "Duration (p95)"]} minWidth={420}>
        {busiest.map((flow) => (
          <Tr key={flow.workflow_id}>
            <Td>
              {flow.workflow_name === null ? (
                <Text size="sm" c="var(--quiet)">
                  Deleted flow
                </Text>
              ) : (
                <Anchor
                  component={Link}
                  href={`/runs?flow=${flow.workflow_id}`}
                  size="sm"
                  lineClamp={2}
                  title={flow.workflow_name}
                >
                  {flow.workflow_name}
                </Anchor>
              )}
            </Td>
            <Td>{count(flow.total)}</Td>
            <Td c={flow.failed > 0 ? "var(--failed)" : undefined}>{percent(flow.failure_rate)}</Td>
            <Td>{duration(flow.p95_duration_ms)}</Td>
          </Tr>
        ))}
      </Table>
    </Card>
  );
}
