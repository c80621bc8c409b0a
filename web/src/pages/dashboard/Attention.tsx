import { Anchor, Text } from "@mantine/core";
import { IconAlertTriangle, IconCircleX, IconClockExclamation, IconUserCheck } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { usePack } from "@/api/catalogue";
import { api, type Schemas } from "@/api/client";
import { CALM } from "@/api/queries";
import { firstLine, waitingText } from "@/runs/words";
import { lazyPage } from "@/ui/lazily";
import { Card } from "@/ui/Page";
import { Quiet } from "@/ui/Quiet";
import { Time } from "@/ui/Time";
import classes from "./dashboard.module.css";
import { dueInWords } from "./figures";

interface ItemProps {
  icon: ReactNode;
  title: string;
  /** The page of the title, if it has one. */
  href?: string;
  about: string | null;
  /** The text of the tooltip, if it is not `about`. */
  hint?: string;
  /** True if `about` is an error. */
  bad?: boolean;
  action?: ReactNode;
  /** The time, at the end of the row. */
  children: ReactNode;
}

/** A row of a list: a title with a line about it, and a time. */
export function Item({ icon, title, href, about, hint, bad = false, action, children }: ItemProps) {
  const look = { size: "sm", fw: 550, truncate: true, display: "block" } as const;
  return (
    <li className={classes.row}>
      {icon}
      <div className={classes.grow}>
        {href === undefined ? (
          <Text {...look}>{title}</Text>
        ) : (
          <Anchor component={Link} href={href} {...look}>
            {title}
          </Anchor>
        )}
        {about !== null && (
          <Text size="xs" c={bad ? "var(--failed)" : "var(--quiet)"} truncate title={hint ?? about}>
            {about}
          </Text>
        )}
      </div>
      {action}
      <Quiet size="xs" component="span" ta="right">
        {children}
      </Quiet>
    </li>
  );
}

/** Its dialog is not for the first page: such webhooks are rare. */
const FailedWebhooks = lazyPage(
  () => import("./FailedWebhooks").then(({ FailedWebhooks: type }) => ({ default: type })),
  null,
);

const MOST = 5;
const FAILING = {
  params: { query: { failing: true, brief: true, status: "active", limit: MOST, sort: "last_run" } },
} as const;
const HOOKS = { params: { query: { limit: MOST } } } as const;
const WAITING = { params: { query: { waiting: true, brief: true, limit: MOST } } } as const;

/** Problems and tasks: overdue schedules, failing flows, polls and webhooks, runs that wait for an answer. */
export function Attention({ schedules }: { schedules: Schemas["ScheduleOut"][] | undefined }) {
  const refetchInterval = 2 * CALM;
  const waiting = api.useQuery("get", "/api/runs", WAITING, { refetchInterval });
  const failing = api.useQuery("get", "/api/flows", FAILING, { refetchInterval });
  const hooks = api.useQuery("get", "/api/registered-webhooks", HOOKS, {
    refetchInterval,
    enabled: usePack("connectors"),
  });
  const left = hooks.data?.items ?? [];
  const late = schedules?.filter((one) => one.overdue) ?? [];
  const broken = schedules?.filter((one) => one.last_error !== null) ?? [];
  const asked = waiting.data?.items ?? [];
  const flows = failing.data?.items ?? [];
  if (asked.length + late.length + broken.length + flows.length + left.length === 0) return null;
  const more = Boolean(waiting.data?.next_cursor || failing.data?.next_cursor);
  return (
    <div className={classes.attention}>
      <Card title="Needs attention" pad={false}>
        <ul className={classes.rows}>
          {late.map((one) => (
            <Item
              key={`late ${one.workflow_id} ${one.node_id}`}
              icon={<IconClockExclamation size={20} color="var(--waiting)" role="img" aria-label="Overdue" />}
              href={`/flows/${one.workflow_id}`}
              title={one.workflow_name}
              about={`Overdue: ${dueInWords(one)}`}
            >
              <Time at={one.next_at} />
            </Item>
          ))}
          {flows.map((flow) => (
            <Item
              key={flow.id}
              icon={<IconCircleX size={20} color="var(--failed)" role="img" aria-label="Failing" />}
              href={flow.last_run ? `/runs/${flow.last_run.id}` : `/flows/${flow.id}`}
              title={flow.name}
              about={firstLine(flow.last_run?.error_text ?? "The last run failed")}
              bad
            >
              <Time at={flow.last_run?.finished_at} />
            </Item>
          ))}
          {broken.map((one) => (
            <Item
              key={`poll ${one.workflow_id} ${one.node_id}`}
              icon={<IconAlertTriangle size={20} color="var(--failed)" role="img" aria-label="Poll failed" />}
              href={`/flows/${one.workflow_id}`}
              title={one.workflow_name}
              about={`Poll failed: ${firstLine(one.last_error ?? "")}`}
              bad
            >
              <Time at={one.last_at} />
            </Item>
          ))}
          {left.length > 0 && <FailedWebhooks hooks={left} onChange={hooks.refetch} />}
          {asked.map((run) => (
            <Item
              key={run.id}
              icon={<IconUserCheck size={20} color="var(--waiting)" role="img" aria-label="Waiting for an answer" />}
              href={`/runs/${run.id}`}
              title={run.workflow_name}
              about={run.waiting ? waitingText(run.waiting) : "Waiting for an answer"}
            >
              <Time at={run.created_at} />
            </Item>
          ))}
        </ul>
        {more && (
          <Text size="sm" px="md" py="xs" style={{ borderTop: "1px solid var(--line)" }}>
            More: <More href="/waiting">all approvals</More>,{" "}
            <More href="/flows?result=failing">all failing flows</More>
          </Text>
        )}
      </Card>
    </div>
  );
}

function More({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Anchor component={Link} href={href} inherit underline="always">
      {children}
    </Anchor>
  );
}
