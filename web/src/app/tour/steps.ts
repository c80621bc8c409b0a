/** The steps of the tour. Each says what a part of the app is for, and where it is. */

/** An address of the app, or the newest flow's editor. */
export type Place = `/${string}` | "editor";

export interface Step {
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
