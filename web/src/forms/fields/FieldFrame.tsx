/** The frame of every field: label, actions, problems, help. */

import { Box, Button, Code, Group, Text } from "@mantine/core";
import type { ErrorSchema } from "@rjsf/utils";
import { type DragEvent, Fragment, type ReactNode, useState } from "react";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { useActive, useForm } from "../context";
import { dragsPath, droppedPath, type Path } from "../expression/scope";
import classes from "../forms.module.css";
import type { Leaf } from "../schema/leaf";

/** Text with `code`. */
export function Words({ text }: { text: string }) {
  const parts = text.split("`");
  return (
    <>
      {parts.map((part, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text never move
        <Fragment key={at}>{at % 2 === 1 ? <Code fz="inherit">{part}</Code> : part}</Fragment>
      ))}
    </>
  );
}

/** Return the ids of the elements that describe a field, for `aria-describedby`. */
export function describedBy(id: string, help: string, problems: readonly string[]): string | undefined {
  const ids = [...(problems.length > 0 ? [`${id}-problem`] : []), ...(help !== "" ? [`${id}-help`] : [])];
  return ids.length > 0 ? ids.join(" ") : undefined;
}

export function Problems({ id, problems }: { id: string; problems: readonly string[] }) {
  if (problems.length === 0) return null;
  return (
    <Box id={`${id}-problem`}>
      {problems.map((problem) => (
        <Text key={problem} size="xs" c="var(--failed)">
          {problem}
        </Text>
      ))}
    </Box>
  );
}

interface FieldFrameProps {
  id: string;
  label: string;
  help?: string;
  required?: boolean;
  problems?: readonly string[];
  /** Correct the value; shown as a button while there is a problem. */
  onFix?: (() => void) | undefined;
  /** Buttons to the right of the label. */
  controls?: ReactNode;
  /** True if the field has several inputs; the label then names the group. */
  group?: boolean;
  /** Take a picked field as the value: dropped here, or inserted while an input of the field has the focus. */
  onPick?: ((path: Path) => void) | undefined;
  children: ReactNode;
}

/** Return the properties of an element that takes picked fields. */
export function usePicked(id: string, onPick: ((path: Path) => void) | undefined) {
  const { activate } = useActive();
  const [over, setOver] = useState(false);
  if (onPick === undefined) return {};
  return {
    "data-over": over || undefined,
    onFocusCapture: () => activate(id, onPick),
    onDragOver: (event: DragEvent) => {
      if (!dragsPath(event)) return;
      event.preventDefault();
      setOver(true);
    },
    onDragLeave: () => setOver(false),
    onDrop: (event: DragEvent) => {
      const path = droppedPath(event);
      setOver(false);
      if (path === undefined) return;
      event.preventDefault();
      onPick(path);
    },
  };
}

export function FieldFrame(props: FieldFrameProps) {
  const {
    id,
    label,
    help = "",
    required = false,
    problems = [],
    onFix,
    controls,
    group = false,
    onPick,
    children,
  } = props;
  const picked = usePicked(id, onPick);
  const name = (
    <>
      {label}
      {required && (
        <Text component="span" c="var(--failed)" aria-hidden>
          {" "}
          *
        </Text>
      )}
    </>
  );
  return (
    <Box
      className={classes.field}
      data-field={id}
      {...picked}
      role={group ? "group" : undefined}
      aria-labelledby={group ? `${id}-label` : undefined}
      aria-describedby={group ? describedBy(id, help, problems) : undefined}
    >
      <Group justify="space-between" gap={4} wrap="nowrap" mih={24}>
        <Text
          component={group ? "span" : "label"}
          {...(group ? {} : { htmlFor: id })}
          id={`${id}-label`}
          size="sm"
          fw={550}
          // A label focuses an input automatically, but not an editor.
          onClick={() => document.getElementById(id)?.focus()}
        >
          {name}
        </Text>
        {controls !== undefined && (
          <Group gap={2} wrap="nowrap">
            {controls}
          </Group>
        )}
      </Group>
      {children}
      <Problems id={id} problems={problems} />
      {onFix !== undefined && problems.length > 0 && (
        <Button size="compact-xs" variant="default" onClick={onFix} style={{ alignSelf: "flex-start" }}>
          Fix
        </Button>
      )}
      {help !== "" && (
        <Quiet id={`${id}-help`} size="xs">
          <Words text={help} />
        </Quiet>
      )}
    </Box>
  );
}

// The common props of setting inputs, converted to Mantine's.

export interface InputProps {
  id: string;
  name: string;
  leaf: Leaf;
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
  placeholder: string;
  problems: readonly string[];
  errors: ErrorSchema | undefined;
  describedBy: string | undefined;
}

const ORDER: ("input" | "error" | "description")[] = ["input", "error", "description"];

/** Help and problems for Mantine inputs, which link them to the field for screen readers. */
export function described(help: string, problems: readonly string[]) {
  const description: ReactNode = help === "" ? undefined : <Words text={help} />;
  const error: ReactNode = problems.length > 0 ? problems.join(". ") : undefined;
  return { description, error, inputWrapperOrder: ORDER };
}

export function useShared({ id, leaf, problems, placeholder }: InputProps) {
  const { readOnly } = useForm();
  return {
    id,
    placeholder: placeholder === "" ? undefined : placeholder,
    "aria-required": leaf.required || undefined,
    readOnly,
    ...described(leaf.help, problems),
  };
}
