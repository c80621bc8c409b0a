/** An object with known settings within a table or a list: a small field for each. */
import { Stack, Text } from "@mantine/core";
import type { Json } from "@/definition/types";
import type { FieldSchema } from "../schema/types";
import { ValueEditor, type ValueEditorProps } from "./ValueEditor";

type PartsEditorProps = Omit<ValueEditorProps, "schema" | "value"> & {
  schema: FieldSchema;
  value: Record<string, Json>;
};

export function PartsEditor({
  id,
  label,
  value,
  onChange,
  schema,
  literal,
  perItem,
  depth,
}: PartsEditorProps) {
  function set(key: string, one: Json | undefined) {
    const { [key]: _before, ...rest } = value;
    onChange(one === undefined || one === "" ? rest : { ...rest, [key]: one });
  }
  return (
    <Stack gap={6}>
      {Object.entries(schema.properties ?? {}).map(([key, part]) => (
        <div key={key}>
          <Text size="xs" fw={550} component="div">
            {part.title ?? key}
          </Text>
          <ValueEditor
            id={`${id}-${key}`}
            label={`${label}: ${part.title ?? key}`}
            value={value[key]}
            onChange={(one) => set(key, one)}
            schema={part}
            literal={literal || part["x-literal"] === true}
            perItem={perItem}
            depth={(depth ?? 0) + 1}
            placeholder={part.description}
          />
        </div>
      ))}
    </Stack>
  );
}
