import { Anchor } from "@mantine/core";

interface DocsLinkProps {
  /** A page of the documentation, with an optional anchor: "nodes#http". */
  page: string;
  children: string;
  label?: string;
}

/** A link to the documentation that the server serves at /docs. It opens in a new tab. */
export function DocsLink({ page, children, label }: DocsLinkProps) {
  return (
    // Underlined: within a sentence the color alone would not mark it as a link.
    <Anchor
      href={`/docs/${page}`}
      target="_blank"
      rel="noopener"
      size="sm"
      underline="always"
      aria-label={label}
      style={{ whiteSpace: "nowrap" }}
    >
      {children}
    </Anchor>
  );
}
