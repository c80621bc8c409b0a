import { Page } from "@/ui/Page";

export default function Templates() {
  return <Page title="Templates">{null}</Page>;
}
