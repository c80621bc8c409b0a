import { Badge, Box, Collapse, SimpleGrid, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconChevronDown, IconChevronRight, IconSettings } from "@tabler/icons-react";
import { useCallback, useMemo, useState } from "react";
import { useCatalogue } from "@/api/catalogue";
import {
  type Change,
  type DefinitionDiff,
  diffOf,
  edgeKey,
  type FieldChange,
  fieldChanges,
  merged,
  type NodeChange,
} from "@/definition/diff";
import type { Definition, FlowEdge, Json } from "@/definition/types";
import FlowGraph from "@/graph/FlowGraph";
import type { Mark } from "@/graph/NodeCard";
import { NodeIcon } from "@/ui/NodeIcon";
import { Quiet } from "@/ui/Quiet";
import classes from "./versions.module.css";

const LOOKS: Record<Change, { label: string; color: string }> = {
  added: { label: "Added", color: "var(--success)" },
  removed: { label: "Removed", color: "var(--failed)" },
  changed: { label: "Changed", color: "var(--waiting)" },
};
const SETTINGS = "flow settings";

/** Fields of an added or removed node, without its position. */
function fieldsOf(change: NodeChange): FieldChange[] {
  if (change.change === "changed") return change.fields;
  const { position: _before, id: _id, ...before } = change.before ?? { id: "" };
  const { position: _after, id: _sameId, ...after } = change.after ?? { id: "" };
  return fieldChanges(before, after);
}

interface ChangesProps {
  diff: DefinitionDiff;
  selected: string | null;
  onSelect: (id: string | null) => void;
}

/** The changes as a list: the same content as the graph, for keyboard and screen readers. */
function Changes({ diff, selected, onSelect }: ChangesProps) {
  const { catalogue } = useCatalogue();
  return (
    <Stack gap={2} p="xs">
      {diff.nodes.map((change) => {
        const node = change.after ?? change.before;
        const type = catalogue?.find(node?.type ?? "");
        return (
          <Entry
            key={change.id}
            icon={<NodeIcon type={type} size={26} />}
            title={node?.name || type?.name || change.id}
            detail={change.id}
            change={change.change}
            fields={fieldsOf(change)}
            isOpen={selected === change.id}
            onToggle={() => onSelect(selected === change.id ? null : change.id)}
          />
        );
      })}
      {diff.settings.length > 0 && (
        <Entry
          icon={<IconSettings size={26} stroke={1.5} aria-hidden />}
          title="Flow settings"
          detail=""
          change="changed"
          fields={diff.settings}
          isOpen={selected === SETTINGS}
          onToggle={() => onSelect(selected === SETTINGS ? null : SETTINGS)}
        />
      )}
    </Stack>
  );
}

interface EntryProps {
  icon: React.ReactNode;
  title: string;
  detail: string;
  change: Change;
  fields: FieldChange[];
  isOpen: boolean;
  onToggle: () => void;
}

function Entry({ icon, title, detail, change, fields, isOpen, onToggle }: EntryProps) {
  const { label, color } = LOOKS[change];
  const Chevron = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <div>
      <UnstyledButton className={classes.change} aria-expanded={isOpen} onClick={onToggle}>
        <Chevron size={16} aria-hidden />
        {icon}
        <Text size="sm" fw={600} truncate>
          {title}
        </Text>
        <Quiet size="xs" truncate flex={1}>
          {detail}
        </Quiet>
        <Badge variant="outline" size="sm" tt="none" c={color} style={{ borderColor: color }}>
          {label}
        </Badge>
      </UnstyledButton>
      <Collapse expanded={isOpen}>
        <Box p="xs" pl={46}>
          <Fields fields={fields} />
        </Box>
      </Collapse>
    </div>
  );
}

function textOfValue(value: Json | undefined): string {
  if (value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function Value({ value, side }: { value: Json | undefined; side: "before" | "after" }) {
  return (
    <Stack gap={2} miw={0}>
      <Quiet size="xs">{side === "before" ? "Before" : "After"}</Quiet>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre className={classes.value} data-side={side} tabIndex={0}>
        {textOfValue(value)}
      </pre>
    </Stack>
  );
}

/** The changed fields with their values before and after. */
function Fields({ fields }: { fields: FieldChange[] }) {
  return (
    <Stack gap="sm">
      {fields.map((field) => (
        <Stack gap={4} key={field.path}>
          <Text size="sm" ff="monospace">
            {field.path}
          </Text>
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
            <Value value={field.before} side="before" />
            <Value value={field.after} side="after" />
          </SimpleGrid>
        </Stack>
      ))}
    </Stack>
  );
}

const WORDS = { added: "added", removed: "removed", changed: "changed" };

/** Say what differs if the flow itself does not. */
function nothingElse({ notes, groups, moved }: DefinitionDiff): string {
  if (notes.length + groups.length > 0) return "Only notes and groups changed.";
  return moved.length > 0 ? "Only positions of nodes changed." : "The versions are identical.";
}

interface GraphDiffProps {
  before: Definition;
  after: Definition;
  /** The node whose change is open; by default the first change. */
  node: string;
  onNode: (id: string) => void;
}

/** Both versions in one graph, with added, removed and changed parts marked. A click shows the change. */
export default function GraphDiff({ before, after, node, onNode }: GraphDiffProps) {
  const diff = useMemo(() => diffOf(before, after), [before, after]);
  const both = useMemo(() => merged(before, after), [before, after]);
  const marks = useMemo(
    () => new Map<string, Mark>(diff.nodes.map(({ id, change }) => [id, { change, detail: WORDS[change] }])),
    [diff],
  );
  const changeOf = useCallback((edge: FlowEdge) => diff.edges.get(edgeKey(edge)), [diff]);
  const [isClosed, setClosed] = useState(false);
  const first = diff.nodes[0]?.id ?? (diff.settings.length > 0 ? SETTINGS : null);
  const selected = isClosed ? null : node || first;
  function select(id: string | null) {
    setClosed(id === null);
    if (id !== null) onNode(id);
  }
  const nothing = diff.nodes.length + diff.edges.size + diff.settings.length === 0;
  return (
    <>
      <div className={classes.graph}>
        <FlowGraph
          definition={both}
          marks={marks}
          changeOf={changeOf}
          selected={selected}
          onSelect={select}
          label="Both versions in one graph"
        />
      </div>
      {nothing ? (
        <Quiet p="md">{nothingElse(diff)}</Quiet>
      ) : (
        <Changes diff={diff} selected={selected} onSelect={select} />
      )}
    </>
  );
}
