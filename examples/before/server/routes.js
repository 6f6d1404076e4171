/**
 * The two routes that devices poll. Owns what a request may say; rules of documents are the
 * store's.
 */

const CHANGES_MAX = 100;
const ID = /^[A-Za-z0-9-]{1,64}$/;
const COLLECTIONS = ['drafts', 'pending'];

const isId = (value) => typeof value === 'string' && ID.test(value);
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

function isValid({ key, type, collection, id, data, patch, pendingId }) {
  if (!isId(key) || !isId(id) || !COLLECTIONS.includes(collection)) return false;
  if (type === 'create') return isObject(data);
  if (type === 'update') return isObject(patch);
  if (type === 'convert') return collection === 'drafts' && isId(pendingId);
  return type === 'delete';
}

/** The routes, for the backend. */
export function syncRoutes(store) {
  return {
    'GET /api/changes': ({ userId, query }) => {
      const since = query.get('since');
      const cursor = since === null ? null : Number(since);
      return { status: 200, body: store.changedSince(userId, cursor) };
    },
    'POST /api/changes': ({ userId, body }) => {
      const { changes } = body;
      if (!Array.isArray(changes) || changes.length > CHANGES_MAX) return { status: 400, body: {} };
      const answers = changes.map((change) =>
        isValid(change) ? store.apply(userId, change) : { key: change.key, error: 'INVALID' },
      );
      return { status: 200, body: { answers } };
    },
  };
}
