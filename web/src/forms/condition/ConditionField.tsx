/** A condition, or rules of a switch, in the form or as an expression, with a switch between both. */

import { SegmentedControl, Skeleton, Tooltip } from "@mantine/core";
import { Suspense, useState } from "react";
import type { Json } from "@/definition/types";
import { lazily } from "@/ui/lazily";
import { Quiet } from "@/ui/Quiet";
import { useForm, useSettings } from "../context";
import type { Leaf } from "../schema/leaf";
import { readRules } from "./model";
import { read } from "./read";

const ConditionEditor = lazily(() => import("./ConditionEditor"));
const RulesEditor = lazily(() => import("./RulesEditor"));

export type View = "form" | "expression";

interface Words {
  form: string;
  expression: string;
  /** Why the form is disabled. */
  disabled: string;
}

const CONDITION: Words = { form: "Form", expression: "Expression", disabled: "Too complex for the form" };
const RULES: Words = {
  form: "By conditions",
  expression: "By value",
  disabled: "Clear the value to use conditions",
};

/** Return the view of a condition or of rules, and a function to change it; null for other settings. */
export function useConditionView(leaf: Leaf, value: Json | undefined): { view: View; switched: SwitchProps } | null {
  const { expressions } = useForm();
  const isRules = leaf.rules !== undefined;
  const found = isRules ? readRules(value) : read(value);
  const canRead = found !== null;
  // A switch compares a value unless it has rules.
  const isForm = Array.isArray(found) ? found.length > 0 : canRead;
  const [wanted, setWanted] = useState<View>(isForm ? "form" : "expression");
  if (!(leaf.condition || isRules) || leaf.literal || expressions === null) return null;
  const view = canRead ? wanted : "expression";
  return { view, switched: { view, canRead, onView: setWanted, words: isRules ? RULES : CONDITION } };
}

interface SwitchProps {
  view: View;
  canRead: boolean;
  onView: (view: View) => void;
  words: Words;
}

export function ViewSwitch({ label, view, canRead, onView, words }: SwitchProps & { label: string }) {
  return (
    <Tooltip label={words.disabled} disabled={canRead}>
      <SegmentedControl
        size="xs"
        aria-label={`${label}: edit as`}
        value={view}
        onChange={(next) => onView(next as View)}
        data={[
          { value: "form", label: words.form, disabled: !canRead },
          { value: "expression", label: words.expression },
        ]}
      />
    </Tooltip>
  );
}

export function TooComplex({ value }: { value: Json | undefined }) {
  if (read(value) !== null || (typeof value === "string" && !value.includes("{{"))) return null;
  return <Quiet size="xs">This expression is too complex for the form.</Quiet>;
}

interface ConditionFieldProps {
  id: string;
  leaf: Leaf;
  value: Json | undefined;
  onChange: (text: string) => void;
  problems: readonly string[];
}

export function ConditionField({ id, leaf, value, onChange, problems }: ConditionFieldProps) {
  return (
    <Suspense fallback={<Skeleton height={76} />}>
      <ConditionEditor
        id={id}
        label={leaf.label}
        value={typeof value === "string" ? value : ""}
        onChange={onChange}
        perItem={leaf.perItem}
        problems={problems}
      />
    </Suspense>
  );
}

interface RulesFieldProps extends Omit<ConditionFieldProps, "onChange" | "value"> {
  name: string;
  /** The setting with the cases, of the same node. */
  casesIn: string;
}

export function RulesField({ id, name, casesIn, leaf, problems }: RulesFieldProps) {
  // The field's own value would be a render late: the form library takes changes from outside in a second one.
  const { value: settings, onChange } = useSettings();
  const value = settings[name];
  const list = settings[casesIn];
  const cases = Array.isArray(list) ? list : [];
  // One change for both settings, so that it is undone as one.
  function save(text: string, added?: string) {
    const { [name]: _before, ...rest } = settings;
    const next = text === "" ? rest : { ...settings, [name]: text };
    onChange(added === undefined ? next : { ...next, [casesIn]: [...cases, added] });
  }
  return (
    <Suspense fallback={<Skeleton height={76} />}>
      <RulesEditor
        id={id}
        label={leaf.label}
        value={typeof value === "string" ? value : ""}
        cases={cases.map(String)}
        onChange={save}
        perItem={leaf.perItem}
        problems={problems}
      />
    </Suspense>
  );
}
