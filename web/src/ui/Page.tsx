import { Anchor, Box, Group, Stack, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { IconArrowLeft } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { usePack } from "@/api/catalogue";
import { Quiet } from "@/ui/Quiet";

interface DocsLinkProps {
  /** A page of the documentation, with an optional anchor: "nodes#http". */
  page: string;
  children: string;
  label?: string;
}

/** A link to the documentation at /docs, in a new tab; nothing if the server leaves out that pack. */
export function DocsLink({ page, children, label }: DocsLinkProps) {
  if (!usePack("reference")) return null;
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

interface PageProps {
  title: string;
  /** A sentence below the title. */
  about?: ReactNode;
  /** The page of the documentation about this page. */
  docs?: string;
  /** The parent page. */
  above?: { path: string; label: string };
  /** Buttons to the right of the title. */
  actions?: ReactNode;
  /** The maximum width of the content. */
  width?: number;
  children: ReactNode;
}

/** The layout of every page except the editor: title, actions, content. */
export function Page({ title, about, docs, above, actions, width = 1200, children }: PageProps) {
  useDocumentTitle(`${title} · Headrace`);
  return (
    <Box px={{ base: "md", sm: "xl" }} py={{ base: "md", sm: "lg" }} maw={width + 64} mx="auto">
      <Stack gap="lg">
        <Group justify="space-between" align="flex-start" gap="sm">
          <Box>
            {above !== undefined && (
              <Anchor
                component={Link}
                href={above.path}
                size="sm"
                display="inline-flex"
                style={{ alignItems: "center", gap: 4 }}
              >
                <IconArrowLeft size={14} aria-hidden />
                {above.label}
              </Anchor>
            )}
            <Title order={1} lineClamp={3} title={title} style={{ overflowWrap: "anywhere" }}>
              {title}
            </Title>
            {about !== undefined && (
              <Quiet maw={720}>
                {about}{" "}
                {docs !== undefined && (
                  <DocsLink page={docs} label={`Learn more: ${title}`}>
                    Learn more
                  </DocsLink>
                )}
              </Quiet>
            )}
          </Box>
          {actions !== undefined && <Group gap="xs">{actions}</Group>}
        </Group>
        {children}
      </Stack>
    </Box>
  );
}

/** A framed section of a page. */
export function Card({
  title,
  actions,
  children,
  pad = true,
}: {
  title?: string;
  actions?: ReactNode;
  children: ReactNode;
  pad?: boolean;
}) {
  return (
    <Box
      component="section"
      aria-label={title}
      bg="var(--card)"
      bd="1px solid var(--line)"
      bdrs="md"
      style={{ overflow: "hidden", minWidth: 0 }}
    >
      {(title !== undefined || actions !== undefined) && (
        <Group justify="space-between" px="md" pt="sm" pb={pad ? 0 : "xs"} gap="xs">
          {title !== undefined && <Title order={2}>{title}</Title>}
          {actions}
        </Group>
      )}
      <Box p={pad ? "md" : 0}>{children}</Box>
    </Box>
  );
}
