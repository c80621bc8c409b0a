import { Page } from "@/ui/Page";

export default function Editor({ id }: { id: string }) {
  return <Page title="Editor">{id}</Page>;
}
