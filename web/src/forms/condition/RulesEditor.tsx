/** Rules of a switch: conditions in their order, each with its case. They write one expression, and read it. */
import { Group as Row, Select, Text } from "@mantine/core";
import { useRef, useState } from "react";
import { useForm } from "../context";
import { Preview } from "../expression/Preview";
import { AddRow, RowMenu } from "../fields/RowMenu";

import forms from "../forms.module.css";
import { moved } from "../schema/shapes";
import { GroupEditor, started, useConditionScope } from "./ConditionEditor";
import classes from "./condition.module.css";
import { type CaseRule, MAX_RULES, OTHERWISE, readRules } from "./model";
import { writeRules } from "./write";

const MAX_CASES = 100;
const MAX_NAME = 200;

interface RulesEditorProps {
  id: string;
  label: string;
  /** A text that the form can read. */
  value: string;
  cases: readonly string[];
  /** `added` is a new case. */
  onChange: (text: string, added?: string) => void;
  perItem: boolean;
  problems: readonly string[];
}

interface Item extends CaseRule {
  id: number;
}

let nextId = 1;

function newItem(): Item {
  return { id: nextId++, condition: started({ all: true, rules: [] }), name: "" };
}

function itemsOf(value: string): Item[] {
  const items = (readRules(value) ?? []).map((rule) => ({ ...rule, id: nextId++ }));
  return items.length > 0 ? items : [newItem()];
}

/** Return the form's state: incomplete rules are kept here, because the expression has only complete ones. */
function useItems(value: string, onChange: RulesEditorProps["onChange"]) {
  const [known, setKnown] = useState(() => itemsOf(value));
  const told = useRef(value);
  let shown = known;
  if (told.current !== value) {
    told.current = value;
    shown = itemsOf(value);
    setKnown(shown);
  }
  function change(next: Item[], added?: string) {
    setKnown(next);
    const text = writeRules(next);
    if (text === told.current && added === undefined) return;
    told.current = text;
    onChange(text, added);
  }
  return { items: shown, change };
}

export default function RulesEditor({ id, label, cases, perItem, problems, ...props }: RulesEditorProps) {
  const { readOnly } = useForm();
  const { items, change } = useItems(props.value, props.onChange);
  const [fresh, setFresh] = useState<number | null>(null);
  const scope = useConditionScope(perItem);

  function add() {
    const item = newItem();
    setFresh(item.id);
    change([...items, item]);
  }

  function remove(item: Item) {
    const others = items.filter((one) => one !== item);
    change(others.length > 0 ? others : [newItem()]);
  }

  function set(item: Item, part: Partial<CaseRule>, added?: string) {
    const next = items.map((one) => (one === item ? { ...one, ...part } : one));
    change(next, added);
  }

  return (
    <div className={classes.condition} id={id}>
      {items.map((item, at) => {
        const name = `${label}, rule ${at + 1}`;
        return (
          <div key={item.id} className={`${forms.nested} ${classes.rows}`}>
            <Row justify="space-between" wrap="nowrap" mih={36}>
              <Text size="sm" fw={550}>
                {at === 0 ? "If" : "Else if"}
              </Text>
              {!readOnly && (
                <RowMenu
                  label={name}
                  shape="text"
                  onUp={at > 0 ? () => change(moved(items, at, -1)) : undefined}
                  onDown={at < items.length - 1 ? () => change(moved(items, at, 1)) : undefined}
                  onRemove={() => remove(item)}
                />
              )}
            </Row>
            <GroupEditor
              id={`${id}-${item.id}`}
              label={name}
              group={item.condition}
              onChange={(condition) => set(item, { condition })}
              scope={scope}
              depth={0}
              isFresh={item.id === fresh}
            />
            <CaseInput
              label={`${name}: case`}
              value={item.name}
              cases={cases}
              onChange={(chosen, added) => set(item, { name: chosen }, added)}
            />
          </div>
        );
      })}
      {items.length < MAX_RULES && (
        <AddRow readOnly={readOnly} isEmpty={false} onAdd={add}>
          Add rule
        </AddRow>
      )}
      <Text size="sm">Otherwise, the run continues at the branch {OTHERWISE}.</Text>
      {!readOnly && props.value !== "" && (
        <div className={classes.result}>
          <Preview text={props.value} problems={problems} />
        </div>
      )}
    </div>
  );
}

interface CaseInputProps {
  label: string;
  value: string;
  cases: readonly string[];
  onChange: (name: string, added?: string) => void;
}

/** Options for cases and for a new one differ in their prefix, so that no name of a case is taken for the other. */
const CASE = "case:";
const NEW = "new:";

function CaseInput({ label, value, cases, onChange }: CaseInputProps) {
  const { readOnly } = useForm();
  const [typed, setTyped] = useState(value);
  const known = [...new Set([...cases, OTHERWISE])];
  const isKnown = value === "" || known.includes(value);
  const shown = isKnown ? known : [...known, value];
  const fresh = typed.trim();
  const canAdd = fresh !== "" && fresh.length <= MAX_NAME && cases.length < MAX_CASES && !known.includes(fresh);

  function choose(option: string | null) {
    if (option?.startsWith(NEW)) onChange(option.slice(NEW.length), option.slice(NEW.length));
    else if (option !== null) onChange(option.slice(CASE.length));
  }

  return (
    <Row gap="xs" wrap="nowrap" align="baseline">
      <Text size="sm" aria-hidden>
        continue at
      </Text>
      <Select
        aria-label={label}
        style={{ flex: 1, minWidth: 0 }}
        data={[
          ...shown.map((name) => ({ value: `${CASE}${name}`, label: name })),
          ...(canAdd ? [{ value: `${NEW}${fresh}`, label: `Add the case “${fresh}”` }] : []),
        ]}
        value={value === "" ? null : `${CASE}${value}`}
        onChange={choose}
        searchValue={typed}
        onSearchChange={setTyped}
        searchable={!readOnly}
        readOnly={readOnly}
        selectFirstOptionOnChange
        placeholder="Choose a case, or type a new one"
        error={isKnown ? undefined : `Not one of the cases: it leads to the branch ${OTHERWISE}.`}
      />
    </Row>
  );
}
