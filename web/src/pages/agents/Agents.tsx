import { Page } from "@/ui/Page";

export default function Agents() {
  return <Page title="Agents">{null}</Page>;
}
