import { Page } from "@/ui/Page";

export default function RunPage({ id }: { id: string }) {
  return <Page title="RunPage">{id}</Page>;
}
