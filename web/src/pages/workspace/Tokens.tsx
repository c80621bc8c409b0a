import { Page } from "@/ui/Page";

export default function Tokens() {
  return <Page title="Tokens">{null}</Page>;
}
