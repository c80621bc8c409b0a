/** Rows whose field changes: the type of the field in the last run decides how they go on. */
import { newRule, type Op, operatorOf, type Rule, TYPES, type Type } from "./model";
import { convertValue } from "./ValueInput";

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
