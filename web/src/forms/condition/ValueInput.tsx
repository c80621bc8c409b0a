/** The value of a condition: plain, by the operator's type, or an expression. */
import { ActionIcon, Menu, NumberInput, Select, TagsInput, TextInput, Tooltip } from "@mantine/core";
import {
  IconAbc,
  IconBraces,
  IconCalendar,
  IconCheck,
  IconNumber123,
  IconToggleLeft,
} from "@tabler/icons-react";
import type { ReactElement } from "react";
import type { Json } from "@/definition/types";
import { useForm } from "../context";
import type { Scope } from "../expression/scope";
import { instantOf, localOf } from "../schema/times";
import type { Takes, Type, Value } from "./model";
import { PathInput } from "./PathInput";
import { literalText } from "./write";

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
    return value !== undefined && "literal" in value && Array.isArray(value.literal)
      ? value
      : { literal: [] };
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
        <Tooltip label={`${FORMS[form].label}: change`} openDelay={300}>
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
  const forms = formsOf(takes, type);
  const form = formOf(value, forms);
  function change(next: Form) {
    if (next === form) return;
    if (next !== "expression") onChange({ literal: FORMS[next].start });
    else
      onChange({ expression: "literal" in value && value.literal !== "" ? literalText(value.literal) : "" });
  }
  return (
    <div style={{ display: "flex", gap: 4 }}>
      <div style={{ flex: 1, minWidth: 0 }}>
        <Plain {...props} form={form} />
      </div>
      {!readOnly && <FormMenu label={label} form={form} forms={forms} onForm={change} />}
    </div>
  );
}

function Plain({
  id,
  label,
  value,
  onChange,
  scope,
  form,
  takes,
}: ValueInputProps & { form: Form }): ReactElement {
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
          allowDeselect={false}
          comboboxProps={{ withinPortal: true }}
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
