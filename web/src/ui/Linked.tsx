import { Anchor } from "@mantine/core";

/** The only addresses in a message that become links: pages of Google Cloud on which an API is switched on. */
const PAGE =
  /(https:\/\/console\.cloud\.google\.com\/apis\/library\/[a-z0-9-]+\.googleapis\.com(?:\?project=[a-z0-9-]+)?)(?![\w./?&=%-])/;

/** Return the parts of a message; those at odd places are addresses. */
export function partsOf(text: string): string[] {
  return text.split(PAGE);
}

/** A message of the server, in which a known page is a link. Other addresses stay text: a service may have sent them. */
export function Linked({ text }: { text: string }) {
  return partsOf(text).map((part, index) =>
    index % 2 === 0 ? (
      part
    ) : (
      <Anchor key={part} href={part} target="_blank" rel="noopener noreferrer" inherit underline="always">
        {part.replace(/^https:\/\//, "").replace(/\?.*/, "")}
      </Anchor>
    ),
  );
}
