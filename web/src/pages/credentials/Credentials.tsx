import { Page } from "@/ui/Page";

export default function Credentials() {
  return <Page title="Credentials">{null}</Page>;
}
