import { Page } from "@/ui/Page";

export default function Versions({ id }: { id: string }) {
  return <Page title="Versions">{id}</Page>;
}
