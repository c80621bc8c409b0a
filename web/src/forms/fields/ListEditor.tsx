/** A list, edited item by item. */
import { Text } from "@mantine/core";
import { useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { useForm } from "../context";
import classes from "../forms.module.css";
import { moved, reshape, shapeOf } from "../schema/shapes";
import type { FieldSchema } from "../schema/types";
import { AddRow } from "./AddRow";
import { RowMenu } from "./RowMenu";
import { ValueEditor } from "./ValueEditor";

interface ListEditorProps {
  id: string;
  label: string;
  value: Json[];
  onChange: (value: Json[]) => void;
  each?: FieldSchema;
  literal: boolean;
  perItem?: boolean;
  depth?: number;
  problemsOf?: (at: number) => string[];
}

interface Item {
  id: number;
  value: Json;
}

let nextId = 1;

function itemsOf(value: Json[]): Item[] {
  return value.map((one) => ({ id: nextId++, value: one }));
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
    const item: Item = { id: nextId++, value: literal && each?.type === "boolean" ? false : "" };
    setFresh(item.id);
    change([...items, item]);
  }

  return (
    <div id={id} className={classes.rows}>
      {items.map((item, at) => {
        const set = (value: Json) =>
          change(items.map((one) => (one.id === item.id ? { ...one, value } : one)));
        const shape = shapeOf(item.value);
        const name = `${label}, item ${at + 1}`;
        return (
          <div key={item.id}>
            <div
              className={classes.row}
              data-single
              data-tall={shape === "object" || shape === "list" || undefined}
            >
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
            {problemsOf?.(at).map((problem) => (
              <Text key={problem} size="xs" c="var(--failed)">
                {problem}
              </Text>
            ))}
          </div>
        );
      })}
      <AddRow readOnly={readOnly} isEmpty={items.length === 0} onAdd={add}>
        Add item
      </AddRow>
    </div>
  );
}
