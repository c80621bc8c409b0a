/** An editor for a value of any type: a table cell, a list item, a setting of any type. */

import { NumberInput, PasswordInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { useForm } from "../context";
import { TemplateField } from "../expression/TemplateField";
import classes from "../forms.module.css";
import { moved, objectOf, type Row, reshape, rowFault, shapeOf } from "../schema/shapes";
import { choiceLabel, type FieldSchema, shownOf } from "../schema/types";
import { holdsExpression, isRecord } from "../schema/values";
import { Problems } from "./FieldFrame";
import { JsonEditor } from "./JsonEditor";
import { AddRow, RowMenu } from "./RowMenu";

// An object with known settings within a table or a list: a small field for each.

type PartsEditorProps = Omit<ValueEditorProps, "schema" | "value"> & {
  schema: FieldSchema;
  value: Record<string, Json>;
};

function PartsEditor({ id, label, value, onChange, schema, literal, perItem, depth }: PartsEditorProps) {
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

/** Return the problems of a part of the value: of a key, or of an item at an index. */
type ProblemsOf = (part: string | number) => string[];

// A list, edited item by item.

interface ListEditorProps {
  id: string;
  label: string;
  value: Json[];
  onChange: (value: Json[]) => void;
  each?: FieldSchema;
  literal: boolean;
  perItem?: boolean;
  depth?: number;
  problemsOf?: ProblemsOf;
}

interface Item {
  id: number;
  value: Json;
}

let nextItem = 1;

function itemsOf(value: Json[]): Item[] {
  return value.map((one) => ({ id: nextItem++, value: one }));
}

/** Return the items with ids that stay the same when they move. */
function useItems(value: Json[], onChange: (value: Json[]) => void) {
  const [items, setItems] = useState(() => itemsOf(value));
  const told = useRef(JSON.stringify(value));
  const now = JSON.stringify(value);
  let shown = items;
  if (now !== told.current) {
    told.current = now;
    shown = itemsOf(value);
    setItems(shown);
  }
  function change(next: Item[]) {
    setItems(next);
    const made = next.map((one) => one.value);
    told.current = JSON.stringify(made);
    onChange(made);
  }
  return { items: shown, change };
}

export function ListEditor(props: ListEditorProps) {
  const { id, label, each, literal, perItem, depth = 0, problemsOf } = props;
  const { readOnly } = useForm();
  const { items, change } = useItems(props.value, props.onChange);
  const [fresh, setFresh] = useState<number | null>(null);

  function add() {
    const item: Item = { id: nextItem++, value: literal && each?.type === "boolean" ? false : "" };
    setFresh(item.id);
    change([...items, item]);
  }

  return (
    <div id={id} className={classes.rows}>
      {items.map((item, at) => {
        const set = (value: Json) => change(items.map((one) => (one.id === item.id ? { ...one, value } : one)));
        const shape = shapeOf(item.value);
        const name = `${label}, item ${at + 1}`;
        const problems = problemsOf?.(at) ?? [];
        return (
          <div key={item.id}>
            <div className={classes.row} data-single data-tall={shape === "object" || shape === "list" || undefined}>
              <div className={classes.value}>
                <ValueEditor
                  id={`${id}-${item.id}`}
                  label={name}
                  value={item.value}
                  onChange={(value) => set(value ?? "")}
                  schema={each}
                  literal={literal}
                  perItem={perItem}
                  depth={depth + 1}
                  problems={literal ? undefined : problems}
                  autoFocus={item.id === fresh}
                />
              </div>
              {!readOnly && (
                <RowMenu
                  label={name}
                  shape={shape}
                  onShape={each?.type === "string" ? undefined : (to) => set(reshape(item.value, to))}
                  onUp={at > 0 ? () => change(moved(items, at, -1)) : undefined}
                  onDown={at < items.length - 1 ? () => change(moved(items, at, 1)) : undefined}
                  onRemove={() => change(items.filter((one) => one.id !== item.id))}
                />
              )}
            </div>
            <Problems id={`${id}-${item.id}`} problems={problems} />
          </div>
        );
      })}
      <AddRow readOnly={readOnly} isEmpty={items.length === 0} onAdd={add}>
        Add item
      </AddRow>
    </div>
  );
}

// An object, edited as a table of names and values.

interface MapEditorProps {
  id: string;
  label: string;
  value: Record<string, Json>;
  onChange: (value: Record<string, Json>) => void;
  /** The schema of each value. */
  each?: FieldSchema;
  literal: boolean;
  perItem?: boolean;
  depth?: number;
  /** True if an empty object starts with an empty row. */
  begun?: boolean;
  problemsOf?: ProblemsOf;
}

let nextId = 1;

function rowsOf(value: Record<string, Json>): Row[] {
  return Object.entries(value).map(([key, one]) => ({ id: nextId++, key, value: one }));
}

function emptyRow(): Row {
  return { id: nextId++, key: "", value: "" };
}

/** Return the rows, with a first empty one if `begun`; they are rebuilt only if the value was changed from outside. */
function useRows(value: Record<string, Json>, onChange: (value: Record<string, Json>) => void, begun: boolean) {
  const [rows, setRows] = useState(() => {
    const known = rowsOf(value);
    return begun && known.length === 0 ? [emptyRow()] : known;
  });
  const told = useRef(JSON.stringify(objectOf(rows)));
  const now = JSON.stringify(value);
  let shown = rows;
  if (now !== told.current) {
    told.current = now;
    shown = rowsOf(value);
    setRows(shown);
  }
  function change(next: Row[]) {
    setRows(next);
    const made = objectOf(next);
    const text = JSON.stringify(made);
    if (text === told.current) return;
    told.current = text;
    onChange(made);
  }
  return { rows: shown, change };
}

export function MapEditor(props: MapEditorProps) {
  const { id, label, each, literal, perItem, depth = 0, problemsOf } = props;
  const { readOnly } = useForm();
  const { rows, change } = useRows(props.value, props.onChange, props.begun === true && !readOnly);
  const [fresh, setFresh] = useState<number | null>(null);

  function add() {
    const row = emptyRow();
    setFresh(row.id);
    change([...rows, row]);
  }

  return (
    <div id={id} className={classes.rows}>
      {rows.map((row, at) => {
        const set = (more: Partial<Row>) => change(rows.map((one) => (one.id === row.id ? { ...one, ...more } : one)));
        const fault = rowFault(rows, row);
        const problems = problemsOf?.(row.key) ?? [];
        const shape = shapeOf(row.value);
        const name = row.key === "" ? `${label}, row ${at + 1}` : `${label}: ${row.key}`;
        return (
          <div key={row.id}>
            <div className={classes.row} data-tall={shape === "object" || shape === "list" || undefined}>
              <TextInput
                aria-label={`${label}: name ${at + 1}`}
                placeholder="Name"
                value={row.key}
                error={fault !== undefined}
                readOnly={readOnly}
                autoFocus={row.id === fresh}
                autoComplete="off"
                spellCheck={false}
                onChange={(event) => set({ key: event.currentTarget.value })}
              />
              <div className={classes.value}>
                <ValueEditor
                  id={`${id}-${row.id}`}
                  label={name}
                  value={row.value}
                  onChange={(value) => set({ value: value ?? "" })}
                  schema={each}
                  literal={literal}
                  perItem={perItem}
                  depth={depth + 1}
                  problems={literal ? undefined : problems}
                  placeholder="Value"
                />
              </div>
              {!readOnly && (
                <RowMenu
                  label={name}
                  shape={shape}
                  onShape={each?.type === "string" ? undefined : (to) => set({ value: reshape(row.value, to) })}
                  onUp={at > 0 ? () => change(moved(rows, at, -1)) : undefined}
                  onDown={at < rows.length - 1 ? () => change(moved(rows, at, 1)) : undefined}
                  onRemove={() => change(rows.filter((one) => one.id !== row.id))}
                />
              )}
            </div>
            <Problems id={`${id}-${row.id}`} problems={[...(fault ? [fault] : []), ...problems]} />
          </div>
        );
      })}
      <AddRow readOnly={readOnly} isEmpty={rows.length === 0} onAdd={add}>
        Add row
      </AddRow>
    </div>
  );
}

interface ValueEditorProps {
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
  problemsOf?: ProblemsOf;
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
        allowDeselect
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
        <Quiet py={8} px={4}>
          null
        </Quiet>
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
      readOnly={readOnly}
      onChange={(chosen) => onChange(chosen === "true")}
    />
  );
}

function Nested(props: ValueEditorProps) {
  const { id, label, value, onChange, literal, perItem, depth = 0, problemsOf } = props;
  if (Array.isArray(value)) {
    const each = props.schema?.items;
    return <ListEditor {...{ id, label, value, onChange, each, literal, perItem, depth, problemsOf }} />;
  }
  const more = props.schema?.additionalProperties;
  const each = typeof more === "object" ? more : undefined;
  const whole = isRecord(value) ? value : {};
  return <MapEditor {...{ id, label, onChange, each, literal, perItem, depth, problemsOf }} value={whole} />;
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
