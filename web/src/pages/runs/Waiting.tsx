import { Page } from "@/ui/Page";

export default function Waiting() {
  return <Page title="Waiting">{null}</Page>;
}
