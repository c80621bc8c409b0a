/** The items of a form, in order: add, move, change and remove them. One is open at a time. */

import {
  Badge,
  Checkbox,
  Group,
  Menu,
  NumberInput,
  Select,
  TagsInput,
  Text,
  Textarea,
  TextInput,
  UnstyledButton,
} from "@mantine/core";
import { IconChevronDown, IconChevronRight, IconPlus } from "@tabler/icons-react";
import { useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { Button } from "@/ui/Button";
import { Quiet } from "@/ui/Quiet";
import { useForm } from "../context";
import classes from "../forms.module.css";
import {
  asksFor,
  boundLabel,
  type FormItem,
  has,
  itemsOf,
  newItem,
  withKind,
  withTitle,
  written,
} from "../schema/formFields";
import { messagesOf } from "../schema/problems";
import { moved } from "../schema/shapes";
import type { InputProps } from "./FieldFrame";
import { JsonEditor } from "./JsonEditor";
import { RowMenu } from "./RowMenu";

type Numbered = FormItem & { id: number };

let nextId = 1;

function numbered(items: FormItem[]): Numbered[] {
  return items.map((item) => ({ ...item, id: nextId++ }));
}

/** Return the items with ids that stay the same while they are edited. */
function useRows(items: FormItem[], value: Json | undefined, onChange: InputProps["onChange"]) {
  const [rows, setRows] = useState(() => numbered(items));
  const told = useRef(JSON.stringify(value));
  const now = JSON.stringify(value);
  let shown = rows;
  if (now !== told.current) {
    told.current = now;
    shown = numbered(items);
    setRows(shown);
  }
  function change(next: Numbered[]) {
    setRows(next);
    const made = written(next.map(({ id: _id, ...item }) => item));
    told.current = JSON.stringify(made);
    onChange(made);
  }
  return { rows: shown, change };
}

/** Return the label of each kind, in order. */
function kindsOf(leaf: InputProps["leaf"]): [string, string][] {
  return Object.entries(leaf.each?.properties?.kind?.["x-enum-labels"] ?? {});
}

export function FormItemsEditor(props: InputProps) {
  const items = itemsOf(props.value);
  if (items === null)
    return (
      <JsonEditor
        id={props.id}
        label={props.leaf.label}
        value={props.value}
        onChange={props.onChange}
        accepts={(one) => (Array.isArray(one) ? undefined : "Must be a list: [ … ]")}
      />
    );
  return <Items {...props} items={items} />;
}

function Items({ id, leaf, value, onChange, errors, items }: InputProps & { items: FormItem[] }) {
  const { readOnly } = useForm();
  const { rows, change } = useRows(items, value, onChange);
  const [open, setOpen] = useState<number | null>(null);
  const kinds = kindsOf(leaf);
  const labels = Object.fromEntries(kinds);

  function add(kind: string, label: string) {
    const row = { ...newItem(kind, label, rows), id: nextId++ };
    setOpen(row.id);
    change([...rows, row]);
  }

  return (
    <div id={id} className={classes.rows}>
      {rows.map((row, at) => {
        const problems = messagesOf((errors as Record<number, InputProps["errors"]> | undefined)?.[at]);
        const name = row.title || row.name || labels[row.kind] || row.kind;
        return (
          // biome-ignore lint/a11y/useSemanticElements: a fieldset needs a legend, but its name is a button here
          <div
            key={row.id}
            className={classes.schemaField}
            role="group"
            aria-label={`Field ${at + 1}: ${name}`}
            data-page={row.kind === "page" || undefined}
          >
            <Group gap={6} wrap="nowrap">
              <UnstyledButton
                flex={1}
                miw={0}
                aria-expanded={open === row.id}
                onClick={() => setOpen(open === row.id ? null : row.id)}
              >
                <Group gap={6} wrap="nowrap">
                  {open === row.id ? (
                    <IconChevronDown size={14} aria-hidden style={{ flexShrink: 0 }} />
                  ) : (
                    <IconChevronRight size={14} aria-hidden style={{ flexShrink: 0 }} />
                  )}
                  <Text size="sm" fw={550} truncate>
                    {name}
                    {row.required && " *"}
                  </Text>
                  <Quiet size="xs" truncate>
                    {labels[row.kind] === name ? "" : labels[row.kind]}
                  </Quiet>
                </Group>
              </UnstyledButton>
              {problems.length > 0 && (
                <Badge size="xs" color="red" variant="light">
                  Fix
                </Badge>
              )}
              {!readOnly && (
                <RowMenu
                  label={name}
                  shape="text"
                  onUp={at > 0 ? () => change(moved(rows, at, -1)) : undefined}
                  onDown={at < rows.length - 1 ? () => change(moved(rows, at, 1)) : undefined}
                  onRemove={() => change(rows.filter((one) => one.id !== row.id))}
                />
              )}
            </Group>
            {problems.map((problem) => (
              <Text key={problem} size="xs" c="var(--failed)">
                {problem}
              </Text>
            ))}
            {open === row.id && (
              <Item
                id={`${id}-${row.id}`}
                item={row}
                others={rows.filter((one) => one.id !== row.id)}
                kinds={kinds}
                onChange={(next) => change(rows.map((one) => (one.id === row.id ? { ...next, id: row.id } : one)))}
              />
            )}
          </div>
        );
      })}
      {!readOnly && <AddMenu kinds={kinds} onAdd={add} />}
    </div>
  );
}

/** The kinds that are offered first; the others are below a line. */
const USUAL = 10;

function AddMenu({ kinds, onAdd }: { kinds: [string, string][]; onAdd: (kind: string, label: string) => void }) {
  return (
    <Menu position="bottom-start" withinPortal returnFocus={false}>
      <Menu.Target>
        <Button size="compact-sm" variant="default" style={{ alignSelf: "flex-start" }} icon={IconPlus}>
          Add field
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={360} style={{ overflowY: "auto" }}>
        {kinds.map(([kind, label], at) => (
          <div key={kind}>
            {at === USUAL && <Menu.Divider />}
            <Menu.Item onClick={() => onAdd(kind, label)}>{label}</Menu.Item>
          </div>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

interface ItemProps {
  id: string;
  item: FormItem;
  others: FormItem[];
  kinds: [string, string][];
  onChange: (item: FormItem) => void;
}

function Item({ id, item, others, kinds, onChange }: ItemProps) {
  const { readOnly } = useForm();
  const asks = asksFor(item.kind);
  const text = (part: "help" | "placeholder", label: string) => (
    <TextInput
      size="xs"
      label={label}
      value={item[part] ?? ""}
      readOnly={readOnly}
      onChange={(event) => onChange({ ...item, [part]: event.currentTarget.value })}
    />
  );
  return (
    <>
      <div className={classes.schemaRow} data-two>
        <Select
          size="xs"
          label="Kind"
          data={kinds.map(([value, label]) => ({ value, label }))}
          value={item.kind}
          readOnly={readOnly}
          onChange={(kind) => kind !== null && onChange(withKind(item, kind, others))}
        />
        {asks && (
          <TextInput
            id={`${id}-name`}
            size="xs"
            label="Name"
            value={item.name ?? ""}
            error={others.some((one) => one.name === item.name) ? "This name is already used" : undefined}
            readOnly={readOnly}
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => onChange({ ...item, name: event.currentTarget.value })}
          />
        )}
      </div>
      {item.kind !== "hidden" && (
        <Textarea
          size="xs"
          label={asks ? "Title" : item.kind === "page" ? "Title of the page" : "Text"}
          autosize
          minRows={1}
          maxRows={6}
          autoFocus
          value={item.title ?? ""}
          readOnly={readOnly}
          onChange={(event) => onChange(withTitle(item, event.currentTarget.value, others))}
        />
      )}
      {has(item, "options") && (
        <TagsInput
          size="xs"
          label="Choices"
          value={item.options ?? []}
          readOnly={readOnly}
          splitChars={[]}
          acceptValueOnBlur
          placeholder="Type a choice and press Enter"
          onChange={(options) => onChange({ ...item, options })}
        />
      )}
      {asks && item.kind !== "hidden" && text("help", "Help text")}
      {has(item, "placeholder") && text("placeholder", "Example in the empty field")}
      {has(item, "default") && (
        <TextInput
          size="xs"
          label="Value"
          value={typeof item.default === "string" ? item.default : ""}
          readOnly={readOnly}
          onChange={(event) => onChange({ ...item, default: event.currentTarget.value })}
        />
      )}
      {has(item, "accept") && (
        <TagsInput
          size="xs"
          label="File types"
          description="Endings such as .pdf; any file if empty"
          value={item.accept ?? []}
          readOnly={readOnly}
          acceptValueOnBlur
          onChange={(accept) =>
            onChange({ ...item, accept: accept.map((one) => (one.startsWith(".") ? one : `.${one}`)) })
          }
        />
      )}
      {(has(item, "min") || has(item, "max")) && (
        <div className={classes.schemaRow} data-two>
          {has(item, "min") && <Bound item={item} part="min" onChange={onChange} />}
          {has(item, "max") && <Bound item={item} part="max" onChange={onChange} />}
        </div>
      )}
      {asks && item.kind !== "hidden" && (
        <Checkbox
          size="xs"
          label={item.kind === "checkbox" ? "Must be checked" : "Required"}
          checked={item.required ?? false}
          disabled={readOnly}
          onChange={(event) => onChange({ ...item, required: event.currentTarget.checked })}
        />
      )}
      {has(item, "integer") && (
        <Checkbox
          size="xs"
          label="Whole number"
          checked={item.integer ?? false}
          disabled={readOnly}
          onChange={(event) => onChange({ ...item, integer: event.currentTarget.checked })}
        />
      )}
      {has(item, "prefill") && (
        <Checkbox
          size="xs"
          label={`Fill in from the address: ?${item.name ?? "name"}=…`}
          checked={item.prefill ?? false}
          disabled={readOnly}
          onChange={(event) => onChange({ ...item, prefill: event.currentTarget.checked })}
        />
      )}
    </>
  );
}

interface BoundProps {
  item: FormItem;
  part: "min" | "max";
  onChange: (item: FormItem) => void;
}

function Bound({ item, part, onChange }: BoundProps) {
  const { readOnly } = useForm();
  return (
    <NumberInput
      size="xs"
      label={boundLabel(item.kind, part)}
      value={item[part] ?? ""}
      readOnly={readOnly}
      onChange={(value) => onChange({ ...item, [part]: typeof value === "number" ? value : undefined })}
    />
  );
}
