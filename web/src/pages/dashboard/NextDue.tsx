import { Anchor, Text } from "@mantine/core";
import { Link } from "wouter";
import type { Schemas } from "@/api/client";
import { NodeIcon } from "@/ui/NodeIcon";
import { Card } from "@/ui/Page";
import { LoadingRows } from "@/ui/states";
import { Time } from "@/ui/Time";
import classes from "./dashboard.module.css";
import { dueInWords } from "./due";

const MOST = 8;

/** The next scheduled starts. */
export function NextDue({ schedules }: { schedules: Schemas["ScheduleOut"][] | undefined }) {
  const next = schedules?.filter((one) => one.next_at !== null).slice(0, MOST);
  return (
    <Card title="Upcoming" pad={false}>
      {next === undefined ? (
        <LoadingRows rows={3} />
      ) : next.length === 0 ? (
        <Text size="sm" c="var(--quiet)" p="md">
          No active flow has a schedule.
        </Text>
      ) : (
        <ul className={classes.rows}>
          {next.map((one) => (
            <li key={`${one.workflow_id} ${one.node_id}`} className={classes.row}>
              <NodeIcon type={one} size={24} />
              <div className={classes.grow}>
                <Anchor
                  component={Link}
                  href={`/flows/${one.workflow_id}`}
                  size="sm"
                  fw={550}
                  truncate
                  display="block"
                >
                  {one.workflow_name}
                </Anchor>
                <Text size="xs" c="var(--quiet)" truncate title={one.describes}>
                  {dueInWords(one)}
                </Text>
              </div>
              <Text size="xs" c={one.overdue ? "var(--waiting)" : "var(--quiet)"} component="span">
                <Time at={one.next_at} />
              </Text>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
