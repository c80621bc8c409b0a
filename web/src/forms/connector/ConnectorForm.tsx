/** The settings of a connector's node: the operation, then its inputs. Loaded with the first one. */

import { Alert, Anchor, type ComboboxItem, type OptionsFilter, Select, Stack, Text } from "@mantine/core";
import { useId, useMemo, useRef } from "react";
import { type Connector, type ConnectorOperation, rateInWords, useConnector } from "@/api/connectors";
import type { Json } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows, Refused } from "@/ui/states";
import type { NodeFormProps } from "../context";
import { describedBy, FieldFrame, Words } from "../fields/FieldFrame";
import { withinConfig } from "../schema/problems";
import type { FieldSchema } from "../schema/types";
import {
  byGroup,
  ConnectorProvider,
  changed,
  type Described,
  describe,
  matches,
  OPERATION,
  usualIn,
  withoutOperation,
} from "./operations";

// The operation of a connector's node: a list in groups, with a search.

interface OperationFieldProps {
  id: string;
  label: string;
  isTrigger: boolean;
  operations: readonly Described[];
  value: string;
  onChange: (id: string) => void;
  problems: readonly string[];
  readOnly: boolean;
}

function OperationField(props: OperationFieldProps) {
  const { id, label, isTrigger, operations, value, onChange, problems, readOnly } = props;
  const byId = useMemo(() => new Map(operations.map((one) => [one.id, one])), [operations]);
  const data = useMemo(() => {
    const known = byGroup(operations).map(({ group, items }) => ({
      group,
      items: items.map((one) => ({ value: one.id, label: one.name })),
    }));
    const isForeign = value !== "" && !byId.has(value);
    return isForeign ? [...known, { group: "Unknown", items: [{ value, label: value }] }] : known;
  }, [operations, byId, value]);
  const filter: OptionsFilter = ({ options, search }) => {
    const isFound = (item: ComboboxItem) => {
      const one = byId.get(item.value);
      return one !== undefined && matches(one, search);
    };
    return options
      .map((one) =>
        "group" in one ? { ...one, items: one.items.filter((item) => isFound(item as ComboboxItem)) } : one,
      )
      .filter((one) => ("group" in one ? one.items.length > 0 : isFound(one)));
  };
  return (
    <FieldFrame id={id} label={label} required problems={problems}>
      <Select
        id={id}
        data={data}
        value={value === "" ? null : value}
        onChange={(next) => next !== null && onChange(next)}
        searchable
        filter={filter}
        placeholder={isTrigger ? "Choose an event" : "Choose an operation"}
        nothingFoundMessage="No match"
        maxDropdownHeight={360}
        readOnly={readOnly}
        error={problems.length > 0}
        aria-required
        aria-describedby={describedBy(id, "", problems)}
        renderOption={({ option }) => (
          <div>
            <Text size="sm">{option.label}</Text>
            {byId.get(option.value)?.description && <Quiet size="xs">{byId.get(option.value)?.description}</Quiet>}
          </div>
        )}
      />
    </FieldFrame>
  );
}

function labelOf({ config_schema }: NodeFormProps["type"]): string {
  return (config_schema as FieldSchema).properties?.[OPERATION]?.title ?? "Operation";
}

/** Data for the other fields of the form. */
interface Fields {
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
  only,
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
      {only === undefined && (
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
      )}
      {isMissing && (
        <Alert color="yellow" variant="light" p="xs">
          {connector.name} has no operation “{chosen}” on this server. Choose another one.
        </Alert>
      )}
      {connector === undefined && (error ? <Refused error={error} onRetry={retry} /> : <LoadingRows rows={3} />)}
      {connector !== undefined && found !== undefined && (
        <OperationParts connector={connector} operation={found} isBrief={only !== undefined}>
          {children}
        </OperationParts>
      )}
    </Stack>
  );
}

interface OperationPartsProps {
  connector: Connector;
  operation: ConnectorOperation;
  isBrief: boolean;
  children: (fields: Fields) => React.ReactNode;
}

function OperationParts({ connector, operation, isBrief, children }: OperationPartsProps) {
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
      {!isBrief && <About connector={connector} operation={operation} />}
      <ConnectorProvider value={place}>{children(fields)}</ConnectorProvider>
    </>
  );
}

/** The description of the operation, a link to its documentation, and its rate limit. */
function About({ connector, operation }: Pick<OperationPartsProps, "connector" | "operation">) {
  const service = connector.service.name;
  const docs = operation.docs ?? connector.docs;
  return (
    <Quiet>
      <Words text={operation.description} />{" "}
      {docs !== null && (
        <Anchor href={docs} target="_blank" rel="noopener noreferrer" size="sm" underline="always">
          {service} documentation
        </Anchor>
      )}
      {connector.rate !== null && (
        <>
          {" "}
          {service} allows {rateInWords(connector.rate)}.
        </>
      )}
    </Quiet>
  );
}
