/** A condition in the form, or as an expression, with a switch between both. */
import { SegmentedControl, Skeleton, Text, Tooltip } from "@mantine/core";
import { Suspense, useState } from "react";
import type { Json } from "@/definition/types";
import { lazily } from "@/ui/lazily";
import { useForm } from "../context";
import type { Leaf } from "../schema/leaf";
import { read } from "./read";

const ConditionEditor = lazily(() => import("./ConditionEditor"));

export type View = "form" | "expression";

/** Return the view of a condition and a function to change it; null for other settings. */
export function useConditionView(
  leaf: Leaf,
  value: Json | undefined,
): { view: View; switched: SwitchProps } | null {
  const { expressions } = useForm();
  const canRead = read(value) !== null;
  const [wanted, setWanted] = useState<View>(canRead ? "form" : "expression");
  if (!leaf.condition || leaf.literal || expressions === null) return null;
  const view = canRead ? wanted : "expression";
  return { view, switched: { view, canRead, onView: setWanted } };
}

interface SwitchProps {
  view: View;
  canRead: boolean;
  onView: (view: View) => void;
}

export function ViewSwitch({ label, view, canRead, onView }: SwitchProps & { label: string }) {
  return (
    <Tooltip label="Too complex for the form" disabled={canRead} openDelay={300}>
      <SegmentedControl
        size="xs"
        aria-label={`${label}: edit as`}
        value={view}
        onChange={(next) => onView(next as View)}
        data={[
          { value: "form", label: "Form", disabled: !canRead },
          { value: "expression", label: "Expression" },
        ]}
      />
    </Tooltip>
  );
}

export function TooComplex({ value }: { value: Json | undefined }) {
  if (read(value) !== null || (typeof value === "string" && !value.includes("{{"))) return null;
  return (
    <Text size="xs" c="var(--quiet)">
      This expression is too complex for the form.
    </Text>
  );
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
