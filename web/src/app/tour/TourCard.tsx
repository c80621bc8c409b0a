/** The card of the tour. It is beside the page, not over it: everything stays usable, and Escape in it ends the tour. */

import { Button, CloseButton, Group, Paper, Text, Title } from "@mantine/core";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { useLocation } from "wouter";
import { server } from "@/api/client";
import { notify } from "@/ui/notify";
import { Quiet } from "@/ui/Quiet";
import { endTour, showStep } from "./tour";
import classes from "./tour.module.css";

/** The steps of the tour. Each says what a part of the app is for, and where it is. */

/** An address of the app, or the newest flow's editor. */
type Place = `/${string}` | "editor";

interface Step {
  title: string;
  text: string;
  /** The part of the page that is framed. */
  target: string;
  /** Where the part is, if it is not on the open page. */
  place: Place;
}

const inMenu = (path: string) => `nav[aria-label="Main"] a[href="${path}"]`;

export const STEPS: readonly Step[] = [
  {
    title: "Flows",
    text: "A flow does work for you, step by step: each step is a node. Here are all flows of the workspace.",
    target: inMenu("/flows"),
    place: "/flows",
  },
  {
    title: "Templates",
    text: "Templates are finished flows for common tasks. Take one, run it, and adapt it.",
    target: inMenu("/templates"),
    place: "/templates",
  },
  {
    title: "The canvas",
    text: "The editor shows a flow from left to right. “Add node” or the key / adds a node; drag from a circle to connect two.",
    target: ".react-flow[aria-label^='The flow']",
    place: "editor",
  },
  {
    title: "The panel",
    text: "It has the settings of the selected node, with their documentation. With no node selected, it has those of the flow.",
    target: "aside[aria-label='Details']",
    place: "editor",
  },
  {
    title: "Run",
    text: "Run tries out what is on the canvas, and each node shows its result. The switch “Active” lets triggers start the flow.",
    target: "[data-run]",
    place: "editor",
  },
  {
    title: "Runs",
    text: "Every run is recorded, with the input and output of each step. Start here when something fails.",
    target: inMenu("/runs"),
    place: "/runs",
  },
];

const FOLLOW = 300;
const MARGIN = 4;

/** Return the place of the step's part on the screen, undefined if the page does not show it. */
function useTarget(target: string): DOMRect | undefined {
  const [box, setBox] = useState<DOMRect>();
  useEffect(() => {
    function look() {
      const found = document.querySelector(target)?.getBoundingClientRect();
      // On a phone the menu is beside the screen while it is closed.
      const isShown =
        found !== undefined && found.width > 0 && found.height > 0 && found.right > 0 && found.left < window.innerWidth;
      setBox((before) =>
        isShown && before !== undefined && JSON.stringify(before) === JSON.stringify(found)
          ? before
          : isShown
            ? found
            : undefined,
      );
    }
    look();
    const timer = setInterval(look, FOLLOW);
    return () => clearInterval(timer);
  }, [target]);
  return box;
}

/** Return a function that opens a place of the app. */
function useOpen(): (place: Place) => Promise<void> {
  const [, go] = useLocation();
  return async (place) => {
    if (place !== "editor") return go(place);
    try {
      const { data } = await server.GET("/api/flows", { params: { query: { limit: 1, brief: true } } });
      const flow = data?.items[0];
      if (flow === undefined) notify.hint("There is no flow yet: take a template first.");
      go(flow === undefined ? "/templates" : `/flows/${flow.id}`);
    } catch (error) {
      notify.refused("The flows could not be loaded", error);
    }
  };
}

export default function TourCard({ userId, at }: { userId: string; at: number }) {
  const number = Math.min(Math.max(at, 0), STEPS.length - 1);
  const step = STEPS[number] as Step;
  const box = useTarget(step.target);
  const open = useOpen();
  const heading = useId();
  const card = useRef<HTMLDivElement>(null);
  const isLast = number === STEPS.length - 1;
  // The tour begins with the focus in it; later steps leave the focus where it is.
  useEffect(() => card.current?.focus(), []);

  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    endTour(userId);
  }

  return (
    <>
      {box !== undefined && (
        <div
          className={classes.frame}
          aria-hidden
          style={{
            left: box.left - MARGIN,
            top: box.top - MARGIN,
            width: box.width + 2 * MARGIN,
            height: box.height + 2 * MARGIN,
          }}
        />
      )}
      <Paper
        ref={card}
        className={classes.card}
        role="dialog"
        aria-labelledby={heading}
        tabIndex={-1}
        shadow="md"
        p="md"
        withBorder
        onKeyDown={onKeyDown}
      >
        <Group justify="space-between" wrap="nowrap">
          <Quiet size="xs">
            Tour, {number + 1} of {STEPS.length}
          </Quiet>
          <CloseButton aria-label="End the tour" title="End the tour" onClick={() => endTour(userId)} />
        </Group>
        <div aria-live="polite">
          <Title order={2} size="h3" id={heading}>
            {step.title}
          </Title>
          <Text size="sm" mt={4}>
            {step.text}
          </Text>
        </div>
        <Group justify="space-between" mt="sm">
          {box === undefined ? (
            <Button size="xs" variant="light" onClick={() => void open(step.place)}>
              Show me
            </Button>
          ) : (
            <span />
          )}
          <Group gap="xs">
            <Button size="xs" variant="default" disabled={number === 0} onClick={() => showStep(userId, number - 1)}>
              Back
            </Button>
            <Button size="xs" onClick={() => (isLast ? endTour(userId) : showStep(userId, number + 1))}>
              {isLast ? "Finish" : "Next"}
            </Button>
          </Group>
        </Group>
      </Paper>
    </>
  );
}
