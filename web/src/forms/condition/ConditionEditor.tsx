/** Conditions as rows: field, operator, value; in groups. It writes one expression, and reads it. */

import { Group as Row, SegmentedControl, Select } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useMemo, useRef, useState } from "react";
import { Button } from "@/ui/Button";
import { IconButton } from "@/ui/IconButton";
import { Quiet } from "@/ui/Quiet";
import { useForm } from "../context";
import { Preview } from "../expression/Preview";
import { type Scope, scopeOf } from "../expression/scope";
import classes from "./condition.module.css";
import {
  DEEPEST,
  type Group,
  isGroup,
  newRule,
  type Op,
  operatorOf,
  type Rule,
  TYPES,
  type Type,
  typeOfRule,
  typeOfValue,
} from "./model";
import { read } from "./read";
import { convertValue, PathInput, ValueInput, valueIn, withChosenField, withField } from "./ValueInput";

import { write } from "./write";

interface ConditionEditorProps {
  id: string;
  label: string;
  /** A text that the form can read. */
  value: string;
  onChange: (text: string) => void;
  perItem: boolean;
  problems: readonly string[];
}

/** Return the group with at least one row. */
export function started(group: Group): Group {
  return group.rules.length > 0 ? group : { ...group, rules: [newRule()] };
}

/** Return the form's state: incomplete rows are kept here, because the expression has only complete ones. */
function useGroup(value: string, onChange: (text: string) => void) {
  const [known, setKnown] = useState(() => started(read(value) ?? { all: true, rules: [] }));
  const told = useRef(value);
  let shown = known;
  if (told.current !== value) {
    told.current = value;
    shown = started(read(value) ?? { all: true, rules: [] });
    setKnown(shown);
  }
  function change(next: Group) {
    setKnown(next);
    const text = write(next);
    if (text === told.current) return;
    told.current = text;
    onChange(text);
  }
  return { group: shown, change };
}

/** Return the data that conditions can read. */
export function useConditionScope(perItem: boolean): Scope {
  const { expressions } = useForm();
  return useMemo(
    () => scopeOf(expressions?.scope ?? { steps: [], secrets: [], perItem: false }, perItem),
    [expressions, perItem],
  );
}

export default function ConditionEditor(props: ConditionEditorProps) {
  const { id, label, value, perItem, problems } = props;
  const { readOnly } = useForm();
  const { group, change } = useGroup(value, props.onChange);
  const scope = useConditionScope(perItem);
  return (
    <div className={classes.condition} id={id}>
      <GroupEditor id={id} label={label} group={group} onChange={change} scope={scope} depth={0} />
      {!readOnly && value !== "" && (
        <div className={classes.result}>
          <Preview text={value} problems={problems} />
        </div>
      )}
    </div>
  );
}

interface GroupEditorProps {
  id: string;
  label: string;
  group: Group;
  onChange: (group: Group) => void;
  onRemove?: () => void;
  scope: Scope;
  depth: number;
  /** True if the group was just added: its first row gets the focus. */
  isFresh?: boolean;
}

export function GroupEditor(props: GroupEditorProps) {
  const { id, label, group, onChange, onRemove, scope, depth, isFresh = false } = props;
  const { readOnly } = useForm();
  const [fresh, setFresh] = useState(isFresh ? 0 : -1);
  const set = (at: number, part: Rule | Group) =>
    onChange({ ...group, rules: group.rules.map((one, place) => (place === at ? part : one)) });
  const remove = (at: number) => onChange({ ...group, rules: group.rules.filter((_, place) => place !== at) });
  function add(part: Rule | Group) {
    setFresh(group.rules.length);
    onChange({ ...group, rules: [...group.rules, part] });
  }
  const start = newRule();
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would need a legend within the row of its switch
    <div className={depth > 0 ? classes.group : classes.rows} role="group" aria-label={label}>
      {(group.rules.length > 1 || depth > 0) && (
        <Row justify="space-between" wrap="nowrap">
          <SegmentedControl
            size="xs"
            readOnly={readOnly}
            aria-label={`${label}: combine`}
            value={group.all ? "all" : "any"}
            onChange={(next) => onChange({ ...group, all: next === "all" })}
            data={[
              { value: "all", label: "All are met" },
              { value: "any", label: "Any is met" },
            ]}
          />
          {onRemove !== undefined && !readOnly && <RemoveButton label={label} onRemove={onRemove} />}
        </Row>
      )}
      {group.rules.map((part, at) => {
        const name = `${label}, ${isGroup(part) ? "group" : "condition"} ${at + 1}`;
        const key = `${id}-${at}`;
        return (
          <div key={key} className={classes.part}>
            {at > 0 && (
              <Quiet size="xs" fw={550}>
                {group.all ? "and" : "or"}
              </Quiet>
            )}
            {isGroup(part) ? (
              <GroupEditor
                id={key}
                label={name}
                group={part}
                onChange={(next) => set(at, next)}
                onRemove={() => remove(at)}
                scope={scope}
                depth={depth + 1}
              />
            ) : (
              <RuleEditor
                id={key}
                label={name}
                rule={part}
                onChange={(next) => set(at, next)}
                onRemove={group.rules.length > 1 || depth > 0 ? () => remove(at) : undefined}
                scope={scope}
                autoFocus={at === fresh}
              />
            )}
          </div>
        );
      })}
      {!readOnly && (
        <Row gap={6}>
          <AddButton onAdd={() => add(start)}>Add condition</AddButton>
          {depth < DEEPEST && (
            <AddButton onAdd={() => add({ all: !group.all, rules: [start, start] })}>Add group</AddButton>
          )}
        </Row>
      )}
    </div>
  );
}

function AddButton({ children, onAdd }: { children: string; onAdd: () => void }) {
  return (
    <Button size="compact-sm" variant="default" icon={IconPlus} onClick={onAdd}>
      {children}
    </Button>
  );
}

function RemoveButton({ label, onRemove }: { label: string; onRemove: () => void }) {
  return <IconButton label={`Remove ${label}`} icon={IconX} iconSize={16} size={36} onClick={onRemove} />;
}

interface RuleEditorProps {
  id: string;
  label: string;
  rule: Rule;
  onChange: (rule: Rule) => void;
  onRemove?: () => void;
  scope: Scope;
  autoFocus: boolean;
}

const key = (type: Type, op: Op) => `${type}:${op}`;

/** Return the operators by type, those of the field's type first. */
function operatorData(known: Type | undefined) {
  const order =
    known === undefined ? TYPES : [...TYPES].sort((a, b) => Number(b.type === known) - Number(a.type === known));
  return order.map(({ type, label, operators }) => ({
    group: label,
    items: operators.map(({ op, label: name }) => ({ value: key(type, op), label: name })),
  }));
}

function RuleEditor({ id, label, rule, onChange, onRemove, scope, autoFocus }: RuleEditorProps) {
  const { readOnly } = useForm();
  const known = typeOfValue(valueIn(rule.field, scope));
  const type = typeOfRule(rule, known);
  const operator = operatorOf(type, rule.op);
  const data = useMemo(() => operatorData(known), [known]);

  function choose(chosen: string | null) {
    const [as, op] = (chosen ?? "").split(":") as [Type, Op];
    const next = operatorOf(as, op);
    if (next === undefined) return;
    const value = convertValue(rule.value, next.takes, as);
    onChange({ field: rule.field, op, as, isChosen: true, ...(value === undefined ? {} : { value }) });
    // The value comes next. It may be a new field, and the list puts the focus back before.
    requestAnimationFrame(() => document.getElementById(`${id}-value`)?.focus());
  }

  const typeIn = (field: string) => typeOfValue(valueIn(field, scope));

  return (
    <div className={classes.rule}>
      <div className={classes.field}>
        <PathInput
          id={`${id}-field`}
          label={`${label}: field`}
          value={rule.field}
          onChange={(field) => onChange(withField(rule, field, typeIn(field)))}
          onChoose={(field) => onChange(withChosenField(rule, field, typeIn(field)))}
          scope={scope}
          placeholder={scope.perItem ? "item.total" : "input.total"}
          autoFocus={autoFocus}
        />
      </div>
      <Select
        className={classes.operator}
        aria-label={`${label}: operator`}
        data={data}
        value={key(type, rule.op)}
        onChange={choose}
        searchable={!readOnly}
        readOnly={readOnly}
        maxDropdownHeight={320}
        comboboxProps={{ width: "max-content", position: "bottom-start" }}
      />
      {operator !== undefined && operator.takes !== "none" && rule.value !== undefined && (
        <div className={classes.value}>
          <ValueInput
            id={`${id}-value`}
            label={`${label}: value`}
            takes={operator.takes}
            type={type}
            value={rule.value}
            onChange={(value) => onChange({ ...rule, value })}
            scope={scope}
          />
        </div>
      )}
      {onRemove !== undefined && !readOnly && (
        <div className={classes.remove}>
          <RemoveButton label={label} onRemove={onRemove} />
        </div>
      )}
    </div>
  );
}
