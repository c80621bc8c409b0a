import { SimpleGrid, Stack, Text } from "@mantine/core";
import type { FieldChange } from "@/definition/diff";
import type { Json } from "@/definition/types";
import classes from "./versions.module.css";

function textOfValue(value: Json | undefined): string {
  if (value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function Value({ value, side }: { value: Json | undefined; side: "before" | "after" }) {
  return (
    <Stack gap={2} miw={0}>
      <Text size="xs" c="var(--quiet)">
        {side === "before" ? "Before" : "After"}
      </Text>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre className={classes.value} data-side={side} tabIndex={0}>
        {textOfValue(value)}
      </pre>
    </Stack>
  );
}

/** The changed fields with their values before and after. */
export function Fields({ fields }: { fields: FieldChange[] }) {
  return (
    <Stack gap="sm">
      {fields.map((field) => (
        <Stack gap={4} key={field.path}>
          <Text size="sm" ff="monospace">
            {field.path}
          </Text>
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
            <Value value={field.before} side="before" />
            <Value value={field.after} side="after" />
          </SimpleGrid>
        </Stack>
      ))}
    </Stack>
  );
}
