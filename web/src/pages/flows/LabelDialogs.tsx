/** Dialogs that move flows to a folder, and set their tags. Loaded when they are first opened. */

import { Autocomplete, Modal, TagsInput } from "@mantine/core";
import { useState } from "react";
import { DialogForm } from "@/ui/FormDialog";
import { count } from "@/ui/format";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { allPaths, commonTags, partialTags, spelledAs } from "./filters";
import { type Flow, type Labels, useFlowActions, useFolders, useTags } from "./flows";

export type LabelDialog = "move" | "tag";
export type Labelled = Pick<Flow, "id" | "name" | "folder" | "tags">;

interface LabelDialogsProps {
  asking: LabelDialog;
  flows: Labelled[];
  onClose: () => void;
  onDone?: () => void;
}

const MAX_PATH = 200;
const MAX_TAGS = 20;
const MAX_TAG = 40;

export default function LabelDialogs({ asking, flows, onClose, onDone }: LabelDialogsProps) {
  const { label } = useFlowActions();
  const subject = flows.length === 1 ? `“${flows[0]?.name}”` : `${count(flows.length)} flows`;
  async function apply(labels: Labels, done: string) {
    await label(
      flows.map((flow) => flow.id),
      labels,
    );
    notify.done(`${subject} ${done}`);
    onDone?.();
    onClose();
  }
  return (
    <Modal opened onClose={onClose} title={asking === "move" ? `Move ${subject}` : `Tags of ${subject}`} centered>
      {asking === "move" ? (
        <MoveForm flows={flows} onClose={onClose} onApply={apply} />
      ) : (
        <TagForm flows={flows} onClose={onClose} onApply={apply} />
      )}
    </Modal>
  );
}

interface FormProps {
  flows: Labelled[];
  onClose: () => void;
  onApply: (labels: Labels, done: string) => Promise<void>;
}

function MoveForm({ flows, onClose, onApply }: FormProps) {
  const paths = allPaths(useFolders().folders);
  const first = flows[0]?.folder ?? "";
  const isInFolder = flows.some((flow) => flow.folder !== null);
  const [path, setPath] = useState(flows.every((flow) => (flow.folder ?? "") === first) ? first : "");
  const to = path.trim();
  return (
    <DialogForm
      action={to === "" && isInFolder ? "Remove from folders" : "Move"}
      isReady={to === "" ? isInFolder : flows.some((flow) => flow.folder !== to)}
      onClose={onClose}
      onSubmit={() =>
        onApply({ folder: to === "" ? null : to }, to === "" ? "removed from folders" : `moved to “${to}”`)
      }
    >
      <Autocomplete
        label="Folder"
        description="Choose a folder or enter a new one, such as Billing/Invoices. Leave it empty for no folder."
        data={paths}
        value={path}
        onChange={setPath}
        maxLength={MAX_PATH}
        limit={50}
        data-autofocus
        // It would cover the buttons of the dialog.
        openOnFocus={false}
        comboboxProps={{ shadow: "md" }}
      />
    </DialogForm>
  );
}

function TagForm({ flows, onClose, onApply }: FormProps) {
  const existing = useTags().map(({ tag }) => tag);
  const common = commonTags(flows);
  const partial = partialTags(flows);
  const [tags, setTags] = useState(common);
  // A tag that was typed counts, also without Enter.
  const [typed, setTyped] = useState("");
  const wanted = spelledAs(typed.trim() === "" ? tags : [...tags, typed], existing);
  const add = wanted.filter((tag) => !common.includes(tag));
  const remove = common.filter((tag) => !wanted.includes(tag));
  return (
    <DialogForm
      action="Save"
      isReady={add.length + remove.length > 0}
      onClose={onClose}
      onSubmit={() => onApply({ add_tags: add, remove_tags: remove }, "tagged")}
    >
      <TagsInput
        label="Tags"
        description="Press Enter or a comma after each tag."
        data={existing}
        value={tags}
        onChange={(next) => setTags(spelledAs(next, existing))}
        searchValue={typed}
        onSearchChange={setTyped}
        maxTags={MAX_TAGS}
        maxLength={MAX_TAG}
        splitChars={[","]}
        data-autofocus
        // It would cover the buttons of the dialog.
        openOnFocus={false}
        comboboxProps={{ shadow: "md" }}
      />
      {partial.length > 0 && (
        <Quiet>Only some of the flows have: {partial.join(", ")}. These tags stay as they are.</Quiet>
      )}
    </DialogForm>
  );
}
