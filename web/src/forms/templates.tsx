/** Templates for the form library's objects: important settings first, the others folded. */

import { Collapse, Group, Text, UnstyledButton } from "@mantine/core";
import type { ErrorSchema, FieldTemplateProps, ObjectFieldTemplateProps } from "@rjsf/utils";
import { IconChevronDown, IconChevronRight, IconPlus } from "@tabler/icons-react";
import { createContext, useContext, useState } from "react";
import type { Json } from "@/definition/types";
import { Button } from "@/ui/Button";
import { Quiet } from "@/ui/Quiet";
import { TemplateField } from "./expression/TemplateField";
import { FieldFrame, Problems } from "./fields/FieldFrame";
import { JsonEditor } from "./fields/JsonEditor";
import classes from "./forms.module.css";
import { messagesOf } from "./schema/problems";
import type { FieldSchema } from "./schema/types";
import { isRecord } from "./schema/values";

export interface Folding {
  /** The settings shown at once, in addition to required ones and those with a value. */
  usual: ReadonlySet<string>;
  /** The only settings that are shown. */
  only?: readonly string[];
  /** True to show all: a user who is asked for input should not have to search. */
  all?: boolean;
  /** The key under which the folding is remembered. */
  remembered: string;
}

const FoldingContext = createContext<Folding>({ usual: new Set(), remembered: "" });
export const FoldingProvider = FoldingContext.Provider;

const KEPT = "headrace.form.open";

function readOpen(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? kept.map(String) : [];
  } catch {
    return [];
  }
}

function useRemembered(name: string): [boolean, (open: boolean) => void] {
  const [open, setOpen] = useState(() => name !== "" && readOpen().includes(name));
  function set(next: boolean) {
    setOpen(next);
    if (name === "") return;
    const others = readOpen().filter((one) => one !== name);
    try {
      localStorage.setItem(KEPT, JSON.stringify(next ? [...others, name].slice(-50) : others));
    } catch {
      // The browser's store is full: it is not remembered.
    }
  }
  return [open, set];
}

/** Some fields of the library, such as lists of objects, show their own label. */
function isTitled(schema: { type?: unknown }): boolean {
  return schema.type === "array";
}

export function FieldTemplate(props: FieldTemplateProps) {
  const { children, uiSchema, schema, fieldPathId, hidden, rawErrors = [], id } = props;
  if (hidden) return <div hidden>{children}</div>;
  if (uiSchema?.["ui:options"]?.leaf !== undefined || fieldPathId.path.length === 0) return children;
  if (schema.oneOf === undefined && schema.anyOf === undefined) {
    if (schema.type === "object") return <NestedObject {...props} />;
    if (isTitled(schema)) {
      return (
        <div>
          {children}
          <Problems id={id} problems={rawErrors} />
        </div>
      );
    }
  }
  return (
    <FieldFrame
      id={id}
      label={props.label}
      help={props.rawDescription}
      required={props.required}
      problems={rawErrors}
      group
    >
      <div className={classes.nested}>{children}</div>
    </FieldFrame>
  );
}

function NestedObject(props: FieldTemplateProps) {
  const { children, label, rawDescription = "", rawErrors = [], required, readonly, id, fieldPathId } = props;
  const value = props.formData as Json | undefined;
  // An item of a list has its own frame and cannot be absent.
  if (typeof fieldPathId.path.at(-1) === "number" && (value === undefined || isRecord(value))) {
    return (
      <>
        {children}
        <Problems id={id} problems={rawErrors} />
      </>
    );
  }
  const set = (next: Json | undefined) => props.onChange(next, fieldPathId.path);
  const frame = { id, label, help: rawDescription, required, problems: rawErrors };
  if (typeof value === "string") {
    return (
      <FieldFrame {...frame}>
        <TemplateField id={id} label={label} value={value} onChange={(text) => set(text === "" ? undefined : text)} />
      </FieldFrame>
    );
  }
  if (value !== undefined && !isRecord(value)) {
    return (
      <FieldFrame {...frame} group>
        <JsonEditor id={id} label={label} value={value} onChange={set} />
      </FieldFrame>
    );
  }
  if (value === undefined) {
    return (
      <FieldFrame {...frame} group>
        <Group>
          <Button size="compact-sm" variant="default" disabled={readonly} icon={IconPlus} onClick={() => set({})}>
            Set {label.toLowerCase()}
          </Button>
        </Group>
      </FieldFrame>
    );
  }
  const remove = (
    <Button size="compact-xs" variant="subtle" color="gray" onClick={() => set(undefined)}>
      Remove
    </Button>
  );
  return (
    <FieldFrame {...frame} group controls={required || readonly ? undefined : remove}>
      <div className={classes.nested}>{children}</div>
    </FieldFrame>
  );
}

function hasProblem(errors: ErrorSchema | undefined, name: string): boolean {
  return messagesOf((errors as Record<string, ErrorSchema | undefined> | undefined)?.[name]).length > 0;
}

/** Return how many of these settings a problem concerns, by its path or its message. */
function inProblems(errors: ErrorSchema | undefined, names: readonly string[]): number {
  const words = new Set(messagesOf(errors).flatMap((text) => text.match(/[\w-]+/g) ?? []));
  return names.filter((name) => words.has(name) || hasProblem(errors, name)).length;
}

/** Return true if there is or was a problem since the form appeared: fixing it must not fold the field away. */
function useLasting(wrong: boolean): boolean {
  const [was, setWas] = useState(wrong);
  if (wrong && !was) setWas(true);
  return was;
}

interface Sections {
  first: string[];
  more: string[];
}

/** Computed once per form, so that no field moves while the user types. */
function sectionsOf(
  { properties, schema, formData }: ObjectFieldTemplateProps,
  { usual, all = false, only }: Pick<Folding, "usual" | "all" | "only">,
): Sections {
  const names = properties.map((one) => one.name);
  if (only !== undefined) return { first: names.filter((name) => only.includes(name)), more: [] };
  const data = isRecord(formData) ? formData : {};
  // A value that was made for the user, such as the path of an address, is no reason to show its field.
  const isMade = (name: string) => (schema.properties?.[name] as FieldSchema | undefined)?.["x-advanced"] === true;
  const isFirst = (name: string) =>
    usual.has(name) ||
    (schema.required?.includes(name) ? data[name] === undefined || !isMade(name) : data[name] !== undefined);
  const first = names.filter(isFirst);
  const more = names.filter((name) => !isFirst(name));
  return all || first.length === 0 || more.length <= 1 ? { first: names, more: [] } : { first, more };
}

export function ObjectFieldTemplate(props: ObjectFieldTemplateProps) {
  const { properties, fieldPathId, formData, errorSchema } = props;
  const folding = useContext(FoldingContext);
  const isRoot = fieldPathId.path.length === 0;
  const place = isRoot ? folding.remembered : `${folding.remembered}.${fieldPathId.path.join(".")}`;
  const [sections] = useState(() => sectionsOf(props, isRoot ? folding : { usual: new Set() }));
  const [open, setOpen] = useRemembered(folding.remembered === "" ? "" : place);
  const contentOf = (name: string) => properties.find((one) => one.name === name)?.content;
  const wrong = inProblems(errorSchema, sections.more) > 0;
  const filled = sections.more.filter((name) => isRecord(formData) && formData[name] !== undefined).length;
  const [closed, setClosed] = useState(false);
  const wasWrong = useLasting(wrong);
  const isOpen = open || wrong || (wasWrong && !closed);
  const Chevron = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <div className={classes.form}>
      {sections.first.map(contentOf)}
      {sections.more.length > 0 && (
        <div>
          <UnstyledButton
            aria-expanded={isOpen}
            data-more
            onClick={() => {
              setOpen(!isOpen);
              setClosed(isOpen);
            }}
            py={4}
          >
            <Group gap={4}>
              <Chevron size={16} aria-hidden />
              <Text size="sm" fw={550}>
                More settings
              </Text>
              <Quiet>{filled > 0 ? `${sections.more.length}, ${filled} in use` : sections.more.length}</Quiet>
            </Group>
          </UnstyledButton>
          <Collapse expanded={isOpen}>
            {isOpen && <div className={`${classes.form} ${classes.more}`}>{sections.more.map(contentOf)}</div>}
          </Collapse>
        </div>
      )}
    </div>
  );
}
