/** The file fields of a question. Loaded with the first one. */
import { Input, Stack, Text } from "@mantine/core";
import { useId } from "react";
import classes from "../question.module.css";
import { type Chosen, type FileField, limitsOf } from "./files";

interface FileFieldsProps {
  fields: readonly FileField[];
  chosen: Chosen;
  problems: Readonly<Record<string, string>>;
  disabled: boolean;
  onChange: (chosen: Chosen) => void;
}

export default function FileFields({ fields, chosen, problems, disabled, onChange }: FileFieldsProps) {
  const id = useId();
  return (
    <Stack gap="md">
      {fields.map((field) => (
        <Input.Wrapper
          key={field.name}
          id={`${id}-${field.name}`}
          label={field.title}
          required={field.required}
          description={[field.help, limitsOf(field)].filter((one) => one !== "").join(" ")}
          error={problems[field.name]}
        >
          <Input
            id={`${id}-${field.name}`}
            type="file"
            multiple={field.max > 1}
            accept={field.accept.join(",") || undefined}
            required={field.required}
            disabled={disabled}
            error={problems[field.name] !== undefined}
            classNames={{ input: classes.files }}
            onChange={(event) =>
              onChange({ ...chosen, [field.name]: [...(event.currentTarget.files ?? [])] })
            }
          />
          {(chosen[field.name]?.length ?? 0) > 1 && (
            <Text size="xs" mt={2}>
              {chosen[field.name]?.map((file) => file.name).join(", ")}
            </Text>
          )}
        </Input.Wrapper>
      ))}
    </Stack>
  );
}
