/** The button that opens the full-screen editor of code. The screen is loaded when it is first opened. */
import { Button, Group } from "@mantine/core";
import { IconMaximize } from "@tabler/icons-react";
import { Suspense, useState } from "react";
import type { Language } from "@/ui/code/CodeMirror";
import { lazily } from "@/ui/lazily";

const CodeScreen = lazily(() => import("./CodeScreen"));

interface FullScreenProps {
  label: string;
  value: string;
  onChange: (text: string) => void;
  language: Language;
  /** The names that the code can read, as the catalog says. */
  names: readonly string[];
  problems: readonly string[];
}

export function FullScreen(props: FullScreenProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Group justify="flex-end" mt={4}>
        <Button
          size="compact-xs"
          variant="subtle"
          leftSection={<IconMaximize size={14} aria-hidden />}
          aria-label={`Full screen: ${props.label}`}
          onClick={() => setOpen(true)}
        >
          Full screen
        </Button>
      </Group>
      {isOpen && (
        <Suspense fallback={null}>
          <CodeScreen {...props} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}
