/** The data of a node in a run, loaded when it is shown: most nodes are edited without it. */
import { Suspense } from "react";
import type { FlowNode } from "@/definition/types";
import { lazily } from "@/ui/lazily";
import { Loading } from "@/ui/states";
import type { NodeData } from "./useNodeData";

interface Props {
  node: FlowNode;
  data: NodeData;
}

const parts = () => import("./RunData");
const Whole = lazily(() => parts().then((part) => ({ default: part.RunData })));
const Head = lazily(() => parts().then((part) => ({ default: part.DataHead })));
const Output = lazily(() => parts().then((part) => ({ default: part.OutputPane })));
const Input = lazily(() => import("./InputPane").then((part) => ({ default: part.InputPane })));

const WAITING = <Loading label="Loading the data" />;

export function RunData(props: Props) {
  return (
    <Suspense fallback={WAITING}>
      <Whole {...props} />
    </Suspense>
  );
}

export function DataHead(props: Props) {
  return (
    <Suspense fallback={null}>
      <Head {...props} />
    </Suspense>
  );
}

export function InputPane(props: Props) {
  return (
    <Suspense fallback={WAITING}>
      <Input {...props} />
    </Suspense>
  );
}

export function OutputPane(props: Props) {
  return (
    <Suspense fallback={WAITING}>
      <Output {...props} />
    </Suspense>
  );
}
