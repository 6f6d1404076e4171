/**
 * Hooks for React: each shows one part of a client and renders again when that part changes. Owns
 * the context; the client is made, connected and disconnected by the application.
 */

import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useCallback,
  useContext,
  useSyncExternalStore,
} from 'react';
import type {
  Client,
  ConnectionState,
  Document,
  JsonObject,
  Observable,
  RejectedChange,
} from './api.js';

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
  const { drafts } = useClient<Draft>();
  return useSyncExternalStore(drafts.subscribe, drafts.list, drafts.list);
}

/** All pending orders. */
export function usePending<Pending = JsonObject>(): readonly Document<Pending>[] {
  const { pending } = useClient<JsonObject, Pending>();
  return useSyncExternalStore(pending.subscribe, pending.list, pending.list);
}

/** One draft; undefined where there is none. Other drafts do not render it again. */
export function useDraft<Draft = JsonObject>(id: string): Document<Draft> | undefined {
  const { drafts } = useClient<Draft>();
  const subscribe = useCallback(
    (listener: () => void) => drafts.subscribe(id, listener),
    [drafts, id],
  );
  const get = () => drafts.get(id);
  return useSyncExternalStore(subscribe, get, get);
}

/** Where the connection stands. */
export function useConnection(): ConnectionState {
  return useObservable(useClient().connection);
}

/** The changes the server has refused; `useClient().rejected` retries and discards them. */
export function useRejected(): readonly RejectedChange[] {
  return useObservable(useClient().rejected);
}

function useObservable<T>(observable: Observable<T>): T {
  return useSyncExternalStore(observable.subscribe, observable.get, observable.get);
}
