import { Button, Menu, Text } from "@mantine/core";
import { IconChevronDown } from "@tabler/icons-react";
import type { Json } from "@/definition/types";
import { Time } from "@/ui/Time";
import { briefOf, fetchWhole } from "../values";
import type { Call } from "./calls";

interface LastCallsProps {
  calls: readonly Call[];
  onChoose: (input: Json) => void;
  onRefused: (error: unknown) => void;
}

/** Offer the inputs of the last calls of the flow's webhook. Renders nothing if there were none. */
export function LastCalls({ calls, onChoose, onRefused }: LastCallsProps) {
  if (calls.length === 0) return null;

  async function choose(call: Call) {
    try {
      onChoose((await fetchWhole(call.input)) as Json);
    } catch (error) {
      onRefused(error);
    }
  }

  return (
    <Menu position="bottom-start" shadow="md" width="target">
      <Menu.Target>
        <Button
          variant="default"
          fullWidth
          justify="space-between"
          rightSection={<IconChevronDown size={16} aria-hidden />}
        >
          Use input of a webhook call
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {calls.map((call) => (
          <Menu.Item key={call.id} onClick={() => void choose(call)}>
            <Text size="sm">
              <Time at={call.created_at} />
            </Text>
            <Text size="xs" c="var(--quiet)" truncate>
              {briefOf(call.input).text ?? "No input"}
            </Text>
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
