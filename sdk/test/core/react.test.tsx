// @vitest-environment jsdom
/** The hooks render what the client has, and again only for what they show. */

import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, it } from 'vitest';
import { createClient, memoryStorage } from '../../src/index.js';
import {
  DraftwireProvider,
  useClient,
  useConnection,
  useDraft,
  useDrafts,
  usePending,
  useRejected,
} from '../../src/react.js';
import { createTestServer } from '../../src/testing.js';

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

let renders = 0;
function One() {
  renders += 1;
  return <i>{String(useDraft('a')?.data.n)}</i>;
}
function All() {
  const { status } = useConnection();
  return (
    <b>
      {status} {useDrafts().length} {usePending().length} {useRejected().length}
    </b>
  );
}

function Lost() {
  useClient();
  return null;
}

it('shows drafts, orders, one draft, the connection and what was refused', async () => {
  const server = createTestServer();
  const client = createClient({
    ...server.options('ann'),
    userId: 'ann',
    storage: memoryStorage(),
  });
  const place = document.createElement('div');
  const root = createRoot(place);
  await act(async () =>
    root.render(
      <DraftwireProvider client={client}>
        <One />
        <All />
      </DraftwireProvider>,
    ),
  );
  expect(place.textContent).toBe('undefineddisconnected 0 0 0');
  await act(async () => {
    client.connect();
    await client.ready();
  });
  await act(async () => void client.drafts.create({ n: 1 }, { id: 'a' }));
  expect(place.textContent).toBe('1connected 1 0 0');
  await act(async () => {
    await client.drafts.update('a', { n: 2 }).settled;
  });
  const before = renders;
  await act(async () => {
    await client.drafts.create({}, { id: 'b' }).settled;
    await client.drafts.update('b', {}, { ifVersion: 99 }).settled;
  });
  expect(renders).toBe(before);
  expect(place.textContent).toBe('2connected 2 0 1');
  await act(async () => {
    await client.drafts.convert('a').settled;
  });
  expect(place.textContent).toBe('undefinedconnected 1 1 1');
  await act(async () => root.unmount());
  await client.disconnect();
});

it('says what is missing where there is no provider', async () => {
  const root = createRoot(document.createElement('div'));
  await expect(act(async () => root.render(<Lost />))).rejects.toThrow('DraftwireProvider');
});
