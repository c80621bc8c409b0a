/** A text that may contain expressions: an expression editor if the form supports them, else a plain input. */
import { ActionIcon, Button, Collapse, Group, Skeleton, Textarea, TextInput, Tooltip } from "@mantine/core";
import { IconChevronDown, IconChevronUp, IconMaximize } from "@tabler/icons-react";
import { Suspense, useCallback, useState } from "react";
import { lazily } from "@/ui/lazily";
import { DocsLink } from "@/ui/Page";
import { useActive, useForm } from "../context";
import { described } from "../fields/FieldFrame";
import classes from "../forms.module.css";
import { holdsExpression } from "../schema/values";
import { DataPicker } from "./DataPicker";
import { Preview } from "./Preview";
import { type Path, type Scope, scopeOf } from "./scope";

// Below the expression being edited: its value in the last run, and the data that it can read.

interface ExpressionPanelProps {
  text: string;
  scope: Scope;
  /** Problems that the field already shows. */
  problems: readonly string[];
  onExpand: () => void;
}

function ExpressionPanel({ text, scope, problems, onExpand }: ExpressionPanelProps) {
  const [open, setOpen] = useState(false);
  const Chevron = open ? IconChevronUp : IconChevronDown;
  return (
    <div className={classes.panel}>
      <Group gap={6} align="flex-start" justify="flex-end" wrap="nowrap">
        <div className={classes.result}>{holdsExpression(text) && <Preview text={text} problems={problems} />}</div>
        <Tooltip label="Full screen (Alt+Enter)">
          <ActionIcon
            size="sm"
            variant="subtle"
            color="gray"
            aria-label="Edit expression in full screen"
            onMouseDown={(event) => event.preventDefault()}
            onClick={onExpand}
          >
            <IconMaximize size={14} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <DocsLink page="expressions" label="Help on expressions">
          Help
        </DocsLink>
        <Button
          size="compact-xs"
          variant="subtle"
          rightSection={<Chevron size={12} aria-hidden />}
          aria-expanded={open}
          style={{ flexShrink: 0 }}
          // Keep the focus, and thereby the cursor, in the editor.
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => setOpen(!open)}
        >
          Insert data
        </Button>
      </Group>
      <Collapse expanded={open}>{open && <DataPicker scope={scope} />}</Collapse>
    </div>
  );
}

const Editor = lazily(() => import("./Editor"));
const ExpressionScreen = lazily(() => import("./ExpressionScreen"));

interface TemplateFieldProps {
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
  const scope = scopeOf(expressions.scope, perItem);
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
        <ExpressionPanel text={value} scope={scope} problems={props.problems ?? []} onExpand={() => setFull(true)} />
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
