import { Group, Select, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { type MouseEvent, useMemo, useState } from "react";
import { ancestors } from "@/definition/graph";
import type { FlowEdge, FlowNode } from "@/definition/types";
import { nameOf } from "@/graph/nameOf";
import { Button } from "@/ui/Button";
import { IconButton } from "@/ui/IconButton";
import { Quiet } from "@/ui/Quiet";
import { usedWays, type Way, waysOf } from "../branches";
import { edgeKey, edge as edgeOf } from "../changes";
import { useEditor, useEditorStore } from "../context";
import { calledIn } from "../store";
import { useUi } from "../ui";

/** Return the position of a dialog opened by a button. */
function below(event: MouseEvent<HTMLElement>) {
  const box = event.currentTarget.getBoundingClientRect();
  return { x: box.left - 340, y: box.top };
}

function Neighbour({ edge, other, readOnly }: { edge: FlowEdge; other: string; readOnly: boolean }) {
  const store = useEditorStore();
  const name = useEditor((state) => calledIn(state, other));
  const isAmbiguous = useEditor((state) =>
    state.definition.nodes.some((one) => one.id !== other && calledIn(state, one.id) === name),
  );
  const between = useEditor((state) => `${calledIn(state, edge.from)} and ${calledIn(state, edge.to)}`);
  return (
    <Group gap={4} wrap="nowrap" justify="space-between">
      <UnstyledButton onClick={() => store.getState().goTo(other)} title={other} style={{ minWidth: 0 }}>
        <Text size="sm" truncate>
          {name}
          {isAmbiguous && (
            <Quiet span size="xs">
              {" "}
              {other}
            </Quiet>
          )}
          {edge.branch !== undefined && (
            <Quiet span size="xs">
              {" "}
              branch {edge.branch}
            </Quiet>
          )}
        </Text>
      </UnstyledButton>
      {!readOnly && (
        <Group gap={2} wrap="nowrap">
          <IconButton
            label={`Insert node between ${between}`}
            tip="Insert node between"
            icon={IconPlus}
            iconSize={16}
            size="sm"
            onClick={(event) => useUi.getState().set({ quick: { screen: below(event), where: { on: edge } } })}
          />
          <IconButton
            label={`Disconnect ${between}`}
            tip="Disconnect"
            icon={IconX}
            iconSize={16}
            size="sm"
            onClick={() => store.getState().disconnect([edgeKey(edge)])}
          />
        </Group>
      )}
    </Group>
  );
}

/** Select boxes to connect nodes without drawing a line. */
function ConnectTo({ node }: { node: FlowNode }) {
  const store = useEditorStore();
  const definition = useEditor((state) => state.definition);
  const catalogue = useEditor((state) => state.catalogue);
  const known = useEditor((state) => state.check?.ways.get(node.id));
  const ways = waysOf(node, known, catalogue, usedWays(definition.edges).get(node.id));
  const [chosen, setChosen] = useState<Way>(ways[0]);
  const way = ways.includes(chosen) ? chosen : ways[0];
  const targets = useMemo(() => {
    const before = ancestors(definition, node.id).add(node.id);
    const there = new Set(
      definition.edges.filter((edge) => edge.from === node.id && edge.branch === way).map((edge) => edge.to),
    );
    return definition.nodes
      .filter((one) => !before.has(one.id) && !there.has(one.id) && !catalogue?.find(one.type)?.trigger)
      .map((one) => ({ value: one.id, label: `${nameOf(one, catalogue?.find(one.type))} (${one.id})` }));
  }, [definition, catalogue, node.id, way]);

  return (
    <Group gap="xs" align="end" wrap="nowrap">
      {ways.length > 1 && (
        <Select
          label="Branch"
          size="xs"
          w={96}
          data={ways.map((one) => ({ value: one ?? "", label: one ?? "(none)" }))}
          value={way ?? ""}
          onChange={(value) => setChosen(value || undefined)}
        />
      )}
      {targets.length > 0 && (
        <Select
          label="Connect to…"
          placeholder="Select"
          size="xs"
          flex={1}
          searchable
          data={targets}
          limit={50}
          value={null}
          onChange={(id) => id !== null && store.getState().connect(edgeOf(node.id, id, way))}
        />
      )}
      <Button
        size="xs"
        variant="default"
        icon={IconPlus}
        onClick={(event) =>
          useUi.getState().set({ quick: { screen: below(event), where: { after: { id: node.id, branch: way } } } })
        }
      >
        New node
      </Button>
    </Group>
  );
}

/** The previous and next nodes of a node; connects without a mouse. */
export function Neighbours({ node }: { node: FlowNode }) {
  const edges = useEditor((state) => state.definition.edges);
  const readOnly = useEditor((state) => state.readOnly);
  const trigger = useEditor((state) => state.catalogue?.find(node.type)?.trigger ?? false);
  const into = edges.filter((edge) => edge.to === node.id);
  const out = edges.filter((edge) => edge.from === node.id);
  return (
    <Stack gap={6} p="md" style={{ borderTop: "1px solid var(--line)" }}>
      {!trigger && (
        <>
          <Quiet size="xs" fw={600}>
            Previous
          </Quiet>
          {into.map((edge) => (
            <Neighbour key={edgeKey(edge)} edge={edge} other={edge.from} readOnly={readOnly} />
          ))}
          {into.length === 0 && <Text size="sm">Start of flow</Text>}
        </>
      )}
      <Quiet size="xs" fw={600} mt={4}>
        Next
      </Quiet>
      {out.map((edge) => (
        <Neighbour key={edgeKey(edge)} edge={edge} other={edge.to} readOnly={readOnly} />
      ))}
      {out.length === 0 && <Text size="sm">End of flow</Text>}
      {!readOnly && <ConnectTo node={node} />}
    </Stack>
  );
}
