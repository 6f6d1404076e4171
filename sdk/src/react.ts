/**
 * Hooks for React: each shows one part of a client and renders again when that part changes. Owns
 * the context; the client is made, connected and disconnected by the application.
 */

import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useSyncExternalStore,
} from 'react';
import type { Client, ConnectionState, Document, JsonObject, RejectedChange } from './api.js';

const ClientContext = createContext<Client | undefined>(undefined);

/** Gives the client to the hooks below it. */
export function DraftwireProvider<Draft, Pending>(props: {
  readonly client: Client<Draft, Pending>;
  readonly children?: ReactNode;
}): ReactElement {
  const value = props.client as unknown as Client;
  return createElement(ClientContext.Provider, { value }, props.children);
}

/**
 * The client of the nearest provider.
 * @throws Error where there is none.
 */
export function useClient<Draft = JsonObject, Pending = Draft>(): Client<Draft, Pending> {
  const client = useContext(ClientContext);
  if (!client) throw new Error('there is no DraftwireProvider above this component');
  return client as unknown as Client<Draft, Pending>;
}

/** All drafts. */
export function useDrafts<Draft = JsonObject>(): readonly Document<Draft>[] {
  return useShown<readonly Document<Draft>[], Draft>(({ drafts }) => drafts.list());
}

/** All pending orders. */
export function usePending<Pending = JsonObject>(): readonly Document<Pending>[] {
  return useShown<readonly Document<Pending>[], JsonObject, Pending>(({ pending }) =>
    pending.list(),
  );
}

/** One draft; undefined where there is none. Other drafts do not render it again. */
export function useDraft<Draft = JsonObject>(id: string): Document<Draft> | undefined {
  return useShown<Document<Draft> | undefined, Draft>(({ drafts }) => drafts.get(id));
}

/** Where the connection stands. */
export function useConnection(): ConnectionState {
  return useShown(({ connection }) => connection.get());
}

/** The changes the server has refused; `useClient().rejected` retries and discards them. */
export function useRejected(): readonly RejectedChange[] {
  return useShown(({ rejected }) => rejected.get());
}

/** Everything a client shows stays the same object until it changes: only then is there a render. */
function useShown<Shown, Draft = JsonObject, Pending = Draft>(
  read: (client: Client<Draft, Pending>) => Shown,
): Shown {
  const client = useClient<Draft, Pending>();
  const get = () => read(client);
  return useSyncExternalStore(client.subscribe, get, get);
}
