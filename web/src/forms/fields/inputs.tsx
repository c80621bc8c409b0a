/** The inputs of the kinds of settings. */

import {
  Autocomplete,
  Box,
  Group,
  Menu,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  Skeleton,
  Switch,
  TagsInput,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import type { ErrorSchema } from "@rjsf/utils";
import { IconClock } from "@tabler/icons-react";
import { type ReactElement, Suspense, useMemo } from "react";
import { api } from "@/api/client";
import type { Json } from "@/definition/types";
import { CodeEditor } from "@/ui/CodeEditor";
import type { Language } from "@/ui/code/CodeMirror";
import { IconButton } from "@/ui/IconButton";
import { lazily } from "@/ui/lazily";
import { useForm } from "../context";
import { TemplateField } from "../expression/TemplateField";
import { CRON_EXAMPLES, cronInWords } from "../schema/cron";
import type { Kind, Leaf } from "../schema/leaf";
import { messagesOf } from "../schema/problems";
import { choiceLabel, howToChoose, keyOf, shownOf } from "../schema/types";
import { instantOf, isRecord, listOf, localOf } from "../schema/values";
import { CredentialField } from "./CredentialField";
import { type InputProps, useShared } from "./FieldFrame";
import { FormItemsEditor } from "./FormItemsEditor";
import { FullScreen, JsonEditor } from "./JsonEditor";
import { SchemaEditor } from "./SchemaEditor";
import { ListEditor, MapEditor, ValueEditor } from "./ValueEditor";

// A cron expression: typed, or chosen from common ones, with an explanation.

function Examples({ onChoose }: { onChoose: (cron: string) => void }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <IconButton label="Common schedules" icon={IconClock} />
      </Menu.Target>
      <Menu.Dropdown>
        {CRON_EXAMPLES.map(({ cron, label }) => (
          <Menu.Item key={cron} onClick={() => onChoose(cron)}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function CronField(props: InputProps) {
  const { value, onChange, placeholder } = props;
  const { readOnly, ...shared } = useShared(props);
  const text = typeof value === "string" ? value : "";
  const words = cronInWords(text);
  return (
    <div>
      <TextInput
        {...shared}
        value={text}
        onChange={(event) => onChange(event.currentTarget.value)}
        placeholder={placeholder || "For example 30 8 * * MON-FRI"}
        readOnly={readOnly}
        autoComplete="off"
        spellCheck={false}
        styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)" } }}
        rightSection={readOnly ? undefined : <Examples onChoose={onChange} />}
      />
      {words !== undefined && (
        <Text size="xs" mt={2} role="status">
          {words.charAt(0).toUpperCase() + words.slice(1)}
        </Text>
      )}
    </div>
  );
}

// Another flow, or an agent, chosen by name; the value is its id.

interface Choice {
  value: string;
  label: string;
}

interface RecordSelectProps extends InputProps {
  choices: Choice[] | undefined;
  what: string;
}

function RecordSelect(props: RecordSelectProps) {
  const { leaf, value, onChange, choices, what } = props;
  const shared = useShared(props);
  const chosen = typeof value === "string" && value !== "" ? value : null;
  const known = choices ?? [];
  const isForeign = chosen !== null && !known.some((one) => one.value === chosen);
  const data = isForeign ? [...known, { value: chosen, label: choices ? `${chosen} (not found)` : chosen }] : known;
  return (
    <Select
      {...shared}
      allowDeselect
      data={data}
      value={chosen}
      onChange={(next) => onChange(next ?? undefined)}
      placeholder={`Select ${what}`}
      nothingFoundMessage="No match"
      searchable
      limit={100}
      clearable={!leaf.required}
      clearButtonProps={{ "aria-label": `Clear ${leaf.label}` }}
    />
  );
}

function FlowField(props: InputProps) {
  const { expressions } = useForm();
  const { data } = api.useQuery("get", "/api/flows", { params: { query: { limit: 100 } } }, { staleTime: 30_000 });
  const choices = data?.items
    .filter((flow) => flow.id !== expressions?.flowId && flow.status !== "archived")
    .map((flow) => ({ value: flow.id, label: flow.name }));
  return <RecordSelect {...props} choices={choices} what="flow" />;
}

function AgentField(props: InputProps) {
  const { data } = api.useQuery("get", "/api/agents", {}, { staleTime: 30_000 });
  const choices = data?.items.map((agent) => ({ value: agent.id, label: agent.name }));
  return <RecordSelect {...props} choices={choices} what="agent" />;
}

const OptionsField = lazily(() => import("../options/OptionsField").then((part) => ({ default: part.OptionsField })));
const OptionsListField = lazily(() =>
  import("../options/OptionsListField").then((part) => ({ default: part.OptionsListField })),
);

const FieldsField = lazily(() => import("../connector/FieldsField"));

const NamesButton = lazily(() => import("../options/NamesButton").then((part) => ({ default: part.NamesButton })));

/** Return true if the kind has several inputs for this value, so that the label names a group. */
export function isGroup(leaf: Leaf, value: Json | undefined): boolean {
  if (leaf.kind === "list") return !isTags(leaf);
  if (leaf.kind === "any") return hasFields(leaf, value) || (typeof value === "object" && value !== null);
  if (leaf.kind === "options") return isLongList(leaf, value);
  return (
    leaf.kind === "map" ||
    leaf.kind === "json" ||
    leaf.kind === "code" ||
    leaf.kind === "schema" ||
    leaf.kind === "form"
  );
}

const BY_THEMSELVES = new Set<Kind>([
  "secret",
  "number",
  "boolean",
  "choice",
  "choices",
  "timezone",
  "cron",
  "date",
  "time",
  "datetime",
  "flow",
  "agent",
  "credential",
]);

/** Return true if the input shows help and problems itself. */
export function isDescribed(leaf: Leaf, value: Json | undefined, isPlain: boolean): boolean {
  if (leaf.kind === "list") return isTags(leaf) && areTexts(value);
  if (leaf.kind === "text") return isPlain;
  if (leaf.kind === "options") return !isLongList(leaf, value);
  return BY_THEMSELVES.has(leaf.kind);
}

/** Return true if the value has an input for each of its fields. */
export function hasFields(leaf: Leaf, value: Json | undefined): boolean {
  return leaf.fields !== undefined && (value === undefined || isRecord(value));
}

function areTexts(value: Json | undefined): boolean {
  return listOf(value).every((one) => typeof one === "string");
}

/** Return true if a list of choices has values that are not short, so that it is edited item by item. */
function isLongList(leaf: Leaf, value: Json | undefined): boolean {
  return leaf.many === true && listOf(value).some((one) => typeof one === "object");
}

/** A list of short literal texts is edited in a single tags input. */
function isTags(leaf: Leaf): boolean {
  return leaf.literal && leaf.each?.type === "string";
}

function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

// The on-screen keyboard of a phone. The server checks the address.
const INPUT_MODES: Record<string, "email" | "url"> = { email: "email", uri: "url" };

function TextInputOf(props: InputProps) {
  const { id, leaf, value, onChange, placeholder, problems, describedBy } = props;
  return withNames(
    props,
    <TemplateField
      id={id}
      label={leaf.label}
      value={textOf(value)}
      onChange={onChange}
      placeholder={placeholder}
      multiline={leaf.multiline}
      literal={leaf.literal}
      perItem={leaf.perItem}
      required={leaf.required}
      problems={problems}
      describedBy={describedBy}
      help={leaf.help}
      inputMode={INPUT_MODES[leaf.format ?? ""]}
    />,
  );
}

/** Return the field with a list of names from the workspace, if it is a name, or a list of files. */
function withNames(props: InputProps, field: ReactElement): ReactElement {
  const { names } = props.leaf;
  if (names === undefined || (names !== "files" && typeof (props.value ?? "") === "object")) return field;
  return (
    <Group gap={4} wrap="nowrap" align="flex-start">
      <Box flex={1} miw={0}>
        {field}
      </Box>
      <Suspense fallback={null}>
        <NamesButton {...props} names={names} />
      </Suspense>
    </Group>
  );
}

const LANGUAGES = new Set(["json", "python", "sql", "markdown", "html"]);

function CodeInput({ leaf, value, onChange, placeholder, id, problems }: InputProps) {
  const { readOnly } = useForm();
  const language = LANGUAGES.has(leaf.language ?? "") ? (leaf.language as Language) : "text";
  return (
    <div id={id}>
      <CodeEditor
        value={textOf(value)}
        onChange={onChange}
        language={language}
        label={leaf.label}
        placeholder={placeholder === "" ? undefined : placeholder}
        readOnly={readOnly}
        minHeight={120}
        maxHeight="50vh"
      />
      <FullScreen
        label={leaf.label}
        value={textOf(value)}
        onChange={onChange}
        language={language}
        names={leaf.scope}
        problems={problems}
      />
    </div>
  );
}

function SecretInput(props: InputProps) {
  const { leaf, value, onChange } = props;
  const more = { ...useShared(props), value: textOf(value), autoComplete: "new-password", spellCheck: false };
  if (leaf.multiline) {
    return (
      <Textarea {...more} autosize minRows={3} maxRows={8} onChange={(event) => onChange(event.currentTarget.value)} />
    );
  }
  return <PasswordInput {...more} onChange={(event) => onChange(event.currentTarget.value)} />;
}

function NumberField(props: InputProps) {
  const { leaf, value, onChange } = props;
  return (
    <NumberInput
      {...useShared(props)}
      value={typeof value === "number" ? value : ""}
      allowDecimal={!leaf.integer}
      min={leaf.minimum}
      max={leaf.maximum}
      clampBehavior="none"
      onChange={(next) => onChange(typeof next === "number" ? next : next === "" ? undefined : Number(next))}
    />
  );
}

function BooleanField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const { readOnly, placeholder: _none, inputWrapperOrder: _order, ...shared } = useShared(props);
  const on = typeof value === "boolean" ? value : leaf.default === true;
  return (
    <Switch
      {...shared}
      checked={on}
      disabled={readOnly}
      label={on ? "Yes" : "No"}
      onChange={(event) => {
        const next = event.currentTarget.checked;
        onChange(next === (leaf.default ?? false) && value !== undefined && !leaf.required ? undefined : next);
      }}
    />
  );
}

function optionsOf(leaf: Leaf, value: Json | undefined): { value: string; label: string }[] {
  const known = leaf.choices ?? [];
  const isForeign = value !== undefined && value !== null && !known.some((one) => keyOf(one) === keyOf(value));
  return [...known, ...(isForeign ? [value] : [])].map((one) => ({
    value: keyOf(one),
    label: choiceLabel(one, leaf.labels),
  }));
}

function ChoiceField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const data = useMemo(() => optionsOf(leaf, value), [leaf, value]);
  return (
    <Select
      {...useShared(props)}
      allowDeselect
      {...shownOf(leaf.choices)}
      data={data}
      value={value === undefined || value === null ? null : keyOf(value)}
      placeholder={props.placeholder === "" ? howToChoose(leaf.choices) : choiceLabel(leaf.default, leaf.labels)}
      clearable={!leaf.required}
      clearButtonProps={{ "aria-label": `Clear ${leaf.label}` }}
      onChange={(chosen) => onChange(leaf.choices?.find((one) => keyOf(one) === chosen))}
    />
  );
}

function ChoicesField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const chosen = Array.isArray(value) ? value.map(keyOf) : [];
  const data = useMemo(() => optionsOf(leaf, undefined), [leaf]);
  return (
    <MultiSelect
      {...useShared(props)}
      {...shownOf(leaf.choices)}
      placeholder={chosen.length === 0 ? props.placeholder : undefined}
      data={data}
      value={chosen}
      onChange={(next) => onChange(leaf.choices?.filter((one) => next.includes(keyOf(one))) as Json[])}
    />
  );
}

function ListField(props: InputProps) {
  const { id, leaf, onChange, errors } = props;
  const shared = useShared(props);
  const value = listOf(props.value);
  if (isTags(leaf) && areTexts(value)) {
    return (
      <TagsInput
        {...shared}
        value={value as string[]}
        onChange={onChange}
        splitChars={[]}
        placeholder={value.length === 0 ? "Type and press Enter" : undefined}
        acceptValueOnBlur
      />
    );
  }
  return (
    <ListEditor
      id={id}
      label={leaf.label}
      value={value}
      onChange={onChange}
      each={leaf.each}
      literal={leaf.literal}
      perItem={leaf.perItem}
      problemsOf={(at) => messagesOf(part(errors, at))}
    />
  );
}

function part(errors: ErrorSchema | undefined, key: string | number): ErrorSchema | undefined {
  return (errors as Record<string, ErrorSchema | undefined> | undefined)?.[key];
}

/** Return an input for each field of an object, if these are known, or else its editor. */
function withFields(props: InputProps, editor: ReactElement): ReactElement {
  const { fields } = props.leaf;
  if (fields === undefined || !hasFields(props.leaf, props.value)) return editor;
  return (
    <Suspense fallback={<Skeleton height={36} />}>
      <FieldsField {...props} source={fields}>
        {editor}
      </FieldsField>
    </Suspense>
  );
}

function MapField(props: InputProps) {
  const { id, leaf, value, onChange, errors } = props;
  return withFields(
    props,
    <MapEditor
      id={id}
      label={leaf.label}
      value={isRecord(value) ? value : {}}
      onChange={onChange}
      each={leaf.each}
      literal={leaf.literal}
      perItem={leaf.perItem}
      begun={leaf.required}
      problemsOf={(key) => messagesOf(part(errors, key))}
    />,
  );
}

function JsonField({ id, leaf, value, onChange }: InputProps) {
  return (
    <JsonEditor
      id={id}
      label={leaf.label}
      value={value}
      onChange={onChange}
      accepts={(one) => (isRecord(one) ? undefined : "Must be an object: { … }")}
    />
  );
}

function SchemaField({ id, leaf, value, onChange }: InputProps) {
  const draw = (props: InputProps) => INPUTS[props.leaf.kind](props);
  return <SchemaEditor id={id} label={leaf.label} value={value} onChange={onChange} draw={draw} />;
}

function ListedField(props: InputProps) {
  const { options } = props.leaf;
  if (options === undefined) return <TextInputOf {...props} />;
  if (isLongList(props.leaf, props.value)) return <ListField {...props} />;
  const Field = props.leaf.many ? OptionsListField : OptionsField;
  return (
    <Suspense fallback={<Skeleton height={36} />}>
      <Field {...props} source={options} />
    </Suspense>
  );
}

function AnyField(props: InputProps) {
  const { id, leaf, value, onChange, placeholder, describedBy, problems, errors } = props;
  const editor = (
    <ValueEditor
      id={id}
      label={leaf.label}
      value={value}
      onChange={onChange}
      literal={leaf.literal}
      perItem={leaf.perItem}
      multiline={leaf.multiline}
      placeholder={placeholder === "" && leaf.language === "jinja" ? "{{ input.… }}" : placeholder}
      describedBy={describedBy}
      problems={problems}
      problemsOf={(key) => messagesOf(part(errors, key))}
      required={leaf.required}
    />
  );
  return leaf.fields === undefined ? withNames(props, editor) : withFields(props, editor);
}

function zones(): string[] {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const all = Intl.supportedValuesOf("timeZone");
  return [...new Set([here, "UTC", ...all])];
}

function TimezoneField(props: InputProps) {
  const { value, onChange, placeholder } = props;
  const shared = useShared(props);
  const data = useMemo(zones, []);
  return (
    <Autocomplete
      {...shared}
      data={data}
      limit={50}
      value={typeof value === "string" ? value : ""}
      onChange={onChange}
      placeholder={placeholder || `For example ${data[0]}`}
    />
  );
}

interface Look {
  type: string;
  /** Return the value in the input's format; empty if the input cannot show it. */
  shown: (value: string) => string;
  written: (text: string) => string | undefined;
}

const LOOKS: Record<string, Look> = {
  date: {
    type: "date",
    shown: (value) => (/^\d{4}-\d\d-\d\d$/.test(value) ? value : ""),
    written: (text) => text || undefined,
  },
  time: {
    type: "time",
    shown: (value) => (/^\d\d:\d\d(:\d\d)?$/.test(value) ? value : ""),
    written: (text) => text || undefined,
  },
  datetime: { type: "datetime-local", shown: localOf, written: instantOf },
};
const TEXT: Look = { type: "text", shown: (value) => value, written: (text) => text || undefined };

function TimeField(props: InputProps) {
  const { leaf, value, onChange } = props;
  const text = typeof value === "string" ? value : "";
  const look = LOOKS[leaf.kind] ?? TEXT;
  const { type, shown, written } = text === "" || look.shown(text) !== "" ? look : TEXT;
  return (
    <TextInput
      {...useShared(props)}
      type={type}
      value={shown(text)}
      onChange={(event) => onChange(written(event.currentTarget.value))}
    />
  );
}

export const INPUTS: Record<Kind, (props: InputProps) => ReactElement> = {
  text: (props) => <TextInputOf {...props} />,
  code: (props) => <CodeInput {...props} />,
  secret: (props) => <SecretInput {...props} />,
  number: (props) => <NumberField {...props} />,
  boolean: (props) => <BooleanField {...props} />,
  choice: (props) => <ChoiceField {...props} />,
  choices: (props) => <ChoicesField {...props} />,
  list: (props) => <ListField {...props} />,
  map: (props) => <MapField {...props} />,
  json: (props) => <JsonField {...props} />,
  schema: (props) => <SchemaField {...props} />,
  form: (props) => <FormItemsEditor {...props} />,
  any: (props) => <AnyField {...props} />,
  credential: (props) => <CredentialField {...props} />,
  timezone: (props) => <TimezoneField {...props} />,
  cron: (props) => <CronField {...props} />,
  date: (props) => <TimeField {...props} />,
  time: (props) => <TimeField {...props} />,
  datetime: (props) => <TimeField {...props} />,
  flow: (props) => <FlowField {...props} />,
  agent: (props) => <AgentField {...props} />,
  options: (props) => <ListedField {...props} />,
};
