import { Text } from "@mantine/core";
import { useCallback, useMemo, useState } from "react";
import { type DefinitionDiff, diffOf, edgeKey, merged } from "@/definition/diff";
import type { Definition, FlowEdge } from "@/definition/types";
import FlowGraph from "@/graph/FlowGraph";
import type { Mark } from "@/graph/NodeCard";
import { Changes, SETTINGS } from "./Changes";
import classes from "./versions.module.css";

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
        <Text size="sm" c="var(--quiet)" p="md">
          {nothingElse(diff)}
        </Text>
      ) : (
        <Changes diff={diff} selected={selected} onSelect={select} />
      )}
    </>
  );
}
