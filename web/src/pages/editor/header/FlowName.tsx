import { TextInput, VisuallyHidden } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { api } from "@/api/client";
import { messageOf } from "@/ui/states";
import { useEditor, useEditorStore } from "../context";
import { canvasPlace } from "../useKeptFocus";
import classes from "./header.module.css";

/** The flow's name, edited in place; Escape restores it. */
export function FlowName() {
  const store = useEditorStore();
  const { id, name } = useEditor((state) => state.flow);
  const readOnly = useEditor((state) => state.readOnly);
  const [text, setText] = useState(name);
  const isGivenUp = useRef(false);
  useEffect(() => setText(name), [name]);
  const rename = api.useMutation("put", "/api/workflows/{flow}", {
    onSuccess: (flow) => store.getState().setFlow({ name: flow.name }),
    onError: (error) =>
      notifications.show({ color: "red", title: "The name was not saved", message: messageOf(error) }),
  });

  function save() {
    const wanted = isGivenUp.current ? "" : text.trim();
    isGivenUp.current = false;
    if (wanted === "") setText(name);
    else if (wanted !== name) rename.mutate({ params: { path: { flow: id } }, body: { name: wanted } });
  }

  function onKeyDown(event: KeyboardEvent<HTMLInputElement>) {
    isGivenUp.current = event.key === "Escape";
    // Leaving the field saves it.
    if (event.key === "Enter" || event.key === "Escape") canvasPlace()?.focus({ preventScroll: true });
  }

  return (
    <>
      <VisuallyHidden component="h1">{name}</VisuallyHidden>
      <TextInput
        aria-label="Flow name"
        value={text}
        maxLength={200}
        readOnly={readOnly}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={save}
        onKeyDown={onKeyDown}
        variant="unstyled"
        classNames={{ root: classes.name, input: classes.nameInput }}
      />
    </>
  );
}
