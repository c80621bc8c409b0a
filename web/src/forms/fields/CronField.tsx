/** A cron expression: typed, or taken from a list of usual ones, and said in words. */
import { ActionIcon, Menu, Text, TextInput } from "@mantine/core";
import { IconClock } from "@tabler/icons-react";
import { useForm } from "../context";
import { CRON_EXAMPLES, cronInWords } from "../schema/cron";
import type { InputProps } from "./inputs";

function Examples({ onChoose }: { onChoose: (cron: string) => void }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label="Usual times">
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

export function CronField({ id, leaf, value, onChange, placeholder, problems, describedBy }: InputProps) {
  const { readOnly } = useForm();
  const text = typeof value === "string" ? value : "";
  const words = cronInWords(text);
  return (
    <div>
      <TextInput
        id={id}
        value={text}
        onChange={(event) => onChange(event.currentTarget.value)}
        placeholder={placeholder || "30 8 * * MON-FRI"}
        error={problems.length > 0}
        readOnly={readOnly}
        aria-describedby={describedBy}
        aria-required={leaf.required || undefined}
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
