import { Anchor } from "@mantine/core";

interface DocsLinkProps {
  /** A page of the documentation, with an anchor: "nodes#http". */
  page: string;
  children: string;
  label?: string;
}

/** A link to the documentation that the server has at /docs; it opens beside the app. */
export function DocsLink({ page, children, label }: DocsLinkProps) {
  return (
    // Often within a sentence, of which its colour alone would not set it apart.
    <Anchor
      href={`/docs/${page}`}
      target="_blank"
      rel="noopener"
      size="sm"
      underline="always"
      aria-label={label}
    >
      {children}
    </Anchor>
  );
}
