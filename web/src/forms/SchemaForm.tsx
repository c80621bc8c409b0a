/** A form drawn from a schema: the form library handles nesting, our own fields handle single values. */
// Import parts: the whole package includes test code that requires a compiling validator.

import { ActionIcon, Button, Group, Menu, Text, Tooltip, VisuallyHidden } from "@mantine/core";
import Form from "@rjsf/core/lib/components/Form.js";
import buttons from "@rjsf/mantine/lib/templates/ButtonTemplates/index.js";
import FieldErrorTemplate from "@rjsf/mantine/lib/templates/FieldErrorTemplate.js";
import MultiSchemaFieldTemplate from "@rjsf/mantine/lib/templates/MultiSchemaFieldTemplate.js";
import TitleFieldTemplate from "@rjsf/mantine/lib/templates/TitleField.js";
import SelectWidget from "@rjsf/mantine/lib/widgets/SelectWidget.js";
import type {
  ArrayFieldItemTemplateProps,
  ArrayFieldTemplateProps,
  DescriptionFieldProps,
  ErrorSchema,
  Experimental_DefaultFormStateBehavior,
  FieldProps,
} from "@rjsf/utils";
import { IconBraces, IconChevronDown } from "@tabler/icons-react";
import { useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { ConditionField, RulesField, TooComplex, useConditionView, ViewSwitch } from "./condition/ConditionField";
import { type ActiveEditor, ActiveProvider, SettingsProvider, useForm } from "./context";
import { clearTarget, type Path, pathIn, pathText, scopeOf, setTarget } from "./expression/scope";
import { TemplateField } from "./expression/TemplateField";
import { describedBy, FieldFrame, type InputProps, Words } from "./fields/FieldFrame";
import { hasFields, INPUTS, isDescribed, isGroup } from "./fields/inputs";
import { JsonEditor } from "./fields/JsonEditor";
import { AddRow, RowMenu, ShapeItems } from "./fields/RowMenu";

import classes from "./forms.module.css";
import { fieldListOf } from "./schema/fieldList";
import { formSchema } from "./schema/formSchema";
import type { Leaf } from "./schema/leaf";
import { messagesOf } from "./schema/problems";
import { reshape, type Shape, shapeOf } from "./schema/shapes";
import { type FieldSchema, placeholderOf } from "./schema/types";
import { asExpression, asPlain, holdsExpression, withoutHoles } from "./schema/values";

import { FieldTemplate, ObjectFieldTemplate } from "./templates";
import { validator } from "./validator";

// One setting: an input of its kind or an expression.

/** Kinds whose text may contain expressions anyway. */
const TEXTS = new Set(["text", "code", "secret", "any"]);
/** Kinds that can also be edited as JSON. */
const STRUCTURED = new Set(["map", "list", "schema", "form"]);

/** Return true if the kind's plain input cannot show the value. */
function needsText(leaf: Leaf, value: unknown): boolean {
  if (typeof value !== "string" || TEXTS.has(leaf.kind)) return false;
  if (holdsExpression(value)) return true;
  return leaf.kind === "number" || leaf.kind === "boolean" || leaf.kind === "map";
}

function FxButton({ on, toggle }: { on: boolean; toggle: () => void }) {
  const label = on ? "Use plain value" : "Use expression";
  return (
    <Tooltip label={label}>
      <Button
        size="compact-xs"
        variant={on ? "light" : "subtle"}
        color={on ? undefined : "gray"}
        aria-pressed={on}
        onClick={toggle}
        ff="monospace"
      >
        fx
        <VisuallyHidden>: {label.toLowerCase()}</VisuallyHidden>
      </Button>
    </Tooltip>
  );
}

function JsonButton({ on, toggle }: { on: boolean; toggle: () => void }) {
  const label = on ? "Show as table" : "Show as JSON";
  return (
    <Tooltip label={label}>
      <ActionIcon
        size="sm"
        variant={on ? "light" : "subtle"}
        color={on ? undefined : "gray"}
        aria-pressed={on}
        aria-label={label}
        onClick={toggle}
      >
        <IconBraces size={14} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}

function ShapeButton({ shape, onShape }: { shape: Shape; onShape: (shape: Shape) => void }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button
          size="compact-xs"
          variant="subtle"
          color="gray"
          rightSection={<IconChevronDown size={12} aria-hidden />}
        >
          <VisuallyHidden>Type: </VisuallyHidden>
          {
            {
              text: "Text",
              number: "Number",
              boolean: "Boolean",
              object: "Object",
              list: "List",
              null: "Null",
            }[shape]
          }
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <ShapeItems shape={shape} onShape={onShape} />
      </Menu.Dropdown>
    </Menu>
  );
}

/** Return undefined for an empty value: the key is removed. */
function emptied(value: Json | undefined, kind: Leaf["kind"]): Json | undefined {
  if (value === "") return undefined;
  const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
  return isEmpty && kind !== "any" && kind !== "json" ? undefined : value;
}

/** Return the condition as an expression if it is plain text, which is always true; else undefined. */
function wrapped(leaf: Pick<Leaf, "language" | "literal">, value: unknown): string | undefined {
  const isPlain = typeof value === "string" && value.trim() !== "" && !holdsExpression(value);
  return isPlain && leaf.language === "jinja" && !leaf.literal ? `{{ ${value.trim()} }}` : undefined;
}

function LeafField({ formData, fieldPathId, uiSchema, errorSchema, rawErrors, name, onChange }: FieldProps) {
  return (
    <Setting
      id={fieldPathId.$id}
      name={name}
      leaf={uiSchema?.["ui:options"]?.leaf as Leaf}
      value={formData as Json | undefined}
      onChange={(next) => onChange(next, fieldPathId.path)}
      errors={errorSchema}
      ownProblems={rawErrors}
    />
  );
}

interface SettingProps extends Pick<InputProps, "id" | "name" | "leaf" | "value" | "onChange" | "errors"> {
  ownProblems?: readonly string[];
}

export function Setting({ id, name, leaf, value, onChange, errors, ownProblems = [] }: SettingProps) {
  const { readOnly, expressions } = useForm();
  const [wanted, setWanted] = useState<"plain" | "expression" | null>(null);
  const [asJson, setAsJson] = useState(false);
  function set(next: Json | undefined) {
    // The editor of expressions takes over while the user types, with the focus.
    if (leaf.kind === "options" && holdsExpression(next)) setWanted("expression");
    onChange(emptied(next, leaf.kind));
  }

  const condition = useConditionView(leaf, value);
  const asForm = condition?.view === "form";
  const rules = asForm ? leaf.rules : undefined;
  const mayHold = !leaf.literal && expressions !== null && !TEXTS.has(leaf.kind);
  const isText = needsText(leaf, value) || (mayHold && wanted === "expression");
  const isStructured =
    !isText && (STRUCTURED.has(leaf.kind) || (leaf.kind === "any" && typeof value === "object" && value !== null));
  const hasTwoViews = isStructured && (leaf.kind !== "schema" || fieldListOf(value) !== null);
  // The library reports some problems of a field twice.
  const problems = [...new Set([...ownProblems, ...(isStructured && !asJson ? [] : messagesOf(errors))])];

  function toggleFx() {
    setWanted(isText ? "plain" : "expression");
    if (isText) set(typeof value === "string" ? asPlain(value) : undefined);
    else if (value !== undefined) set(asExpression(value));
  }

  function pick(path: Path) {
    if (expressions === null) return;
    setWanted("expression");
    set(`{{ ${pathText(pathIn(scopeOf(expressions.scope, leaf.perItem), path))} }}`);
  }

  const fixed = readOnly ? undefined : wrapped(leaf, value);
  function fix() {
    set(fixed);
    condition?.switched.onView("form");
  }
  const controls = readOnly ? undefined : (
    <>
      {condition !== null && <ViewSwitch label={leaf.label} {...condition.switched} />}
      {hasTwoViews && <JsonButton on={asJson} toggle={() => setAsJson(!asJson)} />}
      {leaf.kind === "any" && (condition === null || (leaf.rules !== undefined && !asForm)) && (
        <ShapeButton
          shape={hasFields(leaf, value) ? "object" : shapeOf(value)}
          onShape={(shape) => onChange(reshape(value, shape))}
        />
      )}
      {mayHold && <FxButton on={isText} toggle={toggleFx} />}
    </>
  );
  const input: InputProps = {
    id,
    name,
    leaf,
    value,
    onChange: set,
    placeholder: placeholderOf(leaf),
    problems,
    errors,
    describedBy: describedBy(id, leaf.help, problems),
  };
  const isPlain = leaf.literal || expressions === null;
  const isTable = hasFields(leaf, value) || (isStructured && value !== undefined);
  const byItself = !isText && !asJson && isDescribed(leaf, value, isPlain);
  return (
    <FieldFrame
      id={id}
      label={leaf.label}
      // The help is about a value to compare.
      help={byItself || rules !== undefined ? "" : leaf.help}
      required={leaf.required}
      problems={byItself ? [] : problems}
      onFix={fixed === undefined ? undefined : fix}
      controls={controls}
      // Not for rows of a table or a condition: a row takes the field itself.
      onPick={mayHold && !asForm && !isText && !readOnly && !isTable ? pick : undefined}
      group={asForm || (!isText && (asJson || isGroup(leaf, value)))}
    >
      {rules !== undefined ? (
        <RulesField {...input} casesIn={rules} />
      ) : asForm ? (
        <ConditionField {...input} onChange={set} />
      ) : isText ? (
        <TemplateField
          {...input}
          label={leaf.label}
          value={typeof value === "string" ? value : ""}
          onChange={set}
          placeholder="{{ … }}"
          perItem={leaf.perItem}
          required={leaf.required}
          autoFocus={wanted === "expression"}
        />
      ) : isStructured && asJson ? (
        <JsonEditor id={id} label={leaf.label} value={value} onChange={set} />
      ) : (
        INPUTS[leaf.kind](input)
      )}
      {leaf.condition && condition?.view === "expression" && <TooComplex value={value} />}
    </FieldFrame>
  );
}

// Templates for the form library's lists of objects: a box for each item, like our lists of values.

function ArrayFieldTemplate(props: ArrayFieldTemplateProps) {
  const { fieldPathId, title, schema, required, items, canAdd, readonly, disabled, onAddClick } = props;
  const isFixed = readonly || disabled;
  return (
    <FieldFrame id={fieldPathId.$id} label={title} help={schema.description} required={required} group>
      <div className={classes.rows}>
        {items}
        {(canAdd || isFixed) && (
          <AddRow readOnly={Boolean(isFixed)} isEmpty={items.length === 0} onAdd={onAddClick}>
            Add item
          </AddRow>
        )}
      </div>
    </FieldFrame>
  );
}

function ArrayFieldItemTemplate(props: ArrayFieldItemTemplateProps) {
  const { index, children, readonly, disabled, buttonsProps } = props;
  const name = `Item ${index + 1}`;
  const { hasMoveUp, hasMoveDown, onMoveUpItem, onMoveDownItem, onRemoveItem } = buttonsProps;
  return (
    // biome-ignore lint/a11y/useSemanticElements: its name is in a row with its actions
    <div className={classes.nested} role="group" aria-label={name}>
      <Group justify="space-between" wrap="nowrap" mih={36}>
        <Text size="sm" fw={550}>
          {name}
        </Text>
        {!readonly && !disabled && (
          <RowMenu
            label={name}
            shape="object"
            onUp={hasMoveUp ? () => onMoveUpItem() : undefined}
            onDown={hasMoveDown ? () => onMoveDownItem() : undefined}
            onRemove={() => onRemoveItem()}
          />
        )}
      </Group>
      {children}
    </div>
  );
}

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

export function SchemaForm({ schema, value, onChange, errors, plain = false, readOnly = false }: SchemaFormProps) {
  const form = useMemo(() => {
    const made = formSchema(schema, plain);
    // Changes are reported immediately; there is no submit.
    return { ...made, uiSchema: { ...made.uiSchema, "ui:submitButtonOptions": { norender: true } } };
  }, [schema, plain]);
  const active = useActiveEditor();
  const prefix = `f${useId().replace(/\W/g, "")}`;
  const now = JSON.stringify(value);
  const settings = useMemo(() => ({ schema: schema as FieldSchema, value, onChange }), [schema, value, onChange]);
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
    <Quiet id={id} size="xs">
      {typeof description === "string" ? <Words text={description} /> : description}
    </Quiet>
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
