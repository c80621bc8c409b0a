/** React Flow with 300 plain nodes and nothing else: what tools/benchmarks/canvas.py compares the editor with. */
import "@xyflow/react/dist/style.css";
import { type Edge, type Node, ReactFlow, useEdgesState, useNodesState } from "@xyflow/react";
import { createRoot } from "react-dom/client";

const NODES = 300;
const PER_ROW = 20;

const nodes: Node[] = Array.from({ length: NODES }, (_, at) => ({
  id: `n${at}`,
  position: { x: 280 * (at % PER_ROW), y: 100 * Math.floor(at / PER_ROW) },
  data: { label: `Node ${at}` },
}));
const edges: Edge[] = nodes
  .slice(1)
  .filter((_, at) => (at + 1) % PER_ROW !== 0)
  .map(({ id }) => ({ id, source: `n${Number(id.slice(1)) - 1}`, target: id }));

function Bare() {
  const [shown, , onNodesChange] = useNodesState(nodes);
  const [lines, , onEdgesChange] = useEdgesState(edges);
  return (
    <ReactFlow
      nodes={shown}
      edges={lines}
      onNodesChange={onNodesChange}
      onEdgesChange={onEdgesChange}
      fitView
      minZoom={0.05}
    />
  );
}

const root = document.getElementById("root");
if (root !== null) createRoot(root).render(<Bare />);
