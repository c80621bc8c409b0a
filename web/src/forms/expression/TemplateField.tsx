/** A text that may contain expressions: an expression editor if the form supports them, else a plain input. */

import { Skeleton, Textarea, TextInput } from "@mantine/core";
import { Suspense, useCallback, useState } from "react";
import { lazily } from "@/ui/lazily";
import { useActive, useForm } from "../context";
import { described } from "../fields/shared";
import classes from "../forms.module.css";
import { ExpressionPanel } from "./ExpressionPanel";
import type { Path } from "./scope";

const Editor = lazily(() => import("./Editor"));
const ExpressionScreen = lazily(() => import("./ExpressionScreen"));

export interface TemplateFieldProps {
  id: string;
  label: string;
  value: string;
  onChange: (text: string) => void;
  placeholder?: string;
  multiline?: boolean;
  /** Literal text without expressions. */
  literal?: boolean;
  perItem?: boolean;
  required?: boolean;
  problems?: readonly string[];
  describedBy?: string;
  /** Shown by the plain input; around an editor, the frame shows it. */
  help?: string;
  autoFocus?: boolean;
  maxLength?: number;
  inputMode?: "email" | "url";
}

export function TemplateField(props: TemplateFieldProps) {
  const { expressions } = useForm();
  return props.literal || expressions === null ? <PlainText {...props} /> : <WithExpressions {...props} />;
}

function PlainText(props: TemplateFieldProps) {
  const { readOnly } = useForm();
  const shared = {
    id: props.id,
    "aria-label": props.label,
    "aria-required": props.required || undefined,
    value: props.value,
    placeholder: props.placeholder,
    maxLength: props.maxLength,
    inputMode: props.inputMode,
    readOnly,
    ...described(props.help ?? "", props.problems ?? []),
    autoFocus: props.autoFocus,
    autoComplete: "off",
  };
  if (props.multiline || props.value.includes("\n")) {
    return (
      <Textarea
        {...shared}
        autosize
        minRows={3}
        maxRows={14}
        onChange={(event) => props.onChange(event.currentTarget.value)}
      />
    );
  }
  return <TextInput {...shared} onChange={(event) => props.onChange(event.currentTarget.value)} />;
}

function WithExpressions(props: TemplateFieldProps) {
  const { readOnly, expressions } = useForm();
  const active = useActive();
  const { id, perItem = false, value } = props;
  const { activate } = active;
  const [isFull, setFull] = useState(false);
  const onFocus = useCallback((insert: (path: Path) => void) => activate(id, insert), [activate, id]);
  if (expressions === null) return null;
  const scope =
    perItem === expressions.scope.perItem ? expressions.scope : { ...expressions.scope, perItem: true };
  return (
    <div className={classes.template}>
      <Suspense fallback={<Skeleton height={props.multiline ? 80 : 36} />}>
        <Editor
          id={id}
          value={value}
          onChange={props.onChange}
          label={props.label}
          describedBy={props.describedBy}
          invalid={(props.problems?.length ?? 0) > 0}
          required={props.required}
          readOnly={readOnly}
          multiline={props.multiline}
          placeholder={props.placeholder}
          scope={scope}
          load={expressions.load}
          onFocus={onFocus}
          autoFocus={props.autoFocus}
          onExpand={readOnly ? undefined : () => setFull(true)}
        />
      </Suspense>
      {active.id === id && !readOnly && (
        <ExpressionPanel
          text={value}
          perItem={scope.perItem}
          problems={props.problems ?? []}
          onExpand={() => setFull(true)}
        />
      )}
      {isFull && (
        <Suspense fallback={null}>
          <ExpressionScreen
            label={props.label}
            value={value}
            onChange={props.onChange}
            scope={scope}
            onClose={() => setFull(false)}
          />
        </Suspense>
      )}
    </div>
  );
}
