/** An object, edited as a table of names and values. */
import { Text, TextInput } from "@mantine/core";
import { useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { useForm } from "../context";
import classes from "../forms.module.css";
import { moved, objectOf, type Row, reshape, rowFault, shapeOf } from "../schema/shapes";
import type { FieldSchema } from "../schema/types";
import { AddRow } from "./AddRow";
import { RowMenu } from "./RowMenu";
import { ValueEditor } from "./ValueEditor";

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
  /** Return the problem of a name's value. */
  problemsOf?: (key: string) => string[];
}

let nextId = 1;

function rowsOf(value: Record<string, Json>): Row[] {
  return Object.entries(value).map(([key, one]) => ({ id: nextId++, key, value: one }));
}

function emptyRow(): Row {
  return { id: nextId++, key: "", value: "" };
}

/** Return the rows, with a first empty one if `begun`; they are rebuilt only if the value was changed from outside. */
function useRows(
  value: Record<string, Json>,
  onChange: (value: Record<string, Json>) => void,
  begun: boolean,
) {
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
        const set = (more: Partial<Row>) =>
          change(rows.map((one) => (one.id === row.id ? { ...one, ...more } : one)));
        const fault = rowFault(rows, row);
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
                  placeholder="Value"
                />
              </div>
              {!readOnly && (
                <RowMenu
                  label={name}
                  shape={shape}
                  onShape={
                    each?.type === "string" ? undefined : (to) => set({ value: reshape(row.value, to) })
                  }
                  onUp={at > 0 ? () => change(moved(rows, at, -1)) : undefined}
                  onDown={at < rows.length - 1 ? () => change(moved(rows, at, 1)) : undefined}
                  onRemove={() => change(rows.filter((one) => one.id !== row.id))}
                />
              )}
            </div>
            {[...(fault ? [fault] : []), ...(problemsOf?.(row.key) ?? [])].map((problem) => (
              <Text key={problem} size="xs" c="var(--failed)">
                {problem}
              </Text>
            ))}
          </div>
        );
      })}
      <AddRow readOnly={readOnly} isEmpty={rows.length === 0} onAdd={add}>
        Add row
      </AddRow>
    </div>
  );
}
