import { Text } from "@mantine/core";
import type { Schemas } from "@/api/client";
import { NodeIcon } from "@/ui/NodeIcon";
import { Card } from "@/ui/Page";
import { LoadingRows } from "@/ui/states";
import { Time } from "@/ui/Time";
import classes from "./dashboard.module.css";
import { dueInWords } from "./due";
import { Item } from "./Item";

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
            <Item
              key={`${one.workflow_id} ${one.node_id}`}
              icon={<NodeIcon type={one} size={24} />}
              href={`/flows/${one.workflow_id}`}
              title={one.workflow_name}
              about={dueInWords(one)}
              hint={one.describes}
            >
              <Text inherit span c={one.overdue ? "var(--waiting)" : undefined}>
                <Time at={one.next_at} />
              </Text>
            </Item>
          ))}
        </ul>
      )}
    </Card>
  );
}
