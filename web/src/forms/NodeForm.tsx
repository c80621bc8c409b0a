/** The form of a node's settings, drawn from its type's JSON schema. Its code is loaded when the first one is shown. */

import { Suspense } from "react";
import { lazily } from "@/ui/lazily";
import { LoadingRows } from "@/ui/states";
import type { NodeFormProps } from "./NodeFormBody";

export type { NodeContext } from "./expression/useScope";
export type { NodeFormProps } from "./NodeFormBody";
export type { Problem } from "./schema/problems";

const Body = lazily(() => import("./NodeFormBody"));

export function NodeForm(props: NodeFormProps) {
  return (
    <Suspense fallback={<LoadingRows rows={3} />}>
      <Body {...props} />
    </Suspense>
  );
}
