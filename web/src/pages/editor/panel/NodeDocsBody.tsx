import { Button, Code, Group, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { NodeType } from "@/api/catalogue";
import { connectorQuery } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { Words } from "@/forms/fields/FieldFrame";
import type { FieldSchema } from "@/forms/schema/types";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { nodeOf } from "../changes";
import { useEditor, useEditorStore } from "../context";
import classes from "./panel.module.css";

const JSON_INDENT = 2;

function Setting({ name, schema, required }: { name: string; schema: FieldSchema; required: boolean }) {
  const facts = [
    required ? "Required" : undefined,
    schema.default === undefined || schema.default === "" ? undefined : `Default: ${JSON.stringify(schema.default)}`,
    schema.enum === undefined ? undefined : `One of ${schema.enum.join(", ")}`,
  ].filter((fact) => fact !== undefined);
  return (
    <div>
      <dt>
        <Text size="sm" fw={550} component="span">
          {schema.title ?? name}
        </Text>{" "}
        <Code>{name}</Code>
      </dt>
      <dd>
        <Quiet size="xs">
          {schema.description && <Words text={`${schema.description}. `} />}
          {facts.map((fact) => `${fact}. `).join("")}
        </Quiet>
      </dd>
    </div>
  );
}

interface ExampleProps {
  example: Record<string, unknown>;
  nodeId: string;
  isConnector: boolean;
}

function Example({ example, nodeId, isConnector }: ExampleProps) {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  function use() {
    const { config = {} } = nodeOf(store.getState().definition, nodeId) ?? {};
    const { credential } = config;
    // An example of a service names no credential: the node keeps its own.
    const kept: Record<string, Json> = isConnector && credential !== undefined ? { credential } : {};
    store.getState().setConfig(nodeId, { ...kept, ...((example.config ?? {}) as Record<string, Json>) });
    notify.done("The example’s settings are in the node. Undo restores the former ones.");
  }
  return (
    <Stack gap={4}>
      {["config", "input", "output"].map(
        (part) =>
          example[part] !== undefined && (
            <div key={part}>
              <Quiet size="xs">{part === "config" ? "Settings" : part === "input" ? "Input" : "Output"}</Quiet>
              <Code block className={classes.wrapped}>
                {JSON.stringify(example[part], null, JSON_INDENT)}
              </Code>
            </div>
          ),
      )}
      {!readOnly && (
        <Group>
          <Button size="compact-xs" variant="default" onClick={use}>
            Use these settings
          </Button>
        </Group>
      )}
    </Stack>
  );
}

/** Return the examples of the type, or the one of the operation that a connector's node calls. */
function useExamples(type: NodeType, nodeId: string): NodeType["examples"] {
  const operation = useEditor((state) => nodeOf(state.definition, nodeId)?.config?.operation);
  const isConnector = Boolean(type.operations);
  const { data } = useQuery({ ...connectorQuery(type.type), enabled: isConnector });
  if (!isConnector) return type.examples;
  const found = data?.operations.find((one) => one.id === operation)?.example;
  // Some connectors have none: their example is empty.
  return found === undefined || Object.keys(found.config).length < 2 ? [] : [found];
}

/** Settings, branches and examples of a node type. */
export default function NodeDocsBody({ type, nodeId }: { type: NodeType; nodeId: string }) {
  // A connector's node has the settings of its operation.
  const schema = useEditor((state) => {
    const node = nodeOf(state.definition, nodeId);
    return node === undefined ? undefined : state.catalogue?.schemaOf(node);
  });
  const { properties = {}, required = [] } = (schema ?? type.config_schema) as FieldSchema;
  const examples = useExamples(type, nodeId);
  return (
    <Stack gap="sm" pt="xs">
      <dl className={classes.explained}>
        {Object.entries(properties).map(([name, schema]) => (
          <Setting key={name} name={name} schema={schema} required={required.includes(name)} />
        ))}
      </dl>
      {type.branches.length > 0 && (
        <Text size="sm">
          Branches: <Words text={type.branches.map((branch) => `\`${branch}\``).join(", ")} />
        </Text>
      )}
      {examples.length > 0 && (
        <Title order={2} fz="sm">
          Examples
        </Title>
      )}
      {examples.map((example) => (
        <Example
          key={JSON.stringify(example)}
          example={example}
          nodeId={nodeId}
          isConnector={Boolean(type.operations)}
        />
      ))}
    </Stack>
  );
}
