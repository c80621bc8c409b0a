// @vitest-environment jsdom
import { MantineProvider, Select, TagsInput, TextInput } from "@mantine/core";
import { cleanup, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FormDialog } from "./FormDialog";

vi.setConfig({ testTimeout: 30_000 });

beforeEach(() => {
  const observer = class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  vi.stubGlobal("ResizeObserver", observer);
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {}, removeEventListener() {} }));
  Element.prototype.scrollIntoView = () => {};
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const INITIAL = { name: "Ada", role: "viewer", tags: ["old"] };

function Asking({ onSubmit }: { onSubmit: (values: typeof INITIAL) => unknown }) {
  const [opened, setOpened] = useState(true);
  return (
    <MantineProvider env="test">
      <button type="button" onClick={() => setOpened(true)}>
        Open
      </button>
      <FormDialog
        opened={opened}
        onClose={() => setOpened(false)}
        title="Person"
        action="Save"
        initial={INITIAL}
        isReady={({ name }) => name !== ""}
        onSubmit={onSubmit}
      >
        {({ bind }) => (
          <>
            <TextInput label="Name" {...bind("name")} />
            <Select label="Role" data={["viewer", "owner"]} {...bind("role")} />
            <TagsInput label="Tags" {...bind("tags")} />
          </>
        )}
      </FormDialog>
    </MantineProvider>
  );
}

it("sends the values of all kinds of inputs, and closes", async () => {
  const user = userEvent.setup();
  const onSubmit = vi.fn();
  render(<Asking onSubmit={onSubmit} />);
  await user.clear(screen.getByLabelText("Name"));
  expect(screen.getByRole("button", { name: "Save" }).hasAttribute("disabled")).toBe(true);
  await user.type(screen.getByLabelText("Name"), "Grace");
  await user.click(screen.getByRole("combobox", { name: "Role" }));
  await user.click(screen.getByRole("option", { name: "owner" }));
  await user.type(screen.getByRole("combobox", { name: "Tags" }), "new{Enter}");
  await user.click(screen.getByRole("button", { name: "Save" }));
  expect(onSubmit).toHaveBeenCalledExactlyOnceWith({ name: "Grace", role: "owner", tags: ["old", "new"] });
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

it("keeps the input if the server refuses it, and forgets it when it is closed", async () => {
  const user = userEvent.setup();
  const onSubmit = vi.fn().mockRejectedValueOnce(new Error("The name is taken"));
  render(<Asking onSubmit={onSubmit} />);
  await user.type(screen.getByLabelText("Name"), " Lovelace{Enter}");
  expect((await screen.findByRole("alert")).textContent).toContain("The name is taken");
  expect((screen.getByLabelText("Name") as HTMLInputElement).value).toBe("Ada Lovelace");
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  await user.click(screen.getByRole("button", { name: "Open" }));
  expect((screen.getByLabelText("Name") as HTMLInputElement).value).toBe("Ada");
  expect(screen.queryByRole("alert")).toBeNull();
});
