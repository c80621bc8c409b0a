/** Parts of the app that are loaded when they first render. */
import {
  type ComponentProps,
  type ComponentType,
  createElement,
  type FunctionComponent,
  lazy,
  type ReactNode,
  useEffect,
  useState,
} from "react";

const FIRST_WAIT = 300;
const LONGEST_WAIT = 3_000;
const RELOADED = "headrace.reloaded";
const SOON = 30_000;

async function isThere(): Promise<boolean> {
  return fetch("/api/health", { cache: "no-store" }).then(
    (answer) => answer.ok,
    () => false,
  );
}

/** The browser does not repeat a failed request for a style sheet. */
function askAgainForStyles(): void {
  for (const link of document.querySelectorAll<HTMLLinkElement>("link[rel=stylesheet]")) {
    if (link.sheet === null) link.replaceWith(link.cloneNode());
  }
}

/** After a server update an open page may ask for chunks that no longer exist: reload the app once. */
function takeNewApp(error: unknown): Promise<never> {
  const last = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - last < SOON) throw error;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  window.location.reload();
  return new Promise(() => {});
}

/** Retry until it succeeds, or the server is reachable and does not have the file. */
async function persistently<T>(load: () => Promise<T>): Promise<T> {
  let wait = FIRST_WAIT;
  let missed = false;
  for (;;) {
    try {
      return await load();
    } catch (error) {
      const there = await isThere();
      // The server may have come back between the two requests.
      if (there && missed) return takeNewApp(error);
      missed = there;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 1.5, LONGEST_WAIT);
    askAgainForStyles();
  }
}

/** Load a part together with the styles of components that the first page does not have. */
async function loadStyled<T>(load: () => Promise<T>): Promise<T> {
  const [part] = await Promise.all([load(), import("./moreStyles")]);
  return part;
}

// biome-ignore lint/suspicious/noExplicitAny: as in the type of React's `lazy`
type AnyComponent = ComponentType<any>;
type Load<T extends AnyComponent> = () => Promise<{ default: T }>;

/** A component that is loaded when it first renders; `preload` loads it ahead. */
export type Lazily<T extends AnyComponent> = FunctionComponent<ComponentProps<T>> & { preload: () => void };

/** A part of the app: how it is loaded, and the component once it is. */
class Part {
  loaded: AnyComponent | undefined;
  readonly lazy: AnyComponent;

  constructor(private readonly load: Load<AnyComponent>) {
    this.lazy = lazy(() => this.get());
  }

  async get() {
    const part = await persistently(() => loadStyled(this.load));
    this.loaded = part.default;
    return part;
  }

  readonly preload = () => {
    // The part is loaded again when it is needed, which waits for the server.
    loadStyled(this.load).then(
      (part) => {
        this.loaded = part.default;
      },
      () => undefined,
    );
  };
}

interface PartProps {
  part: Part;
  props: Record<string, unknown>;
}

function Suspended({ part, props }: PartProps) {
  // The choice stays for as long as the component is mounted: another type would lose its state.
  const [chosen] = useState(() => ({ type: part.loaded ?? part.lazy }));
  return createElement(chosen.type, props);
}

/**
 * Like React's `lazy`, but it survives a restart of the server, and renders at once if it was loaded before. React
 * shows a fallback for 300 ms at least.
 */
export function lazily<T extends AnyComponent>(load: Load<T>): Lazily<T> {
  const part = new Part(load);
  const render = (props: ComponentProps<T>) => createElement(Suspended, { part, props });
  return Object.assign(render, { preload: part.preload });
}

function Awaited({ part, props, waiting }: PartProps & { waiting: ReactNode }) {
  const [state, setState] = useState<{ type?: AnyComponent; error?: unknown }>(() => ({ type: part.loaded }));
  const isLoaded = state.type !== undefined;
  useEffect(() => {
    if (isLoaded) return;
    part.get().then(
      ({ default: type }) => setState({ type }),
      (error: unknown) => setState({ error }),
    );
  }, [part, isLoaded]);
  if (state.error !== undefined) throw state.error;
  return state.type === undefined ? waiting : createElement(state.type, props);
}

/** Like `lazily`, but it shows `waiting` itself: no Suspense is needed, and nothing is delayed. */
export function lazyPage<T extends AnyComponent>(load: Load<T>, waiting: ReactNode): Lazily<T> {
  const part = new Part(load);
  const render = (props: ComponentProps<T>) => createElement(Awaited, { part, props, waiting });
  return Object.assign(render, { preload: part.preload });
}
