import { Box } from "@mantine/core";
import { useState } from "react";
import type { Definition } from "@/definition/types";
import FlowGraph from "@/graph/FlowGraph";
import { JsonView } from "@/ui/CodeEditor";
import { Quiet } from "@/ui/Quiet";
import classes from "./versions.module.css";

/** A version, read-only; a click on a node shows its settings. */
export default function OneVersion({ definition }: { definition: Definition }) {
  const [selected, setSelected] = useState<string | null>(null);
  const node = definition.nodes.find((one) => one.id === selected);
  return (
    <>
      <div className={classes.graph}>
        <FlowGraph definition={definition} selected={selected} onSelect={setSelected} label="Graph of this version" />
      </div>
      <Box p="md">
        {node === undefined ? (
          <Quiet>
            {definition.nodes.length === 0 ? "This version has no nodes." : "Select a node to see its settings."}
          </Quiet>
        ) : (
          <JsonView value={node} label={`Settings of ${node.name ?? node.id}`} />
        )}
      </Box>
    </>
  );
}
