/** Templates for the form library's lists of objects: a box for each item, like our lists of values. */
import { Group, Text } from "@mantine/core";
import type { ArrayFieldItemTemplateProps, ArrayFieldTemplateProps } from "@rjsf/utils";
import { AddRow } from "./fields/AddRow";
import { FieldFrame } from "./fields/FieldFrame";
import { RowMenu } from "./fields/RowMenu";
import classes from "./forms.module.css";

export function ArrayFieldTemplate(props: ArrayFieldTemplateProps) {
  const { fieldPathId, title, schema, required, items, canAdd, readonly, disabled, onAddClick } = props;
  const isFixed = readonly || disabled;
  return (
    <FieldFrame id={fieldPathId.$id} label={title} help={schema.description} required={required} group>
      <div className={classes.rows}>
        {items}
        {(canAdd || isFixed) && (
          <AddRow readOnly={Boolean(isFixed)} isEmpty={items.length === 0} onAdd={onAddClick}>
            Add item
          </AddRow>
        )}
      </div>
    </FieldFrame>
  );
}

export function ArrayFieldItemTemplate(props: ArrayFieldItemTemplateProps) {
  const { index, children, readonly, disabled, buttonsProps } = props;
  const name = `Item ${index + 1}`;
  const { hasMoveUp, hasMoveDown, onMoveUpItem, onMoveDownItem, onRemoveItem } = buttonsProps;
  return (
    // biome-ignore lint/a11y/useSemanticElements: its name is in a row with its actions
    <div className={classes.nested} role="group" aria-label={name}>
      <Group justify="space-between" wrap="nowrap" mih={36}>
        <Text size="sm" fw={550}>
          {name}
        </Text>
        {!readonly && !disabled && (
          <RowMenu
            label={name}
            shape="object"
            onUp={hasMoveUp ? () => onMoveUpItem() : undefined}
            onDown={hasMoveDown ? () => onMoveDownItem() : undefined}
            onRemove={() => onRemoveItem()}
          />
        )}
      </Group>
      {children}
    </div>
  );
}
