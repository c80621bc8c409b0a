/** The settings of a connector's node: the operation, then its inputs. Loaded with the first one. */
import { Alert, Anchor, Stack, Text } from "@mantine/core";
import { useId, useMemo, useRef } from "react";
import { type Connector, type ConnectorOperation, rateInWords, useConnector } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { LoadingRows, Refused } from "@/ui/states";
import type { NodeFormProps } from "../context";
import { Words } from "../fields/FieldFrame";
import { withinConfig } from "../schema/problems";
import type { FieldSchema } from "../schema/types";
import { ConnectorProvider } from "./context";
import { OperationField } from "./OperationField";
import { changed, describe, OPERATION, usualIn, withoutOperation } from "./operations";

function labelOf({ config_schema }: NodeFormProps["type"]): string {
  return (config_schema as FieldSchema).properties?.[OPERATION]?.title ?? "Operation";
}

/** Data for the other fields of the form. */
export interface Fields {
  schema: ReturnType<typeof withoutOperation>;
  usual: ReadonlySet<string>;
  operation: string;
}

interface ConnectorFormProps extends NodeFormProps {
  /** Draw the fields of an operation. */
  children: (fields: Fields) => React.ReactNode;
}

export default function ConnectorForm({
  type,
  value,
  onChange,
  problems = [],
  readOnly = false,
  children,
}: ConnectorFormProps) {
  const id = `f${useId().replace(/\W/g, "")}_${OPERATION}`;
  const { connector, error, retry } = useConnector(type.type);
  // Values of settings that only a former operation has, for a change back.
  const aside = useRef<Record<string, Json>>({});
  const chosen = typeof value[OPERATION] === "string" ? value[OPERATION] : "";
  const operations = useMemo(
    () => describe(type.operations ?? [], connector?.operations),
    [type.operations, connector],
  );
  const found = connector?.operations.find((one) => one.id === chosen);
  const isMissing = connector !== undefined && chosen !== "" && found === undefined;

  function choose(next: string) {
    const operation = connector?.operations.find((one) => one.id === next);
    if (operation === undefined) return onChange({ ...value, [OPERATION]: next });
    const made = changed(value, operation, aside.current);
    aside.current = made.aside;
    onChange(made.config);
  }

  const ownProblems = problems
    .filter((problem) => withinConfig(problem.path)?.[0] === OPERATION)
    .map((problem) => problem.message);
  return (
    <Stack gap="md">
      <OperationField
        id={id}
        label={labelOf(type)}
        isTrigger={type.trigger}
        operations={operations}
        value={chosen}
        onChange={choose}
        problems={ownProblems}
        readOnly={readOnly}
      />
      {isMissing && (
        <Alert color="yellow" variant="light" p="xs">
          {connector.name} has no operation “{chosen}” on this server. Choose another one.
        </Alert>
      )}
      {connector === undefined &&
        (error ? <Refused error={error} onRetry={retry} /> : <LoadingRows rows={3} />)}
      {connector !== undefined && found !== undefined && (
        <OperationParts connector={connector} operation={found}>
          {children}
        </OperationParts>
      )}
    </Stack>
  );
}

interface OperationPartsProps {
  connector: Connector;
  operation: ConnectorOperation;
  children: (fields: Fields) => React.ReactNode;
}

function OperationParts({ connector, operation, children }: OperationPartsProps) {
  const fields = useMemo(
    () => ({
      schema: withoutOperation(operation.config_schema),
      usual: usualIn(operation.config_schema),
      operation: operation.id,
    }),
    [operation],
  );
  const place = useMemo(() => ({ connector, operation: operation.id }), [connector, operation]);
  return (
    <>
      <About connector={connector} operation={operation} />
      <ConnectorProvider value={place}>{children(fields)}</ConnectorProvider>
    </>
  );
}

/** The description of the operation, a link to its documentation, and its rate limit. */
function About({ connector, operation }: Pick<OperationPartsProps, "connector" | "operation">) {
  const service = connector.service.name;
  const docs = operation.docs ?? connector.docs;
  return (
    <Text size="sm" c="var(--quiet)">
      <Words text={operation.description} />{" "}
      {docs !== null && (
        <Anchor href={docs} target="_blank" rel="noopener noreferrer" size="sm" underline="always">
          {service}’s own description
        </Anchor>
      )}
      {connector.rate !== null && (
        <>
          {" "}
          {service} allows {rateInWords(connector.rate)}.
        </>
      )}
    </Text>
  );
}
