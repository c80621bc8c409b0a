/** An editor for a value of any type: a table cell, a list item, a setting of any type. */
import { NumberInput, PasswordInput, Select, Text } from "@mantine/core";
import type { Json } from "@/definition/types";
import { useForm } from "../context";
import { TemplateField } from "../expression/TemplateField";
import { shapeOf } from "../schema/shapes";
import type { FieldSchema } from "../schema/types";
import { holdsExpression, isRecord } from "../schema/values";
import { choiceLabel, shownOf } from "../schema/words";
import { JsonEditor } from "./JsonEditor";
import { ListEditor } from "./ListEditor";
import { MapEditor } from "./MapEditor";
import { PartsEditor } from "./PartsEditor";

export interface ValueEditorProps {
  id: string;
  label: string;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  schema?: FieldSchema;
  literal: boolean;
  perItem?: boolean;
  depth?: number;
  multiline?: boolean;
  placeholder?: string;
  describedBy?: string;
  problems?: readonly string[];
  required?: boolean;
  autoFocus?: boolean;
}

/** Deeper tables are hard to read: show JSON instead. */
const DEEPEST = 2;

export function ValueEditor(props: ValueEditorProps) {
  const { id, label, value, onChange, schema, depth = 0 } = props;
  const { readOnly } = useForm();
  if (schema?.properties !== undefined && (isRecord(value) || value === "" || value === undefined)) {
    return <PartsEditor {...props} schema={schema} value={isRecord(value) ? value : {}} />;
  }
  if (schema?.enum !== undefined && !holdsExpression(value)) {
    return (
      <Select
        id={id}
        aria-label={label}
        data={schema.enum.map((one) => ({
          value: String(one),
          label: choiceLabel(one, schema["x-enum-labels"]),
        }))}
        {...shownOf(schema.enum)}
        value={value === undefined || value === "" ? null : String(value)}
        onChange={(chosen) => onChange(schema.enum?.find((one) => String(one) === chosen))}
        readOnly={readOnly}
      />
    );
  }
  if (schema?.["x-secret"] && typeof (value ?? "") === "string") {
    return (
      <PasswordInput
        id={id}
        aria-label={label}
        placeholder={props.placeholder}
        autoComplete="new-password"
        spellCheck={false}
        value={typeof value === "string" ? value : ""}
        readOnly={readOnly}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  // Without expressions, a number is edited as a number from the start.
  const isNumber = props.literal && (schema?.type === "number" || schema?.type === "integer");
  switch (isNumber && (value === "" || value === undefined) ? "number" : shapeOf(value)) {
    case "number":
      return (
        <NumberInput
          id={id}
          aria-label={label}
          value={value as number | ""}
          readOnly={readOnly}
          autoFocus={props.autoFocus}
          allowDecimal={schema?.type !== "integer"}
          onChange={(next) => onChange(next === "" ? (isNumber ? "" : 0) : Number(next))}
        />
      );
    case "boolean":
      return <YesOrNo {...props} />;
    case "null":
      return (
        <Text size="sm" c="var(--quiet)" py={8} px={4}>
          null
        </Text>
      );
    case "object":
    case "list":
      return depth > DEEPEST ? (
        <JsonEditor id={id} label={label} value={value} onChange={onChange} />
      ) : (
        <Nested {...props} />
      );
    default:
      return <TextValue {...props} />;
  }
}

function YesOrNo({ id, label, value, onChange }: ValueEditorProps) {
  const { readOnly } = useForm();
  return (
    <Select
      id={id}
      aria-label={label}
      data={["true", "false"]}
      value={String(value)}
      allowDeselect={false}
      readOnly={readOnly}
      onChange={(chosen) => onChange(chosen === "true")}
    />
  );
}

function Nested(props: ValueEditorProps) {
  const { id, label, value, onChange, literal, perItem, depth = 0 } = props;
  if (Array.isArray(value)) {
    const each = props.schema?.items;
    return <ListEditor {...{ id, label, value, onChange, each, literal, perItem, depth }} />;
  }
  const more = props.schema?.additionalProperties;
  const each = typeof more === "object" ? more : undefined;
  return (
    <MapEditor
      {...{ id, label, onChange, each, literal, perItem, depth }}
      value={isRecord(value) ? value : {}}
    />
  );
}

function TextValue(props: ValueEditorProps) {
  return (
    <TemplateField
      id={props.id}
      label={props.label}
      value={typeof props.value === "string" ? props.value : ""}
      onChange={props.onChange}
      literal={props.literal}
      perItem={props.perItem}
      multiline={props.multiline}
      placeholder={props.placeholder}
      describedBy={props.describedBy}
      problems={props.problems}
      required={props.required}
      autoFocus={props.autoFocus}
    />
  );
}
