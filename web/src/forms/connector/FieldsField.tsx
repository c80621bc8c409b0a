/** An object whose fields a service, a table or a flow describes: an input for each, as every other setting has it. */

import { Alert, Group, Select, Stack, Text } from "@mantine/core";
import type { ErrorSchema } from "@rjsf/utils";
import { IconRefresh, IconWand } from "@tabler/icons-react";
import { type ReactElement, useState } from "react";
import type { Json } from "@/definition/types";
import { Button } from "@/ui/Button";
import { Linked } from "@/ui/Linked";
import { Quiet } from "@/ui/Quiet";
import { LoadingRows, messageOf } from "@/ui/states";
import { useForm } from "../context";
import { scopeOf } from "../expression/scope";
import type { InputProps } from "../fields/FieldFrame";
import classes from "../forms.module.css";
import { textOf } from "../options/choices";
import { Setting } from "../SchemaForm";
import type { FieldSource } from "../schema/types";
import { isRecord } from "../schema/values";
import { type Field, foreignIn, isShown, keyIn, matched } from "./fields";
import { type Fields, useFields } from "./useFields";

type Values = Record<string, Json>;

interface FieldsFieldProps extends InputProps {
  source: FieldSource;
  /** The editor of the object without its fields. */
  children: ReactElement;
}

export default function FieldsField({ source, children, ...props }: FieldsFieldProps) {
  const list = useFields(props.name, source);
  const [isObject, setObject] = useState(false);
  const isKnown = list.fields !== undefined && list.fields.length > 0 && !list.error;
  return (
    <Stack gap="sm">
      {isObject && isKnown ? (
        <Group>
          <Button size="compact-xs" variant="default" onClick={() => setObject(false)}>
            Edit by field
          </Button>
        </Group>
      ) : (
        <Notice list={list} />
      )}
      {isKnown && !isObject ? (
        <Inputs {...props} list={list} fields={list.fields ?? []} onObject={() => setObject(true)} />
      ) : list.isLoading && !list.error ? (
        <LoadingRows rows={3} />
      ) : (
        children
      )}
    </Stack>
  );
}

/** Shows the reason for missing fields, and what to do. */
function Notice({ list }: { list: Fields }) {
  const { error, fields, reason, name, of, isLoading, refresh } = list;
  const again = (
    <Button size="compact-xs" variant="default" icon={IconRefresh} loading={isLoading} onClick={refresh}>
      {error ? "Try again" : "Refresh"}
    </Button>
  );
  if (reason !== undefined) return <Quiet size="xs">{reason}</Quiet>;
  if (error) {
    return (
      <Alert color="red" variant="light" p="xs" role="alert" title={`The fields of the ${of} could not be read`}>
        <Text size="sm" style={{ overflowWrap: "anywhere" }}>
          <Linked text={messageOf(error)} />
        </Text>
        <Text size="sm" my={4}>
          Check the settings above, and what the account may read in {name}. The values below are kept.
        </Text>
        {again}
      </Alert>
    );
  }
  if (fields?.length !== 0) return null;
  return (
    <Group gap="xs" role="status">
      <Quiet size="xs">
        {list.empty ?? `The ${of} has no fields that can be set. Add one in ${name}, then refresh.`}
      </Quiet>
      {again}
    </Group>
  );
}

interface InputsProps extends InputProps {
  list: Fields;
  fields: readonly Field[];
  onObject: () => void;
}

function Inputs({ id, leaf, value, onChange, errors, list, fields, onObject }: InputsProps) {
  const { readOnly } = useForm();
  const [added, setAdded] = useState<readonly string[]>([]);
  const values: Values = isRecord(value) ? value : {};
  const isOpen = (field: Field) => isShown(field, fields, values) || added.includes(field.name);
  const folded = fields.filter((field) => !isOpen(field));

  function set(key: string, one: Json | undefined) {
    const { [key]: _before, ...rest } = values;
    const next = one === undefined ? rest : { ...values, [key]: one };
    onChange(Object.keys(next).length > 0 ? next : undefined);
  }

  return (
    <div className={classes.form}>
      {!readOnly && <Actions leaf={leaf} values={values} onChange={onChange} {...{ list, fields, onObject }} />}
      {fields.map((field, at) => {
        if (!isOpen(field)) return null;
        const key = keyIn(field, values);
        return (
          <Setting
            key={field.name}
            id={`${id}-${at}`}
            name={key}
            leaf={field.leaf}
            value={values[key]}
            onChange={(one) => set(key, one)}
            errors={(errors as Record<string, ErrorSchema | undefined> | undefined)?.[key]}
          />
        );
      })}
      {folded.length > 0 && !readOnly && (
        <Select
          label="Add a field"
          placeholder={`${folded.length} more`}
          data={folded.map((field) => ({ value: field.name, label: field.leaf.label }))}
          value={null}
          onChange={(name) => name !== null && setAdded([...added, name])}
          searchable
          limit={100}
          nothingFoundMessage="No match"
        />
      )}
      {list.truncated && <Quiet size="xs">The {list.of} has more fields. Set them with “Edit as object”.</Quiet>}
      <Foreign keys={foreignIn(fields, values)} of={list.of} values={values} onRemove={(key) => set(key, undefined)} />
    </div>
  );
}

interface ActionsProps extends Pick<InputsProps, "leaf" | "list" | "fields" | "onObject" | "onChange"> {
  values: Values;
}

function Actions({ leaf, list, fields, values, onObject, onChange }: ActionsProps) {
  const { expressions } = useForm();
  const [said, setSaid] = useState("");

  function match() {
    const scope = expressions === null ? undefined : scopeOf(expressions.scope, leaf.perItem);
    const data = scope?.perItem ? scope.item : scope?.input;
    const found = matched(fields, values, data, scope?.perItem ? "item" : "input");
    const count = Object.keys(found).length;
    if (data === undefined) setSaid("The input is not known yet. Run the nodes before this one first.");
    else if (count === 0) setSaid("No empty field has the name of a key of the input.");
    else setSaid(`Filled ${count} ${count === 1 ? "field" : "fields"} from the input.`);
    if (count > 0) onChange({ ...values, ...found });
  }

  return (
    <div>
      <Group gap={4}>
        {expressions !== null && (
          <Button size="compact-xs" variant="default" icon={IconWand} onClick={match}>
            Match by name
          </Button>
        )}
        <Button size="compact-xs" variant="default" icon={IconRefresh} loading={list.isLoading} onClick={list.refresh}>
          Refresh
        </Button>
        <Button size="compact-xs" variant="subtle" color="gray" onClick={onObject}>
          Edit as object
        </Button>
      </Group>
      <Quiet size="xs" role="status" mt={said === "" ? 0 : 4}>
        {said}
      </Quiet>
    </div>
  );
}

interface ForeignProps {
  keys: readonly string[];
  of: string;
  values: Values;
  onRemove: (key: string) => void;
}

/** Values of keys that are none of the fields. */
function Foreign({ keys, of, values, onRemove }: ForeignProps) {
  const { readOnly } = useForm();
  if (keys.length === 0) return null;
  return (
    <div className={classes.nested}>
      <Text size="sm" fw={550}>
        Not in the {of} any more
      </Text>
      {keys.map((key) => (
        <Group key={key} justify="space-between" wrap="nowrap">
          <Text size="sm" style={{ overflowWrap: "anywhere" }} lineClamp={3}>
            {key}: {textOf(values[key])}
          </Text>
          {!readOnly && (
            <Button size="compact-xs" variant="default" aria-label={`Remove ${key}`} onClick={() => onRemove(key)}>
              Remove
            </Button>
          )}
        </Group>
      ))}
    </div>
  );
}
