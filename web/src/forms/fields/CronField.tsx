/** A cron expression: typed, or chosen from common ones, with an explanation. */
import { ActionIcon, Menu, Text, TextInput } from "@mantine/core";
import { IconClock } from "@tabler/icons-react";
import { CRON_EXAMPLES, cronInWords } from "../schema/cron";
import { type InputProps, useShared } from "./shared";

function Examples({ onChoose }: { onChoose: (cron: string) => void }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label="Common schedules">
          <IconClock size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {CRON_EXAMPLES.map(({ cron, label }) => (
          <Menu.Item key={cron} onClick={() => onChoose(cron)}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

export function CronField(props: InputProps) {
  const { value, onChange, placeholder } = props;
  const { readOnly, ...shared } = useShared(props);
  const text = typeof value === "string" ? value : "";
  const words = cronInWords(text);
  return (
    <div>
      <TextInput
        {...shared}
        value={text}
        onChange={(event) => onChange(event.currentTarget.value)}
        placeholder={placeholder || "For example 30 8 * * MON-FRI"}
        readOnly={readOnly}
        autoComplete="off"
        spellCheck={false}
        styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
        rightSection={readOnly ? undefined : <Examples onChoose={onChange} />}
      />
      {words !== undefined && (
        <Text size="xs" mt={2} role="status">
          {words.charAt(0).toUpperCase() + words.slice(1)}
        </Text>
      )}
    </div>
  );
}
