/** What stands over a device: its name, its connection, its queue, the switch of its network. */

import type { ConnectionState } from '@draftwire/client';
import { useClient, useConnection } from '@draftwire/client/react';
import { useSyncExternalStore } from 'preact/compat';
import { useDevice } from './device';

interface Shown {
  readonly tone: 'good' | 'waiting' | 'bad';
  readonly text: string;
}

function show(connection: ConnectionState, online: boolean): Shown {
  switch (connection.status) {
    case 'connected':
      return { tone: 'good', text: connection.transport === 'http' ? 'Live over HTTP' : 'Live' };
    case 'connecting':
      if (!online) return { tone: 'waiting', text: 'Offline' };
      if (connection.reason === 'initial') return { tone: 'waiting', text: 'Connecting …' };
      if (connection.reason === 'token-failed') return { tone: 'bad', text: 'No place yet' };
      return { tone: 'waiting', text: 'Reconnecting …' };
    case 'disconnected':
      return connection.reason === 'initial'
        ? { tone: 'waiting', text: 'Not connected' }
        : { tone: 'bad', text: `Stopped: ${connection.reason.replaceAll('-', ' ')}` };
  }
}

/** The bar. `alone` is where this device can be seen without the other. */
export function DeviceBar({ name, alone }: { name: string; alone?: string }) {
  const { network } = useDevice();
  const { queue } = useClient();
  const online = useSyncExternalStore(network.subscribe, network.get);
  const { length } = useSyncExternalStore(queue.subscribe, queue.get);
  const { tone, text } = show(useConnection(), online);
  return (
    <div class="device-bar">
      <h2>{name}</h2>
      <span class={`chip ${tone}`} role="status">
        {text}
      </span>
      <span class={`chip queue ${length > 0 ? 'waiting' : ''}`} aria-live="off">
        {length > 0 ? `${length.toLocaleString('en-GB')} waiting` : 'All sent'}
      </span>
      {alone && (
        <a
          class="quiet"
          href={alone}
          target="_blank"
          rel="noopener"
          aria-label={`Open the ${name.toLowerCase()} alone, in a new tab`}
        >
          <span>Open alone</span> ↗
        </a>
      )}
      <button
        type="button"
        class={`switch ${online ? 'on' : 'off'}`}
        onClick={() => network.set(!online)}
      >
        <span class="knob" aria-hidden="true" />
        {online ? 'Go offline' : 'Go online'}
      </button>
    </div>
  );
}
