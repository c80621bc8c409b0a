/** A full-screen dialog for one setting. */
import { Modal, Text } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./screen.module.css";

interface ScreenProps {
  title: string;
  /** Buttons and hints beside the title. */
  controls?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}

export function Screen({ title, controls, onClose, children }: ScreenProps) {
  return (
    <Modal.Root opened onClose={onClose} fullScreen closeOnEscape>
      <Modal.Overlay />
      <Modal.Content classNames={{ content: classes.screen }} radius={0}>
        <Modal.Header>
          <Modal.Title fw={650}>{title}</Modal.Title>
          <div className={classes.controls}>{controls}</div>
          <Modal.CloseButton aria-label="Close full screen" />
        </Modal.Header>
        <Modal.Body className={classes.body}>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}

/** A column of a screen that scrolls by itself. */
export function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={classes.part} aria-label={title}>
      <Text component="h3" size="sm" fw={550} m={0}>
        {title}
      </Text>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
      <div className={classes.scroll} tabIndex={0}>
        {children}
      </div>
    </section>
  );
}
