import { Page } from "@/ui/Page";

export default function AgentPage({ id }: { id: string }) {
  return <Page title="AgentPage">{id}</Page>;
}
