import { Button, Group, Input, NumberInput, Stack, Textarea, TextInput } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { boxOfNote, groupKey, noteKey } from "@/definition/annotations";
import { COLORS, type Color, type FlowGroup, type FlowNote } from "@/definition/types";
import { Quiet } from "@/ui/Quiet";
import { isFoldedIn, MAX_NOTE } from "../annotating";

import { useEditor, useEditorStore } from "../context";
import { canvasPlace } from "../useKeptFocus";
import classes from "./panel.module.css";

const COLOR_NAMES: Record<Color, string> = {
  yellow: "Yellow",
  blue: "Blue",
  green: "Green",
  red: "Red",
  violet: "Violet",
  gray: "Gray",
};

interface ColorsProps {
  value: Color;
  readOnly: boolean;
  onChange: (color: Color) => void;
}

function Colors({ value, readOnly, onChange }: ColorsProps) {
  return (
    <Input.Wrapper label="Color" labelElement="div">
      <Group gap={6} role="radiogroup" aria-label="Color">
        {COLORS.map((color) => (
          // biome-ignore lint/a11y/useSemanticElements: an input could not show its color
          <button
            key={color}
            type="button"
            role="radio"
            aria-checked={color === value}
            aria-label={COLOR_NAMES[color]}
            title={COLOR_NAMES[color]}
            disabled={readOnly}
            className={classes.swatch}
            style={{ background: `var(--mantine-color-${color}-5)` }}
            onClick={() => onChange(color)}
          >
            {color === value && <IconCheck size={16} aria-hidden />}
          </button>
        ))}
      </Group>
    </Input.Wrapper>
  );
}

function asNumber(value: string | number, low: number, high: number): number | undefined {
  return typeof value === "number" ? Math.min(high, Math.max(low, value)) : undefined;
}

/** The panel of the selected note. */
export function NotePanel({ note }: { note: FlowNote }) {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  const key = noteKey(note.id);
  const { width, height } = boxOfNote(note);
  const { patchNote, removeNodes } = store.getState();
  return (
    <Stack p="md" gap="md">
      <Textarea
        label="Text"
        description="# Heading, **bold**, *italic*, `code`, - list, [link](https://…)"
        autosize
        minRows={6}
        maxRows={24}
        maxLength={MAX_NOTE}
        value={note.text ?? ""}
        readOnly={readOnly}
        onChange={(event) => patchNote(key, { text: event.currentTarget.value })}
      />
      <Colors value={note.color ?? "yellow"} readOnly={readOnly} onChange={(color) => patchNote(key, { color })} />
      <Group grow>
        <NumberInput
          label="Width"
          min={80}
          max={2_000}
          step={20}
          value={width}
          readOnly={readOnly}
          onChange={(value) => patchNote(key, { width: asNumber(value, 80, 2_000) })}
        />
        <NumberInput
          label="Height"
          min={40}
          max={2_000}
          step={20}
          value={height}
          readOnly={readOnly}
          onChange={(value) => patchNote(key, { height: asNumber(value, 40, 2_000) })}
        />
      </Group>
      {!readOnly && (
        <Group gap="xs">
          <Button size="xs" variant="default" onClick={() => store.getState().duplicate([key])}>
            Duplicate
          </Button>
          <Button size="xs" variant="default" onClick={() => removeNodes([key])}>
            Delete
          </Button>
        </Group>
      )}
    </Stack>
  );
}

/** The panel of the selected group. */
export function GroupPanel({ group }: { group: FlowGroup }) {
  const store = useEditorStore();
  const readOnly = useEditor((state) => state.readOnly);
  const isFolded = useEditor((state) => isFoldedIn(state, group));
  const key = groupKey(group.id);
  const { patchGroup, fold, ungroup, select, removeNodes } = store.getState();
  const size = group.nodes.length === 1 ? "1 node" : `${group.nodes.length} nodes`;
  return (
    <Stack p="md" gap="md">
      <TextInput
        label="Group name"
        data-name={key}
        placeholder={group.id}
        value={group.name ?? ""}
        maxLength={200}
        readOnly={readOnly}
        onChange={(event) => patchGroup(key, { name: event.currentTarget.value || undefined })}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
          event.preventDefault();
          canvasPlace()?.focus({ preventScroll: true });
        }}
      />
      <Quiet>{size}. The frame follows its nodes. A folded group is shown as one card; runs are not affected.</Quiet>
      <Colors value={group.color ?? "gray"} readOnly={readOnly} onChange={(color) => patchGroup(key, { color })} />
      <Group gap="xs">
        <Button size="xs" variant="default" onClick={() => fold([key])}>
          {isFolded ? "Unfold" : "Fold"}
        </Button>
        {!isFolded && (
          <Button size="xs" variant="default" onClick={() => select(group.nodes)}>
            Select its nodes
          </Button>
        )}
        {!readOnly && (
          <>
            <Button size="xs" variant="default" onClick={() => ungroup([key])}>
              Ungroup
            </Button>
            <Button size="xs" variant="default" onClick={() => removeNodes([key, ...group.nodes])}>
              Delete with its nodes
            </Button>
          </>
        )}
      </Group>
    </Stack>
  );
}
