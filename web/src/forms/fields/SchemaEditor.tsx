/** A JSON Schema as a list of fields, or as JSON if it is too complex for the list. */

import { Button, Checkbox, Group, Select, TagsInput, Text, Textarea, TextInput } from "@mantine/core";
import { type ReactElement, useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { useForm } from "../context";
import classes from "../forms.module.css";
import {
  besides,
  emptyField,
  FIELD_TYPES,
  type Field,
  type FieldList,
  fieldFault,
  fieldListOf,
  isChoice,
  propertyOf,
  rechosen,
  retyped,
  schemaOf,
} from "../schema/fieldList";
import { kindOf, type Leaf, leafOf } from "../schema/leaf";
import { moved } from "../schema/shapes";
import type { FieldSchema } from "../schema/types";
import { isRecord } from "../schema/values";
import type { InputProps } from "./FieldFrame";
import { JsonEditor } from "./JsonEditor";
import { AddRow, RowMenu } from "./RowMenu";

interface SchemaEditorProps {
  id: string;
  label: string;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  /** Renders the input of a single value. */
  draw: (props: InputProps) => ReactElement;
}

export function SchemaEditor(props: SchemaEditorProps) {
  const { id, label, value, onChange } = props;
  const list = fieldListOf(value);
  // Once it is edited as JSON it stays JSON, so that the editor is not replaced while typing.
  const [asJson, setAsJson] = useState(list === null);
  if (list === null && !asJson) setAsJson(true);
  if (list !== null && !asJson) return <FieldsEditor {...props} list={list} />;
  return (
    <>
      <JsonEditor
        id={id}
        label={label}
        value={value}
        onChange={onChange}
        accepts={(one) => (isRecord(one) ? undefined : "Must be an object: { … }")}
      />
      {list === null ? (
        <Quiet size="xs">Too complex for the list of fields: edit as JSON.</Quiet>
      ) : (
        <Group>
          <Button size="compact-xs" variant="subtle" onClick={() => setAsJson(false)}>
            Show as list of fields
          </Button>
        </Group>
      )}
    </>
  );
}

type Numbered = Field & { id: number };
type Rows = Pick<FieldList, "around"> & { rows: Numbered[] };

let nextId = 1;

function rowsOf({ fields, around }: FieldList): Rows {
  return { around, rows: fields.map((field) => ({ ...field, id: nextId++ })) };
}

function writtenOf({ rows, around }: Rows): Json | undefined {
  return schemaOf({ around, fields: rows.map(({ id: _id, ...field }) => field) });
}

/** Return the fields; they are rebuilt only if the schema was changed from outside. */
function useFields(list: FieldList, { value, onChange }: SchemaEditorProps) {
  const [known, setKnown] = useState(() => rowsOf(list));
  const now = JSON.stringify(value);
  const told = useRef(now);
  let shown = known;
  if (now !== told.current) {
    told.current = now;
    shown = rowsOf(list);
    setKnown(shown);
  }
  function change(rows: Numbered[]) {
    const next = { ...shown, rows };
    setKnown(next);
    const made = writtenOf(next);
    const text = JSON.stringify(made);
    if (text === told.current) return;
    told.current = text;
    onChange(made);
  }
  return { rows: shown.rows, change };
}

function FieldsEditor(props: SchemaEditorProps & { list: FieldList }) {
  const { id, label, list, draw } = props;
  const { readOnly } = useForm();
  const { rows, change } = useFields(list, props);
  const [fresh, setFresh] = useState<number | null>(null);

  function add() {
    const row = { ...emptyField(), id: nextId++ };
    setFresh(row.id);
    change([...rows, row]);
  }
  return (
    <div className={classes.rows}>
      {rows.map((row, at) => (
        <FieldEditor
          key={row.id}
          id={`${id}-${row.id}`}
          label={row.name === "" ? `${label}, field ${at + 1}` : `${label}: ${row.name}`}
          field={row}
          fault={fieldFault(rows, row)}
          autoFocus={row.id === fresh}
          draw={draw}
          onChange={(next) => change(rows.map((one) => (one.id === row.id ? { ...next, id: row.id } : one)))}
          onUp={at > 0 ? () => change(moved(rows, at, -1)) : undefined}
          onDown={at < rows.length - 1 ? () => change(moved(rows, at, 1)) : undefined}
          onRemove={() => change(rows.filter((one) => one.id !== row.id))}
        />
      ))}
      <AddRow readOnly={readOnly} isEmpty={rows.length === 0} onAdd={add}>
        Add field
      </AddRow>
    </div>
  );
}

interface FieldEditorProps {
  id: string;
  label: string;
  field: Field;
  fault: string | undefined;
  autoFocus: boolean;
  draw: SchemaEditorProps["draw"];
  onChange: (field: Field) => void;
  onUp?: () => void;
  onDown?: () => void;
  onRemove: () => void;
}

function FieldEditor({ id, label, field, fault, autoFocus, draw, onChange, ...actions }: FieldEditorProps) {
  const { readOnly } = useForm();
  const more = besides(field);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset needs a legend, but the name is an input here
    <div className={classes.schemaField} role="group" aria-label={label}>
      <div className={classes.schemaRow}>
        <TextInput
          id={`${id}-name`}
          label="Name"
          size="xs"
          value={field.name}
          error={fault}
          readOnly={readOnly}
          autoFocus={autoFocus}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => onChange({ ...field, name: event.currentTarget.value })}
        />
        <Select
          label="Type"
          size="xs"
          data={FIELD_TYPES}
          value={field.type}
          readOnly={readOnly}
          onChange={(type) => type !== null && onChange(retyped(field, type))}
        />
        {!readOnly && <RowMenu label={label} shape="text" {...actions} />}
      </div>
      {isChoice(field.type) && (
        <TagsInput
          label="Choices"
          size="xs"
          value={field.choices}
          readOnly={readOnly}
          splitChars={[]}
          acceptValueOnBlur
          placeholder={field.choices.length === 0 ? "Type a choice and press Enter" : undefined}
          error={field.choices.length === 0 ? "Add at least one choice" : undefined}
          onChange={(choices) => onChange(rechosen(field, choices))}
        />
      )}
      <Textarea
        label="Help text"
        size="xs"
        rows={field.description.includes("\n") ? 3 : 1}
        resize="vertical"
        value={field.description}
        readOnly={readOnly}
        placeholder="Shown below the field"
        onChange={(event) => onChange({ ...field, description: event.currentTarget.value })}
      />
      <Default id={`${id}-default`} field={field} onChange={onChange} draw={draw} />
      <Checkbox
        size="xs"
        label="Required"
        checked={field.required}
        disabled={readOnly}
        onChange={(event) => onChange({ ...field, required: event.currentTarget.checked })}
      />
      {more !== "" && <Quiet size="xs">Also: {more}</Quiet>}
    </div>
  );
}

/** Return the form's input for the default value; a boolean can also be left empty. */
function leafOfDefault(field: Field): Leaf {
  const { default: _default, ...plain } = field;
  const shape: FieldSchema =
    field.type === "boolean" ? { enum: [true, false] } : propertyOf({ ...plain, description: "" });
  const kind = kindOf("value", shape, true) ?? "any";
  return leafOf("value", { ...shape, title: "Default" }, kind, {
    label: "Default",
    required: false,
    literal: true,
  });
}

type DefaultProps = Pick<FieldEditorProps, "id" | "field" | "onChange" | "draw">;

/** The default value of the field in the form. */
function Default({ id, field, onChange, draw }: DefaultProps) {
  const leaf = leafOfDefault(field);
  function set(value: Json | undefined) {
    const { default: _before, ...rest } = field;
    const isNone = value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
    onChange(isNone ? rest : { ...rest, default: value });
  }
  const nothing = { placeholder: "", problems: [], errors: undefined, describedBy: undefined };
  return (
    <div>
      <Text component="label" htmlFor={id} size="xs" fw={500}>
        {leaf.label}
      </Text>
      {draw({ id, name: "default", leaf, value: field.default, onChange: set, ...nothing })}
    </div>
  );
}
