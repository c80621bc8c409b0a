import { Page } from "@/ui/Page";

export default function Flows() {
  return <Page title="Flows">{null}</Page>;
}
