/** The data that an expression can read, as a tree. A click inserts the path at the cursor; it can also be dragged. */

import { ActionIcon, Box, Group, Loader, Text, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { useActive, useForm } from "../context";
import classes from "../forms.module.css";
import { brief, type Path, pathText, type Scope, startDrag } from "./scope";

const MOST = 50;

/** Return the entries of a value: keys or indexes with their values. */
function partsOf(value: Json | undefined): [string | number, Json][] {
  if (Array.isArray(value)) return value.slice(0, MOST).map((one, at) => [at, one]);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).slice(0, MOST);
}

interface EntryProps {
  path: Path;
  label: string;
  detail: string;
  depth: number;
  /** True if the entry can be expanded. */
  opens: boolean;
  onOpen?: () => void;
  children?: () => ReactNode;
}

function Entry({ path, label, detail, depth, opens, onOpen, children }: EntryProps) {
  const { insert } = useActive();
  const [open, setOpen] = useState(false);
  const Chevron = open ? IconChevronDown : IconChevronRight;
  return (
    <Box component="li" style={{ listStyle: "none" }}>
      <Group gap={2} wrap="nowrap" pl={depth * 14}>
        {opens ? (
          <ActionIcon
            size="sm"
            variant="subtle"
            color="gray"
            aria-expanded={open}
            aria-label={`Expand ${label}`}
            onClick={() => {
              if (!open) onOpen?.();
              setOpen(!open);
            }}
          >
            <Chevron size={14} aria-hidden />
          </ActionIcon>
        ) : (
          <Box w={22} style={{ flexShrink: 0 }} />
        )}
        <UnstyledButton
          className={classes.leaf}
          draggable
          onDragStart={(event) => startDrag(event, path)}
          onClick={() => insert(path)}
          title={`Insert ${pathText(path)}`}
        >
          <Text span ff="monospace" size="xs">
            {label}
          </Text>
          <Quiet span size="xs" truncate>
            {detail}
          </Quiet>
        </UnstyledButton>
      </Group>
      {open && children !== undefined && (
        <Box component="ul" m={0} p={0}>
          {children()}
        </Box>
      )}
    </Box>
  );
}

function ValueEntry({ path, label, value, depth }: { path: Path; label: string; value: Json; depth: number }) {
  const parts = partsOf(value);
  return (
    <Entry path={path} label={label} detail={brief(value, 60)} depth={depth} opens={parts.length > 0}>
      {() => <Values path={path} value={value} depth={depth + 1} />}
    </Entry>
  );
}

function Values({ path, value, depth }: { path: Path; value: Json | undefined; depth: number }) {
  return (
    <>
      {partsOf(value).map(([key, one]) => (
        <ValueEntry key={key} path={[...path, key]} label={String(key)} value={one} depth={depth} />
      ))}
    </>
  );
}

function StepEntry({ step, load }: { step: Scope["steps"][number]; load: (id: string) => Promise<unknown> }) {
  const [isLoading, setLoading] = useState(false);
  const path: Path = ["steps", step.id];
  async function open() {
    if (step.output !== undefined) return;
    setLoading(true);
    await load(step.id).catch(() => undefined);
    setLoading(false);
  }
  return (
    <Entry path={path} label={pathText(path)} detail={step.name} depth={0} opens onOpen={() => void open()}>
      {() =>
        isLoading ? (
          <Loader size="xs" ml={28} />
        ) : step.output === undefined ? (
          <Quiet component="li" size="xs" pl={28} style={{ listStyle: "none" }}>
            No output in the last run
          </Quiet>
        ) : typeof step.output === "object" && step.output !== null ? (
          <Values path={path} value={step.output} depth={1} />
        ) : (
          <ValueEntry path={path} label={step.id} value={step.output} depth={1} />
        )
      }
    </Entry>
  );
}

function RootEntry({ name, value, about }: { name: string; value: Json | undefined; about: string }) {
  return (
    <Entry
      path={[name]}
      label={name}
      detail={value === undefined ? about : brief(value, 60)}
      depth={0}
      opens={partsOf(value).length > 0}
    >
      {() => <Values path={[name]} value={value} depth={1} />}
    </Entry>
  );
}

export function DataPicker({ scope }: { scope: Scope }) {
  const { expressions } = useForm();
  if (expressions === null) return null;
  const { load } = expressions;
  return (
    <Box className={classes.tree} component="ul" m={0} p={0} aria-label="Data to insert">
      {scope.perItem && <RootEntry name="item" value={scope.item} about="current item" />}
      {scope.perItem && <RootEntry name="index" value={undefined} about="index of the item, from 0" />}
      <RootEntry name="input" value={scope.input} about="input of this node" />
      {scope.steps.map((step) => (
        <StepEntry key={step.id} step={step} load={load} />
      ))}
      <RootEntry name="trigger" value={scope.trigger} about="data of the trigger" />
      {scope.vars !== undefined && Object.keys(scope.vars).length > 0 && (
        <RootEntry name="vars" value={scope.vars} about="variables of the flow and the workspace" />
      )}
      {scope.secrets.map((name) => (
        <Entry
          key={name}
          path={["secrets", name]}
          label={pathText(["secrets", name])}
          detail="credential"
          depth={0}
          opens={false}
        />
      ))}
      <RootEntry name="now" value={undefined} about="current date and time" />
    </Box>
  );
}
