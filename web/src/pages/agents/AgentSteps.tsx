/** The steps of an agent run: model responses and tool calls with their results. */
import { Accordion, Badge, Code, Group, Loader, Stack, Text } from "@mantine/core";
import { IconBrain, IconCircleX, IconFlag, IconQuestionMark, IconTool } from "@tabler/icons-react";
import type { Schemas } from "@/api/client";
import { duration, milliseconds } from "@/ui/format";
import classes from "./agents.module.css";

type AgentStep = Schemas["AgentStepOut"];

function Dot({ step }: { step: AgentStep }) {
  if (step.status === "running") return <Loader size={14} />;
  if (step.status === "failed" || step.status === "refused")
    return <IconCircleX size={16} color="var(--failed)" aria-hidden />;
  if (step.status === "asking" || step.status === "waiting") {
    return <IconQuestionMark size={16} color="var(--waiting)" aria-hidden />;
  }
  const Icon = step.kind === "tool" ? IconTool : step.kind === "start" ? IconFlag : IconBrain;
  return <Icon size={16} color="var(--quiet)" aria-hidden />;
}

/** A JSON value or text in full, in a box that scrolls. */
export function Value({ value }: { value: unknown }) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return (
    <Code
      block
      mah={320}
      style={{ overflow: "auto", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}
      tabIndex={0}
    >
      {text}
    </Code>
  );
}

function Called({ step }: { step: AgentStep }) {
  return (
    <Accordion
      variant="contained"
      chevronPosition="left"
      styles={{ control: { paddingBlock: 0 }, label: { paddingBlock: 8 } }}
    >
      <Accordion.Item value="call">
        <Accordion.Control>
          <Group gap="xs" wrap="nowrap">
            <Text size="sm" ff="monospace" fw={600}>
              {step.name}
            </Text>
            <Text size="xs" c="var(--quiet)" truncate flex={1}>
              {JSON.stringify(step.arguments)}
            </Text>
            {step.status !== "success" && (
              <Badge
                size="sm"
                variant="light"
                color={step.status === "failed" ? "red" : "orange"}
                tt="none"
                c="var(--mantine-color-text)"
              >
                {step.status}
              </Badge>
            )}
          </Group>
        </Accordion.Control>
        <Accordion.Panel>
          <Stack gap="xs">
            <Text size="xs" fw={600}>
              Arguments
            </Text>
            <Value value={step.arguments ?? null} />
            {step.result !== undefined && step.result !== null && (
              <>
                <Text size="xs" fw={600}>
                  Result
                </Text>
                <Value value={step.result} />
              </>
            )}
          </Stack>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}

function figures(step: AgentStep): string {
  const parts = [];
  if (step.input_tokens) parts.push(`${step.input_tokens} tokens in`);
  if (step.output_tokens) parts.push(`${step.output_tokens} out`);
  if (step.duration_us !== null) parts.push(duration(milliseconds(step.duration_us)));
  return parts.join(" · ");
}

const TITLES = { start: "Start", model: "Model", tool: "Tool" };

export function AgentSteps({ steps }: { steps: AgentStep[] }) {
  return (
    <ol className={classes.steps} aria-label="Steps">
      {steps.map((step) => (
        <li key={step.seq} className={classes.step}>
          <span className={classes.dot}>
            <Dot step={step} />
          </span>
          <Stack gap={4}>
            <Group gap="xs">
              <Text size="sm" fw={600}>
                {step.kind === "tool" ? "Tool" : TITLES[step.kind]}
              </Text>
              <Text size="xs" c="var(--quiet)">
                {figures(step)}
              </Text>
            </Group>
            {step.kind === "tool" && <Called step={step} />}
            {step.text && step.kind === "model" && (
              <Text size="sm" className={classes.says}>
                {step.text}
              </Text>
            )}
            {step.error_text && (
              <Text size="sm" c="var(--failed)" className={classes.says}>
                {step.error_text}
              </Text>
            )}
          </Stack>
        </li>
      ))}
    </ol>
  );
}
