/** The file fields of a question. Loaded with the first one. */

import { Input, Stack, Text } from "@mantine/core";
import { useId } from "react";
import { ApiError, type Schemas } from "@/api/client";
import { sendForm } from "@/api/sendForm";
import classes from "../question.module.css";
import { type Chosen, type FileField, limitsOf, problemsOf } from "./files";

// Send the answer to a question with files.

/** Resolve when the server accepted the answer. Throws ApiError. */
export async function sendFiles(
  run: string,
  question: Schemas["QuestionOut"],
  { answer, comment, body }: Schemas["AnswerIn"],
  chosen: Chosen,
  onProgress: (part: number) => void,
): Promise<void> {
  const [first, ...others] = problemsOf(question.files, chosen);
  if (first !== undefined) throw new ApiError(400, first.message, [first, ...others]);
  const form = new FormData();
  form.set("answer", answer ?? "");
  form.set("comment", comment ?? "");
  form.set("body", JSON.stringify(body ?? {}));
  for (const [name, files] of Object.entries(chosen)) {
    for (const file of files) form.append(name, file, file.name);
  }
  const node = encodeURIComponent(question.node_id);
  await sendForm(`/api/runs/${encodeURIComponent(run)}/resume?node=${node}`, form, onProgress);
}

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
            onChange={(event) => onChange({ ...chosen, [field.name]: [...(event.currentTarget.files ?? [])] })}
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
