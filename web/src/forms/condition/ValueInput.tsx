/** The value of a condition: plain, by the operator's type, or an expression. */

import {
  ActionIcon,
  Autocomplete,
  Group,
  Menu,
  NumberInput,
  Select,
  TagsInput,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { IconAbc, IconBraces, IconCalendar, IconCheck, IconNumber123, IconToggleLeft } from "@tabler/icons-react";
import { type ReactElement, useMemo, useRef } from "react";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { useForm } from "../context";
import { brief, type Path, pathIn, pathText, type Scope, valueAt } from "../expression/scope";
import { usePicked } from "../fields/FieldFrame";
import { instantOf, localOf } from "../schema/values";
import { newRule, type Op, operatorOf, type Rule, type Takes, TYPES, type Type, type Value } from "./model";
import { operandFault } from "./read";
import { literalText } from "./write";

// Fields to offer in a condition: the paths of the data of the last run.

const MOST = 150;
const DEEP = 4;

interface Suggestion {
  text: string;
  value: Json | undefined;
}

function collect(path: Path, value: Json | undefined, found: Suggestion[]): void {
  if (found.length >= MOST) return;
  found.push({ text: pathText(path), value });
  if (path.length > DEEP || typeof value !== "object" || value === null || Array.isArray(value)) return;
  for (const [key, one] of Object.entries(value)) collect([...path, key], one, found);
}

/** Return the paths in the data, nearest first. */
function suggestionsOf(scope: Scope): Suggestion[] {
  const found: Suggestion[] = [];
  if (scope.perItem) {
    collect(["item"], scope.item, found);
    found.push({ text: "index", value: undefined });
  }
  collect(["input"], scope.input, found);
  for (const step of scope.steps) collect(["steps", step.id], step.output, found);
  collect(["trigger"], scope.trigger, found);
  for (const [name, value] of Object.entries(scope.vars ?? {})) collect(["vars", name], value, found);
  return found.slice(0, MOST);
}

const STEP = /\.([A-Za-z_]\w*)|\[\s*(?:"((?:[^"\\]|\\.)*)"|'([^'\\]*)'|(-?\d+))\s*\]/gy;

/** Return the path that the text is; undefined for any other expression. */
function pathOf(text: string): Path | undefined {
  const root = /^[A-Za-z_]\w*/.exec(text)?.[0];
  if (root === undefined) return undefined;
  const path: Path = [root];
  STEP.lastIndex = root.length;
  let end = root.length;
  while (end < text.length) {
    const found = STEP.exec(text);
    if (found === null) return undefined;
    const [, name, double, single, number] = found;
    if (number !== undefined) path.push(Number(number));
    else path.push(name ?? single ?? double?.replace(/\\(.)/g, "$1") ?? "");
    end = STEP.lastIndex;
  }
  return path;
}

/** Return the value of a field in the last run; undefined if the text is not a path, or the value is unknown. */
export function valueIn(text: string, scope: Scope): Json | undefined {
  const path = pathOf(text.trim());
  return path === undefined ? undefined : valueAt(scope, path)?.value;
}

// An input for an expression without braces, which offers the paths of the last run's data.

interface PathInputProps {
  id: string;
  label: string;
  value: string;
  onChange: (text: string) => void;
  /** Called instead for a path of the list: it is complete, unlike a text being typed. */
  onChoose?: (text: string) => void;
  scope: Scope;
  placeholder?: string;
  autoFocus?: boolean;
}

/** A path that is dragged or pasted from elsewhere may have its braces. */
function withoutBraces(text: string): string {
  return /^\s*\{\{(.*)\}\}\s*$/s.exec(text)?.[1]?.trim() ?? text;
}

export function PathInput({ id, label, value, onChange, onChoose, scope, placeholder, autoFocus }: PathInputProps) {
  const { readOnly } = useForm();
  // A dragged or clicked field replaces the text: it is a whole operand.
  const picked = usePicked(id, readOnly ? undefined : (path) => (onChoose ?? onChange)(pathText(pathIn(scope, path))));
  const input = useRef<HTMLInputElement>(null);
  const chosen = useRef<string | null>(null);
  const known = useMemo(() => suggestionsOf(scope), [scope]);
  const details = useMemo(() => new Map(known.map((one) => [one.text, brief(one.value, 24)])), [known]);
  const fault = value.trim() === "" ? undefined : operandFault(value);
  return (
    <Autocomplete
      ref={input}
      id={id}
      aria-label={label}
      data={readOnly ? [] : [...details.keys()]}
      limit={50}
      value={value}
      onOptionSubmit={(text) => {
        chosen.current = text;
      }}
      onChange={(text) => {
        const isChosen = chosen.current === text;
        chosen.current = null;
        if (isChosen && onChoose !== undefined) onChoose(text);
        else onChange(withoutBraces(text));
      }}
      wrapperProps={picked}
      placeholder={placeholder}
      error={fault}
      readOnly={readOnly}
      autoFocus={autoFocus}
      spellCheck={false}
      autoCapitalize="off"
      comboboxProps={{ width: "max-content", position: "bottom-start" }}
      styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 13 } }}
      renderOption={({ option }) => (
        <Group gap="md" justify="space-between" wrap="nowrap" w="100%" maw={440}>
          <Text size="xs" ff="monospace" truncate>
            {option.value}
          </Text>
          <Quiet size="xs" truncate>
            {details.get(option.value)}
          </Quiet>
        </Group>
      )}
    />
  );
}

type Form = "text" | "number" | "boolean" | "date" | "expression";

const FORMS: Record<Form, { label: string; icon: typeof IconAbc; start: Json }> = {
  text: { label: "Text", icon: IconAbc, start: "" },
  number: { label: "Number", icon: IconNumber123, start: 0 },
  boolean: { label: "Boolean", icon: IconToggleLeft, start: true },
  date: { label: "Date", icon: IconCalendar, start: "" },
  expression: { label: "Expression", icon: IconBraces, start: "" },
};

function formsOf(takes: Takes, type: Type): Form[] {
  if (takes === "item") return ["text", "number", "boolean", "expression"];
  if (takes === "count") return ["number", "expression"];
  const plain: Form = takes === "same" && (type === "number" || type === "date") ? type : "text";
  return [plain, "expression"];
}

/** Return the input for the value; a value of another type than the operator's is shown as an expression. */
function formOf(value: Value, forms: Form[]): Form {
  if ("expression" in value) return "expression";
  const wanted = typeof value.literal === "string" ? ["text", "date"] : [typeof value.literal];
  return forms.find((form) => wanted.includes(form)) ?? "expression";
}

/** Convert a value for an operator that takes another one, as far as that is possible. */
export function convertValue(value: Value | undefined, takes: Takes, type: Type): Value | undefined {
  if (takes === "none") return undefined;
  if (takes === "list") {
    return value !== undefined && "literal" in value && Array.isArray(value.literal) ? value : { literal: [] };
  }
  const [first = "text"] = formsOf(takes, type);
  if (value === undefined) return { literal: FORMS[first].start };
  if ("expression" in value || formOf(value, formsOf(takes, type)) !== "expression") return value;
  const { literal } = value;
  if (first === "number") return { literal: Number(literal) || 0 };
  return { literal: typeof literal === "number" ? String(literal) : FORMS[first].start };
}

interface ValueInputProps {
  id: string;
  label: string;
  takes: Takes;
  type: Type;
  value: Value;
  onChange: (value: Value) => void;
  scope: Scope;
}

function FormMenu({
  label,
  form,
  forms,
  onForm,
}: {
  label: string;
  form: Form;
  forms: Form[];
  onForm: (form: Form) => void;
}) {
  const Icon = FORMS[form].icon;
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Tooltip label={`${FORMS[form].label}: change`}>
          <ActionIcon variant="default" size={36} aria-label={`${label}: ${FORMS[form].label}, change`}>
            <Icon size={16} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        {forms.map((one) => (
          <Menu.Item
            key={one}
            aria-current={one === form || undefined}
            rightSection={one === form ? <IconCheck size={14} aria-label="Selected" /> : undefined}
            onClick={() => onForm(one)}
          >
            {FORMS[one].label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** Numbers stay numbers in a list for a number. */
function listed(texts: string[], type: Type): Json[] {
  return texts.map((text) =>
    type === "number" && text.trim() !== "" && !Number.isNaN(Number(text)) ? Number(text) : text,
  );
}

export function ValueInput(props: ValueInputProps): ReactElement {
  const { id, label, takes, type, value, onChange } = props;
  const { readOnly } = useForm();
  const forms = formsOf(takes, type);
  const form = formOf(value, forms);
  // The input for an expression takes a picked field itself.
  const takesPicked = !readOnly && takes !== "list" && form !== "expression";
  const pick = (path: Path) => onChange({ expression: pathText(pathIn(props.scope, path)) });
  const picked = usePicked(id, takesPicked ? pick : undefined);
  if (takes === "list") {
    const items = "literal" in value && Array.isArray(value.literal) ? value.literal : [];
    return (
      <TagsInput
        id={id}
        aria-label={label}
        value={items.map(String)}
        onChange={(texts) => onChange({ literal: listed(texts, type) })}
        splitChars={[]}
        acceptValueOnBlur
        readOnly={readOnly}
        placeholder={items.length === 0 ? "Type and press Enter" : undefined}
      />
    );
  }
  function change(next: Form) {
    if (next === form) return;
    if (next !== "expression") onChange({ literal: FORMS[next].start });
    else onChange({ expression: "literal" in value && value.literal !== "" ? literalText(value.literal) : "" });
  }
  return (
    <div {...picked} style={{ display: "flex", gap: 4 }}>
      <div style={{ flex: 1, minWidth: 0 }}>
        <Plain {...props} form={form} />
      </div>
      {!readOnly && <FormMenu label={label} form={form} forms={forms} onForm={change} />}
    </div>
  );
}

function Plain({ id, label, value, onChange, scope, form, takes }: ValueInputProps & { form: Form }): ReactElement {
  const { readOnly } = useForm();
  const shared = { id, "aria-label": label, readOnly };
  const literal = "literal" in value ? value.literal : "";
  const set = (next: Json) => onChange({ literal: next });
  switch (form) {
    case "number":
      return (
        <NumberInput
          {...shared}
          value={literal as number}
          hideControls
          min={takes === "count" ? 0 : undefined}
          onChange={(next) => set(next === "" ? 0 : Number(next))}
        />
      );
    case "boolean":
      return (
        <Select
          {...shared}
          data={["true", "false"]}
          value={String(literal)}
          onChange={(next) => set(next === "true")}
        />
      );
    case "date":
      return <DateInput {...shared} text={String(literal)} onChange={set} />;
    case "expression":
      return (
        <PathInput
          id={id}
          label={label}
          value={"expression" in value ? value.expression : literalText(value.literal)}
          onChange={(expression) => onChange({ expression })}
          scope={scope}
          placeholder="vars.limit"
        />
      );
    default:
      return (
        <TextInput
          {...shared}
          value={String(literal)}
          autoComplete="off"
          spellCheck={false}
          placeholder="Value"
          onChange={(event) => set(event.currentTarget.value)}
        />
      );
  }
}

interface DateInputProps {
  id: string;
  "aria-label": string;
  readOnly: boolean;
  text: string;
  onChange: (text: string) => void;
}

/** A time in the browser's zone, stored in UTC. */
function DateInput({ text, onChange, ...shared }: DateInputProps) {
  return (
    <TextInput
      {...shared}
      type="datetime-local"
      value={localOf(text)}
      onChange={(event) => onChange(instantOf(event.currentTarget.value) ?? "")}
    />
  );
}

// Rows whose field changes: the type of the field in the last run decides how they go on.

/** Return true if the user has chosen neither operator nor value: the row is as a new one of some type. */
function isUntouched(rule: Rule): boolean {
  const value = JSON.stringify(rule.value);
  return (
    !rule.isChosen &&
    TYPES.some(({ type }) => {
      const fresh = newRule(rule.field, type);
      return fresh.op === rule.op && JSON.stringify(fresh.value) === value;
    })
  );
}

/**
 * Return the row with another field, whose type is `known` in the last run; an untouched row is replaced by a new one for it.
 * While `input.total` is typed, the field is `input` for a moment: its type does not stay.
 */
export function withField(rule: Rule, field: string, known: Type | undefined): Rule {
  if (!isUntouched(rule)) return { ...rule, field };
  if (known === undefined) return rule.as === undefined ? { ...rule, field } : newRule(field);
  return { ...newRule(field, known), as: known };
}

/** Return the row with a field of the list. An operator that the field's type lacks is replaced unless it was chosen. */
export function withChosenField(rule: Rule, field: string, known: Type | undefined): Rule {
  if (known === undefined || rule.isChosen || isUntouched(rule)) return withField(rule, field, known);
  const op = operatorOf(known, rule.op) === undefined ? (newRule("", known).op as Op) : rule.op;
  const takes = operatorOf(known, op)?.takes ?? "none";
  const value = convertValue(rule.value, takes, known);
  return { field, op, as: known, ...(value === undefined ? {} : { value }) };
}
