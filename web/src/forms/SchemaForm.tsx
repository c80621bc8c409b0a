/** A form drawn from a schema: the form library handles nesting, our own fields handle single values. */
// Import parts: the whole package includes test code that requires a compiling validator.
import { Text } from "@mantine/core";
import Form from "@rjsf/core/lib/components/Form.js";
import buttons from "@rjsf/mantine/lib/templates/ButtonTemplates/index.js";
import FieldErrorTemplate from "@rjsf/mantine/lib/templates/FieldErrorTemplate.js";
import MultiSchemaFieldTemplate from "@rjsf/mantine/lib/templates/MultiSchemaFieldTemplate.js";
import TitleFieldTemplate from "@rjsf/mantine/lib/templates/TitleField.js";
import SelectWidget from "@rjsf/mantine/lib/widgets/SelectWidget.js";
import type { DescriptionFieldProps, ErrorSchema, Experimental_DefaultFormStateBehavior } from "@rjsf/utils";
import { useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { type ActiveEditor, ActiveProvider, SettingsProvider } from "./context";
import { clearTarget, setTarget } from "./expression/picked";
import type { Path } from "./expression/scope";
import { Words } from "./fields/FieldFrame";
import { LeafField } from "./fields/LeafField";
import { ArrayFieldItemTemplate, ArrayFieldTemplate } from "./lists";
import { formSchema } from "./schema/formSchema";
import type { FieldSchema } from "./schema/types";
import { withoutHoles } from "./schema/values";
import { FieldTemplate, ObjectFieldTemplate } from "./templates";
import { validator } from "./validator";

const NO_DEFAULTS: Experimental_DefaultFormStateBehavior = {
  emptyObjectFields: "skipDefaults",
  arrayMinItems: { populate: "never" },
  allOf: "skipDefaults",
  constAsDefaults: "never",
};

interface SchemaFormProps {
  schema: unknown;
  value: Record<string, Json>;
  onChange: (next: Record<string, Json>) => void;
  errors?: ErrorSchema;
  /** True if no setting may hold an expression. */
  plain?: boolean;
  readOnly?: boolean;
}

/** Tracks the focused editor, into which paths are inserted. */
function useActiveEditor(): ActiveEditor {
  const [id, setId] = useState<string | null>(null);
  const into = useRef<(path: Path) => void>(() => {});
  const activate = useCallback((next: string, insert: (path: Path) => void) => {
    into.current = insert;
    setTarget(insert);
    setId(next);
  }, []);
  useEffect(() => () => clearTarget(into.current), []);
  const insert = useCallback((path: Path) => into.current(path), []);
  return useMemo(() => ({ id, activate, insert }), [id, activate, insert]);
}

export function SchemaForm({
  schema,
  value,
  onChange,
  errors,
  plain = false,
  readOnly = false,
}: SchemaFormProps) {
  const form = useMemo(() => {
    const made = formSchema(schema, plain);
    // Changes are reported immediately; there is no submit.
    return { ...made, uiSchema: { ...made.uiSchema, "ui:submitButtonOptions": { norender: true } } };
  }, [schema, plain]);
  const active = useActiveEditor();
  const prefix = `f${useId().replace(/\W/g, "")}`;
  const now = JSON.stringify(value);
  const settings = useMemo(
    () => ({ schema: schema as FieldSchema, value, onChange }),
    [schema, value, onChange],
  );
  return (
    <ActiveProvider value={active}>
      <SettingsProvider value={settings}>
        <Form
          tagName="div"
          idPrefix={prefix}
          schema={form.schema}
          uiSchema={form.uiSchema}
          formData={value}
          validator={validator}
          templates={templates}
          widgets={widgets}
          fields={fields}
          readonly={readOnly}
          extraErrors={errors}
          noValidate
          noHtml5Validate
          showErrorList={false}
          experimental_defaultFormStateBehavior={NO_DEFAULTS}
          onChange={({ formData }) => {
            const next = withoutHoles((formData ?? {}) as Record<string, Json>);
            if (JSON.stringify(next) !== now) onChange(next);
          }}
        />
      </SettingsProvider>
    </ActiveProvider>
  );
}

function DescriptionFieldTemplate({ id, description }: DescriptionFieldProps) {
  if (!description) return null;
  return (
    <Text id={id} size="xs" c="var(--quiet)">
      {typeof description === "string" ? <Words text={description} /> : description}
    </Text>
  );
}

/**
 * The parts of the form library that are used: Mantine's templates for titles and choices between schemas. They are
 * imported one by one: the whole package includes a date picker and a compiling validator.
 */
const templates = {
  ArrayFieldItemTemplate,
  ArrayFieldTemplate,
  ButtonTemplates: buttons(),
  DescriptionFieldTemplate,
  FieldErrorTemplate,
  FieldTemplate,
  MultiSchemaFieldTemplate,
  ObjectFieldTemplate,
  TitleFieldTemplate,
};
const widgets = { SelectWidget };
const fields = { LeafField };
