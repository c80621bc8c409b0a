/** The form of an input. Loaded when the first one is shown. */
import type { ErrorSchema } from "@rjsf/utils";
import { useMemo } from "react";
import type { Json } from "@/definition/types";
import { SchemaForm } from "@/forms/SchemaForm";
import { FoldingProvider } from "@/forms/templates";

const ALL = { usual: new Set<string>(), remembered: "", all: true };

interface InputFormProps {
  schema: Record<string, Json>;
  value: Record<string, Json>;
  errors: ErrorSchema | undefined;
  onChange: (value: Record<string, Json>) => void;
}

export default function InputForm({ schema, value, errors, onChange }: InputFormProps) {
  // Its title and description are already shown above the form.
  const fields = useMemo(() => {
    const { title: _title, description: _description, ...rest } = schema;
    return rest;
  }, [schema]);
  return (
    <FoldingProvider value={ALL}>
      <SchemaForm schema={fields} value={value} errors={errors} plain onChange={onChange} />
    </FoldingProvider>
  );
}
