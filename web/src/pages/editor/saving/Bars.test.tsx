// @vitest-environment jsdom
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeAll, expect, it, vi } from "vitest";
import { EditorProvider } from "../context";
import { makeStore } from "../store";
import { OutdatedBar } from "./Bars";
import { draftsOf } from "./drafts";
import { makeSaver } from "./saver";
import { SaverProvider } from "./useSaving";

vi.setConfig({ testTimeout: 30_000 });

const definition = (name: string) => ({ nodes: [{ id: "a", type: "log", name }], edges: [] });
const BY_ANN = { userId: "usr_ann", who: "Ann", at: "2026-01-01T00:00:00Z" };

beforeAll(() => {
  vi.stubGlobal("matchMedia", () => ({
    matches: false,
    addEventListener: () => {},
    removeEventListener: () => {},
  }));
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
});

afterEach(cleanup);

it("asks before it discards a draft for a newer version, and names who saved the draft", async () => {
  const draft = { revision: 4, base: 1, definition: definition("Draft"), by: BY_ANN };
  const flow = {
    id: "wf_1",
    name: "Orders",
    status: "active" as const,
    version: 2,
    definition: definition("New"),
    draft,
  };
  const store = makeStore(flow);
  const discard = vi.fn(async () => ({
    ...flow,
    draft: { ...draft, base: null, definition: null, by: null },
  }));
  const drafts = draftsOf("usr_me", "wf_1", { own: "here", open: null });
  const unused = async () => Promise.reject(new Error("unused"));
  const remote = { read: async () => flow, write: unused, publish: unused, discard };
  const saver = makeSaver(store, remote, drafts, { onTaken: () => {} });
  const queries = new QueryClient();
  queries.setQueryData(["latest save", "wf_1", 2], BY_ANN);
  render(
    <MantineProvider env="test">
      <QueryClientProvider client={queries}>
        <EditorProvider store={store}>
          <SaverProvider value={saver}>
            <OutdatedBar />
          </SaverProvider>
        </EditorProvider>
      </QueryClientProvider>
    </MantineProvider>,
  );
  const user = userEvent.setup();
  const use = () => user.click(screen.getByRole("button", { name: "Use version 2" }));
  await use();
  await screen.findByText("Ann saved the draft last.", {}, { timeout: 15_000 });
  expect(screen.getByRole("button", { name: "Cancel" }).hasAttribute("data-autofocus")).toBe(true);
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  expect(discard).not.toHaveBeenCalled();
  expect(store.getState().definition.nodes[0]?.name).toBe("Draft");

  await use();
  await user.click(await screen.findByRole("button", { name: "Discard" }));
  await waitFor(() => expect(discard).toHaveBeenCalledOnce());
  expect(store.getState().definition.nodes[0]?.name).toBe("New");
  saver.stop();
});
