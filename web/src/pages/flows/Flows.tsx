import { Button } from "@mantine/core";
import { IconFileImport, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { useSession } from "@/app/session";
import { NameDialog } from "@/ui/NameDialog";
import { Page } from "@/ui/Page";
import { useQueryState } from "@/ui/useQueryState";
import { FlowFilters } from "./FlowFilters";
import { FlowList } from "./FlowList";
import { FolderTrail } from "./Folders";
import { FILTERS, type Filters, PLACE } from "./filters";
import { useFlowActions } from "./flows";
import classes from "./flows.module.css";
import { ImportDialog } from "./ImportDialog";
import { useFileDrop } from "./useFileDrop";

const NEW = { new: "" };

export default function Flows() {
  const { may } = useSession();
  const [, go] = useLocation();
  const { create } = useFlowActions();
  const opened = useQueryState(NEW);
  const [file, setFile] = useState<File>();
  const filters = useQueryState<keyof Filters>(FILTERS);
  const { folder } = useQueryState(PLACE).values;
  const mayEdit = may("editor");
  const isOver = useFileDrop(([dropped]) => {
    setFile(dropped);
    opened.change({ new: "import" });
  }, mayEdit);
  const close = () => opened.change({ new: "" }, { replace: true });

  return (
    <Page
      title="Flows"
      actions={
        mayEdit && (
          <>
            <Button
              variant="default"
              leftSection={<IconFileImport size={16} aria-hidden />}
              onClick={() => opened.change({ new: "import" })}
            >
              Import
            </Button>
            <Button
              leftSection={<IconPlus size={16} aria-hidden />}
              onClick={() => opened.change({ new: "flow" })}
            >
              New flow
            </Button>
          </>
        )
      }
    >
      <FlowFilters filters={filters} />
      {folder !== "" && <FolderTrail folder={folder} />}
      <FlowList key={folder} filters={filters} folder={folder} />
      {isOver && <div className={classes.drop}>Drop a file to import it</div>}
      <ImportDialog
        opened={opened.values.new === "import" && mayEdit}
        file={file}
        folder={folder}
        onClose={() => {
          setFile(undefined);
          close();
        }}
      />
      <NameDialog
        opened={opened.values.new === "flow" && mayEdit}
        onClose={close}
        title={folder === "" ? "New flow" : `New flow in “${folder}”`}
        action="Create"
        onName={async (name) => {
          const flow = await create(name, undefined, { folder: folder || null });
          // Replace the history entry: Back would open the dialog again.
          close();
          go(`/flows/${flow.id}`);
        }}
      />
    </Page>
  );
}
