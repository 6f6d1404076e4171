/**
 * The old routes on top of draftwire, for installed apps that still poll. Owns the translation;
 * keeps nothing. Deleted when the last old app is gone.
 */

/** Lifts a position above every cursor that the old store has given out. */
const CURSOR_MIN = 1_000_000_000;

/** The old routes. `tokenFor(userId)` signs a token as the user gets it at the login. */
export function bridgeRoutes({ url, tokenFor }) {
  function call(userId, { method, path, body, key }) {
    return fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${tokenFor(userId)}`,
        'content-type': 'application/json',
        ...(key && { 'idempotency-key': key }),
      },
      body: body && JSON.stringify(body),
    });
  }

  function request({ type, collection, id, data, patch, pendingId }) {
    const path = `/api/${collection}/${encodeURIComponent(id)}`;
    if (type === 'create')
      return { method: 'POST', path: `/api/${collection}`, body: { id, data } };
    if (type === 'update') return { method: 'PATCH', path, body: patch };
    if (type === 'delete') return { method: 'DELETE', path };
    return { method: 'POST', path: `${path}/convert`, body: { pendingId } };
  }

  async function apply(userId, change) {
    const { key, type, collection, id } = change;
    const response = await call(userId, { ...request(change), key });
    if (response.status === 429 || response.status >= 500) throw new Error('not now');
    if (type === 'delete' && response.status === 404) return { key };
    const body = response.status === 204 ? {} : await response.json();
    if (!response.ok) return { key, error: body.code };
    const gone = { collection, id, deleted: true };
    if (type === 'delete') return { key, rows: [gone] };
    if (type !== 'convert') return { key, rows: [{ ...body, collection }] };
    return { key, rows: [gone, { ...body, collection: 'pending' }] };
  }

  /** Everything, or nothing where nothing is new. */
  async function changedSince(userId, since) {
    const response = await call(userId, { method: 'GET', path: '/api/sync' });
    if (!response.ok) throw new Error('not now');
    const { seq, snapshot } = await response.json();
    const cursor = CURSOR_MIN + seq;
    if (since === String(cursor)) return { rows: [], cursor, reset: false };
    const rows = ['drafts', 'pending'].flatMap((collection) =>
      snapshot[collection].map((document) => ({ ...document, collection })),
    );
    return { rows, cursor, reset: true };
  }

  /** What goes wrong on the way is tried again by the app; the keys make that safe. */
  const answer = (work) =>
    work.then(
      (body) => ({ status: 200, body }),
      () => ({ status: 503, body: {} }),
    );

  return {
    'GET /api/changes': ({ userId, query }) => answer(changedSince(userId, query.get('since'))),
    'POST /api/changes': ({ userId, body }) => {
      const inOrder = async () => {
        const answers = [];
        for (const change of body.changes) answers.push(await apply(userId, change));
        return { answers };
      };
      return answer(inOrder());
    },
  };
}
