import {
  ActionIcon,
  Avatar,
  Badge,
  Button,
  Group,
  Menu,
  Modal,
  Stack,
  Switch,
  Text,
  TextInput,
  Tooltip,
  UnstyledButton,
  VisuallyHidden,
} from "@mantine/core";
import { notifications } from "@mantine/notifications";
import {
  IconAlertTriangle,
  IconArrowBackUp,
  IconArrowForwardUp,
  IconArrowLeft,
  IconBraces,
  IconChevronDown,
  IconClock,
  IconCloudCheck,
  IconCloudOff,
  IconCloudUp,
  IconGitCompare,
  IconTag,
  IconTrash,
} from "@tabler/icons-react";
import { type KeyboardEvent, Suspense, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { ApiError, api, type Detail } from "@/api/client";
import { FlowMenu } from "@/pages/flows/FlowMenu";
import { timeAgo } from "@/ui/format";
import { lazily } from "@/ui/lazily";
import { MenuItem } from "@/ui/MenuItem";
import { Quiet } from "@/ui/Quiet";
import { FLOW_STATUS } from "@/ui/StatusBadge";
import { messageOf } from "@/ui/states";
import { useNow } from "@/ui/Time";
import { useEditor, useEditorStore } from "../context";
import { checkOf, inWords, type Problem } from "../problems";
import { RunButton } from "../run/RunButton";
import type { DraftDialog } from "../saving/DraftDialogs";
import { publishDraft, wordsFor } from "../saving/remote";
import { useSaver } from "../saving/useSaving";
import { calledIn, type FlowStatus, isDirty, isUnpublished } from "../store";
import { useUi } from "../ui";
import { canvasPlace } from "../useKeptFocus";
import classes from "./header.module.css";

/** The flow's name, edited in place; Escape restores it. */
function FlowName() {
  const store = useEditorStore();
  const { id, name } = useEditor((state) => state.flow);
  const readOnly = useEditor((state) => state.readOnly);
  const [text, setText] = useState(name);
  const isGivenUp = useRef(false);
  useEffect(() => setText(name), [name]);
  const rename = api.useMutation("put", "/api/workflows/{flow}", {
    onSuccess: (flow) => store.getState().setFlow({ name: flow.name }),
    onError: (error) =>
      notifications.show({ color: "red", title: "The name was not saved", message: messageOf(error) }),
  });

  function save() {
    const wanted = isGivenUp.current ? "" : text.trim();
    isGivenUp.current = false;
    if (wanted === "") setText(name);
    else if (wanted !== name) rename.mutate({ params: { path: { flow: id } }, body: { name: wanted } });
  }

  function onKeyDown(event: KeyboardEvent<HTMLInputElement>) {
    isGivenUp.current = event.key === "Escape";
    // Leaving the field saves it.
    if (event.key === "Enter" || event.key === "Escape") canvasPlace()?.focus({ preventScroll: true });
  }

  return (
    <>
      <VisuallyHidden component="h1">{name}</VisuallyHidden>
      <TextInput
        aria-label="Flow name"
        value={text}
        maxLength={200}
        readOnly={readOnly}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={save}
        onKeyDown={onKeyDown}
        variant="unstyled"
        classNames={{ root: classes.name, input: classes.nameInput }}
      />
    </>
  );
}

const MOST = 3;
// Mantine's own colors have too little contrast.
const STYLES = {
  placeholder: {
    color: "var(--mantine-color-text)",
    background: "var(--page)",
    borderColor: "var(--line)",
  },
};

/** The other users who have the flow open. */
function People() {
  const people = useEditor((state) => state.presence.people);
  const now = useNow();
  if (people.length === 0) return null;
  const more = people.slice(MOST);
  return (
    <Avatar.Group role="group" aria-label="Also here" spacing={6} style={{ flexShrink: 0 }}>
      {people.slice(0, MOST).map(({ user_id, name, since }) => (
        <Tooltip key={user_id} label={`${name} has this flow open, since ${timeAgo(since, now)}`}>
          <Avatar
            size={30}
            name={name}
            styles={STYLES}
            role="img"
            aria-label={`${name} has this flow open`}
            tabIndex={0}
          />
        </Tooltip>
      ))}
      {more.length > 0 && (
        <Tooltip label={more.map((person) => person.name).join(", ")}>
          <Avatar size={30} styles={STYLES} role="img" aria-label={`${more.length} more`} tabIndex={0}>
            +{more.length}
          </Avatar>
        </Tooltip>
      )}
    </Avatar.Group>
  );
}

const DraftDialogs = lazily(() => import("../saving/DraftDialogs"));

/** Publish the draft, name it, publish it at a time, compare or discard it. Shown while there are changes. */
function PublishButton() {
  const store = useEditorStore();
  const saver = useSaver();
  const status = useEditor((state) => state.flow.status);
  const version = useEditor((state) => state.version);
  const unpublished = useEditor(isUnpublished);
  const readOnly = useEditor((state) => state.readOnly);
  const [busy, setBusy] = useState(false);
  const [dialog, setDialog] = useState<DraftDialog | null>(null);
  const words = wordsFor(status);

  async function publish() {
    setBusy(true);
    await publishDraft(store, saver).finally(() => setBusy(false));
  }

  return (
    <>
      {unpublished && !readOnly && (
        <Group gap={0} wrap="nowrap" style={{ flexShrink: 0 }}>
          <Button
            size="sm"
            variant="light"
            px="sm"
            loading={busy}
            onClick={() => void publish()}
            style={{ borderTopRightRadius: 0, borderBottomRightRadius: 0 }}
          >
            {words.action}
          </Button>
          <Menu position="bottom-end" shadow="md" width={250}>
            <Menu.Target>
              <ActionIcon
                size={36}
                w={28}
                variant="light"
                aria-label="More about the draft"
                style={{ borderTopLeftRadius: 0, borderBottomLeftRadius: 0, marginLeft: 1 }}
              >
                <IconChevronDown size={16} aria-hidden />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <MenuItem icon={IconGitCompare} onClick={() => setDialog("compare")}>
                Compare with version {version}
              </MenuItem>
              <MenuItem icon={IconTag} onClick={() => setDialog("name")}>
                {words.action} with a name…
              </MenuItem>
              <MenuItem icon={IconClock} onClick={() => setDialog("time")}>
                {words.action} at a time…
              </MenuItem>
              <Menu.Divider />
              <MenuItem color="red" icon={IconTrash} onClick={() => setDialog("discard")}>
                Discard changes…
              </MenuItem>
            </Menu.Dropdown>
          </Menu>
        </Group>
      )}
      {dialog !== null && (
        <Suspense>
          <DraftDialogs dialog={dialog} onClose={() => setDialog(null)} />
        </Suspense>
      )}
    </>
  );
}

/** Shows if the server has the current definition, and whose draft it is. */
function SavedState() {
  const saving = useEditor((state) => state.saving);
  const dirty = useEditor(isDirty);
  const unpublished = useEditor(isUnpublished);
  const by = useEditor((state) => state.draftBy);
  const now = useNow();
  const [icon, words, color, hint] = looks();
  const Icon = icon;
  return (
    <Tooltip label={hint} multiline maw={320}>
      <Text
        size="sm"
        c={color}
        role="status"
        style={{ display: "flex", alignItems: "center", gap: 6, whiteSpace: "nowrap" }}
      >
        <Icon size={18} stroke={1.7} aria-hidden />
        {words}
      </Text>
    </Tooltip>
  );

  function looks() {
    const hinted = "message" in saving ? saving.message : "";
    if (saving.kind === "saving")
      return [IconCloudUp, "Saving…", "var(--quiet)", "Sending changes to the server"] as const;
    if (saving.kind === "away") return [IconCloudOff, "Not saved; retrying", "var(--waiting)", hinted] as const;
    if (saving.kind === "refused") return [IconCloudOff, "Not saved", "var(--failed)", hinted] as const;
    if (saving.kind === "conflict")
      return [IconCloudOff, "Not saved: conflict", "var(--failed)", "Another user saved this flow"] as const;
    if (!dirty && !unpublished)
      return [IconCloudCheck, "Saved", "var(--quiet)", "The current version has all changes"] as const;
    if (!dirty) {
      const who = by === null ? "" : `, by ${by.who} ${timeAgo(by.at, now)}`;
      const kept = `The changes are saved on the server as a draft${who}. Triggers start the current version.`;
      return [IconCloudCheck, "Draft saved", "var(--waiting)", kept] as const;
    }
    return [IconCloudUp, "Saving…", "var(--quiet)", "Kept on this device, sent to the server shortly"] as const;
  }
}

interface Refusal {
  message: string;
  problems: readonly Problem[];
}

/** The switch between active and inactive. Problems that prevent activation are listed by node. */
function StatusSwitch() {
  const store = useEditorStore();
  const saver = useSaver();
  const { id, status } = useEditor((state) => state.flow);
  const readOnly = useEditor((state) => state.readOnly);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [busy, setBusy] = useState(false);
  const change = api.useMutation("put", "/api/workflows/{flow}");

  function refuse(message: string, details: readonly Detail[]) {
    const { definition, catalogue } = store.getState();
    setRefusal({ message, problems: checkOf(definition, details, {}, catalogue).problems });
  }

  function warn(details: readonly Detail[]) {
    const { definition, catalogue } = store.getState();
    const lines = checkOf(definition, details, {}, catalogue).problems.map((problem) => {
      const of = problem.nodeId === null ? null : calledIn(store.getState(), problem.nodeId);
      return of === null ? inWords(problem) : `${of}: ${inWords(problem)}`;
    });
    notifications.show({
      color: "yellow",
      title: "The flow is active, with warnings",
      message: [...new Set(lines)].map((line) => <div key={line}>{line}</div>),
    });
  }

  async function switchTo(wanted: FlowStatus) {
    setBusy(true);
    try {
      if (wanted === "active" && isUnpublished(store.getState())) {
        // The draft becomes the version that its triggers start.
        const warnings = await saver.publish({ activate: true });
        if (warnings.length > 0) warn(warnings);
        return;
      }
      const { version } = store.getState();
      const params = { path: { flow: id } };
      const saved = await change.mutateAsync({ params, body: { status: wanted, version } });
      store.getState().setFlow({ status: saved.status });
      if (saved.warnings?.length) warn(saved.warnings);
    } catch (error) {
      refuse(messageOf(error), error instanceof ApiError ? error.details : []);
    } finally {
      setBusy(false);
    }
  }

  if (readOnly) {
    return (
      <Badge variant="default" tt="none" style={{ flexShrink: 0 }}>
        {FLOW_STATUS[status]}
      </Badge>
    );
  }

  return (
    <Group gap="xs" wrap="nowrap" style={{ flexShrink: 0 }}>
      <Tooltip label="Triggers start the flow while it is active">
        <Switch
          label={FLOW_STATUS[status]}
          aria-label="Active"
          checked={status === "active"}
          disabled={busy}
          onChange={(event) => void switchTo(event.currentTarget.checked ? "active" : "draft")}
        />
      </Tooltip>
      <Modal opened={refusal !== null} onClose={() => setRefusal(null)} title="The flow cannot be activated" size="lg">
        <Stack gap="xs">
          {refusal?.problems.length === 0 && <Text size="sm">{refusal.message}</Text>}
          {refusal?.problems.map((problem) => (
            <UnstyledButton
              key={`${problem.path} ${problem.message}`}
              p="xs"
              bd="1px solid var(--line)"
              bdrs="md"
              disabled={problem.nodeId === null}
              onClick={() => {
                setRefusal(null);
                if (problem.nodeId !== null) store.getState().goTo(problem.nodeId, problem.field);
              }}
            >
              <Text size="sm" fw={600} title={problem.nodeId ?? undefined}>
                {problem.nodeId === null ? "Flow" : calledIn(store.getState(), problem.nodeId)}
              </Text>
              <Text size="sm">{inWords(problem)}</Text>
            </UnstyledButton>
          ))}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setRefusal(null)}>
              Close
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Group>
  );
}

function UndoRedo() {
  const store = useEditorStore();
  const undo = useEditor((state) => state.history.past.at(-1)?.label);
  const redo = useEditor((state) => state.history.future[0]?.label);
  return (
    <Group gap={2} wrap="nowrap" visibleFrom="sm">
      <Tooltip label={undo === undefined ? "Nothing to undo" : `Undo: ${undo} (Ctrl+Z)`}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          className={classes.flat}
          aria-label="Undo"
          data-disabled={undo === undefined || undefined}
          aria-disabled={undo === undefined || undefined}
          onClick={() => store.getState().undo()}
        >
          <IconArrowBackUp size={20} stroke={1.7} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <Tooltip label={redo === undefined ? "Nothing to redo" : `Redo: ${redo} (Ctrl+Shift+Z)`}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          className={classes.flat}
          aria-label="Redo"
          data-disabled={redo === undefined || undefined}
          aria-disabled={redo === undefined || undefined}
          onClick={() => store.getState().redo()}
        >
          <IconArrowForwardUp size={20} stroke={1.7} aria-hidden />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}

function ProblemCount() {
  const problems = useEditor((state) => state.check?.problems);
  const isEmpty = useEditor((state) => state.definition.nodes.length === 0);
  const shown = useUi((ui) => ui.problems);
  const set = useUi((ui) => ui.set);
  // A new flow without nodes is not a mistake of the user.
  if (isEmpty || problems === undefined || problems.length === 0) return null;
  const errors = problems.filter((problem) => problem.level === "error").length;
  const words = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return (
    <Button
      variant="subtle"
      size="compact-sm"
      c={errors > 0 ? "var(--failed)" : "var(--waiting)"}
      leftSection={<IconAlertTriangle size={16} aria-hidden />}
      aria-expanded={shown}
      data-problems
      onClick={() => set({ problems: !shown })}
      style={{ flexShrink: 0 }}
    >
      {words}
    </Button>
  );
}

/** The menu of the list of flows, for the flow as shown on the canvas. */
function MoreMenu() {
  const store = useEditorStore();
  const flow = useEditor((state) => state.flow);
  const [, go] = useLocation();
  return (
    <FlowMenu
      flow={flow}
      label="Flow actions"
      size="lg"
      shown={() => {
        const { flow, definition } = store.getState();
        return { name: flow.name, definition };
      }}
      onChanged={(change) => store.getState().setFlow(change)}
      onDeleted={() => go("/flows")}
    />
  );
}

export function Header() {
  const version = useEditor((state) => state.version);
  const id = useEditor((state) => state.flow.id);
  const readOnly = useEditor((state) => state.readOnly);
  const json = useUi((ui) => ui.json);
  const set = useUi((ui) => ui.set);
  return (
    <header className={classes.header}>
      <Tooltip label="Back to flows">
        <ActionIcon component={Link} href="/flows" variant="subtle" color="gray" size="lg" aria-label="Back to flows">
          <IconArrowLeft size={20} stroke={1.7} aria-hidden />
        </ActionIcon>
      </Tooltip>
      <FlowName />
      <Group gap="sm" wrap="nowrap" visibleFrom="md">
        <Tooltip label="All versions">
          <Quiet component={Link} href={`/flows/${id}/versions`} style={{ whiteSpace: "nowrap" }}>
            Version {version}
          </Quiet>
        </Tooltip>
        {!readOnly && <SavedState />}
      </Group>
      <div className={classes.spring} />
      <Group gap="xs" wrap="nowrap" visibleFrom="sm">
        <ProblemCount />
        {!readOnly && <UndoRedo />}
        <Tooltip label={json ? "Hide JSON" : "Show JSON beside the canvas"}>
          <ActionIcon
            variant={json ? "light" : "subtle"}
            color={json ? undefined : "gray"}
            size="lg"
            aria-label="JSON"
            data-json
            aria-pressed={json}
            onClick={() => set({ json: !json })}
          >
            <IconBraces size={20} stroke={1.7} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Group>
      <People />
      <PublishButton />
      <StatusSwitch />
      <RunButton />
      <MoreMenu />
    </header>
  );
}
