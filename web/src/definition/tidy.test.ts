import { describe, expect, it } from "vitest";
import { around, boxesOf, frameAround, noteKey } from "./annotations";
import { positioned, tidied } from "./tidy";
import { type Definition, NODE } from "./types";

function chain(length: number): Definition {
  const nodes = Array.from({ length }, (_, at) => ({ id: `n${at}`, type: "noop", position: { x: 0, y: 0 } }));
  return { nodes, edges: nodes.slice(1).map((node, at) => ({ from: `n${at}`, to: node.id })) };
}

function tidy(definition: Definition, isFolded = () => false): Definition {
  const places = tidied(definition, undefined, isFolded);
  const nodes = definition.nodes.map((node) => ({ ...node, position: places.get(node.id) }));
  const notes = definition.notes?.map((note) => ({ ...note, position: places.get(noteKey(note.id)) }));
  return { ...definition, nodes, ...(notes === undefined ? {} : { notes }) };
}

function boxes(definition: Definition) {
  return definition.nodes.map((node) => ({ ...(node.position ?? { x: 0, y: 0 }), ...NODE }));
}

function hasOverlap(definition: Definition): boolean {
  const all = boxes(definition);
  return all.some((one, at) =>
    all
      .slice(at + 1)
      .some((other) => Math.abs(one.x - other.x) < NODE.width && Math.abs(one.y - other.y) < NODE.height),
  );
}

describe("tidying up", () => {
  it("keeps a short chain in one row, and cuts a longer one into rows of the same length", () => {
    const rows = (length: number) => {
      const found = tidy(chain(length)).nodes.map((node) => node.position?.y ?? 0);
      return [...new Set(found)].map((row) => found.filter((y) => y === row).length);
    };
    expect(rows(8)).toEqual([8]);
    expect(rows(12)).toEqual([4, 4, 4]);
  });

  it("wraps a long chain into rows that together have the form of a screen", () => {
    for (const length of [12, 40, 300]) {
      const made = tidy(chain(length));
      const whole = around(boxes(made));
      expect(hasOverlap(made)).toBe(false);
      const ratio = (whole?.width ?? 0) / (whole?.height ?? 1);
      expect(ratio).toBeGreaterThan(0.9);
      expect(ratio).toBeLessThan(6);
      // Each row goes from left to right.
      const backwards = made.edges.filter(({ from, to }) => {
        const at = (id: string) => made.nodes.find((node) => node.id === id)?.position?.x ?? 0;
        return at(to) < at(from);
      });
      expect(backwards.length).toBeLessThan(length / 4);
    }
  });

  it("does not break a row where many edges cross", () => {
    const lines = Array.from({ length: 6 }, (_, line) =>
      chain(12).nodes.map((node) => ({ ...node, id: `l${line}_${node.id}` })),
    );
    const edges = lines.flatMap((nodes) =>
      nodes.slice(1).map((node, at) => ({ from: nodes[at]?.id ?? "", to: node.id })),
    );
    const made = tidy({ nodes: lines.flat(), edges });
    const back = made.edges.filter(({ from, to }) => {
      const at = (id: string) => made.nodes.find((node) => node.id === id)?.position?.x ?? 0;
      return at(to) < at(from);
    });
    expect(back).toEqual([]);
  });

  it("keeps the nodes of a group together, and others out of its frame", () => {
    const flow = { ...chain(9), groups: [{ id: "g", nodes: ["n2", "n3", "n6"] }] };
    const made = tidy(flow);
    expect(hasOverlap(made)).toBe(false);
    const frame = frameAround(boxesOf(made, flow.groups[0] as { id: string; nodes: string[] }));
    const outside = made.nodes.filter((node) => !flow.groups[0]?.nodes.includes(node.id));
    for (const { position } of outside) {
      const isLevel =
        (position?.x ?? 0) < (frame?.x ?? 0) + (frame?.width ?? 0) &&
        (position?.x ?? 0) + NODE.width > (frame?.x ?? 0) &&
        (position?.y ?? 0) < (frame?.y ?? 0) + (frame?.height ?? 0) &&
        (position?.y ?? 0) + NODE.height > (frame?.y ?? 0);
      expect(isLevel).toBe(false);
    }
  });

  it("has a row of grouped nodes level with the nodes beside them", () => {
    const made = tidy({ ...chain(4), groups: [{ id: "g", nodes: ["n1", "n2"] }] });
    expect(new Set(made.nodes.map((node) => node.position?.y)).size).toBe(1);
  });

  it("keeps the arrangement within a folded group, and gives it the room of a card", () => {
    const flow = { ...chain(3), groups: [{ id: "g", nodes: ["n1", "n2"] }] };
    flow.nodes[2] = { id: "n2", type: "noop", position: { x: 500, y: 300 } };
    const made = tidy(flow, () => true);
    const [first, one, two] = made.nodes.map((node) => node.position ?? { x: 0, y: 0 });
    expect([(two?.x ?? 0) - (one?.x ?? 0), (two?.y ?? 0) - (one?.y ?? 0)]).toEqual([500, 300]);
    expect((one?.x ?? 0) - (first?.x ?? 0)).toBe(280);
  });

  it("moves a note with its nearest node, off other nodes", () => {
    const flow = chain(3);
    flow.nodes = flow.nodes.map((node, at) => ({ ...node, position: { x: at * 1000, y: at * 1000 } }));
    const made = tidy({ ...flow, notes: [{ id: "n", position: { x: 2000, y: 1780 } }] });
    const node = made.nodes[2]?.position;
    const note = made.notes?.[0]?.position;
    expect(note?.x).toBe(node?.x);
    expect((note?.y ?? 0) + 160).toBeLessThan(node?.y ?? 0);
  });

  it("arranges 300 nodes about as compactly as 100, also if branches begin everywhere", () => {
    const branchy = (length: number, joins: boolean) => {
      const flow = chain(length);
      for (let at = 2; at + 3 < length; at += 7)
        flow.edges = joins
          ? [...flow.edges, { from: `n${at}`, to: `n${at + 2}`, branch: "false" }]
          : flow.edges.map((edge) => (edge.from === `n${at + 1}` ? { from: `n${at}`, to: edge.to } : edge));
      return flow;
    };
    for (const joins of [true, false]) {
      const [small, large] = [100, 300].map((length) => {
        const made = tidy(branchy(length, joins));
        expect(hasOverlap(made)).toBe(false);
        const { width, height } = around(boxes(made)) ?? { width: 0, height: 0 };
        expect(width / height).toBeGreaterThan(1);
        expect(width / height).toBeLessThan(3);
        return (width * height) / length;
      });
      expect((large ?? Infinity) / (small ?? 1)).toBeLessThan(1.25);
    }
  });

  it("takes little time for long flows", () => {
    const flow = chain(600);
    for (let at = 0; at + 7 < 600; at += 5) flow.edges.push({ from: `n${at}`, to: `n${at + 7}` });
    // CPU time, since the machine may be busy. In fact about half a second.
    const before = process.cpuUsage();
    tidied(flow);
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(3);
  });

  it("places the rest if some nodes have no position yet", () => {
    const made = positioned({ ...chain(3), nodes: chain(3).nodes.map(({ position: _, ...node }) => node) });
    expect(made.nodes.map((node) => node.position?.x)).toEqual([0, 280, 560]);
  });
});
