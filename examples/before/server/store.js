/**
 * Everybody's drafts and pending orders with what polling needs: a revision on each row, tombstones
 * for deleted ones, and the answers that were given to each change. Owns the rows; never knows HTTP.
 * They stand in memory where a real backend has three tables.
 */

import { merge } from '../patch.js';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A device that was away for longer is given everything anew. */
const TOMBSTONE_MS = 30 * DAY_MS;
/** For so long a change that is sent again is known again. */
const ANSWER_MS = 30 * DAY_MS;

/** Makes an empty store. */
export function createStore({ now = Date.now } = {}) {
  const users = new Map();

  function of(userId) {
    let user = users.get(userId);
    if (!user) {
      user = { revision: 0, horizon: 0, rows: new Map(), answers: new Map() };
      users.set(userId, user);
    }
    return user;
  }

  /** Forgets tombstones and answers that are old enough, and up to where. */
  function purge(user) {
    for (const [key, row] of user.rows) {
      if (!row.deleted || Date.parse(row.updatedAt) > now() - TOMBSTONE_MS) continue;
      user.horizon = Math.max(user.horizon, row.revision);
      user.rows.delete(key);
    }
    for (const [key, { at }] of user.answers) {
      if (at <= now() - ANSWER_MS) user.answers.delete(key);
    }
  }

  function put(user, row) {
    user.revision += 1;
    const updatedAt = new Date(now()).toISOString();
    const stamped = { createdAt: updatedAt, ...row, revision: user.revision, updatedAt };
    user.rows.set(`${row.collection}/${row.id}`, stamped);
    return stamped;
  }

  const bury = (user, { collection, id }) => put(user, { collection, id, deleted: true });

  /** Applies a change; the rows it has changed, or why it was refused. */
  function perform(user, { type, collection, id, data, patch, pendingId }) {
    const row = user.rows.get(`${collection}/${id}`);
    const alive = row && !row.deleted;
    switch (type) {
      case 'create':
        // A tombstone counts too: what was deleted does not come back by a late create.
        if (row) return { error: 'ALREADY_EXISTS' };
        return { rows: [put(user, { collection, id, data })] };
      case 'update':
        if (!alive) return { error: 'GONE' };
        return { rows: [put(user, { ...row, data: merge(row.data, patch) })] };
      case 'delete':
        return { rows: alive ? [bury(user, row)] : [] };
      case 'convert': {
        if (!alive) return { error: 'GONE' };
        if (user.rows.has(`pending/${pendingId}`)) return { error: 'ALREADY_EXISTS' };
        const pending = put(user, { collection: 'pending', id: pendingId, data: row.data });
        return { rows: [bury(user, row), pending] };
      }
      default:
        return { error: 'INVALID' };
    }
  }

  return {
    /** A user's rows of one collection. */
    list(userId, collection) {
      const rows = [...of(userId).rows.values()];
      return rows.filter((row) => row.collection === collection && !row.deleted);
    },

    /** What has changed after a cursor, tombstones included; everything where that is not known. */
    changedSince(userId, cursor) {
      const user = of(userId);
      purge(user);
      const known = cursor !== null && cursor >= user.horizon && cursor <= user.revision;
      const rows = [...user.rows.values()];
      const changed = rows.filter((row) => (known ? row.revision > cursor : !row.deleted));
      return { rows: changed, cursor: user.revision, reset: !known };
    },

    /** Applies a change once, however often it is sent. */
    apply(userId, change) {
      const user = of(userId);
      const given = user.answers.get(change.key);
      if (given) return given.answer;
      const answer = { key: change.key, ...perform(user, change) };
      user.answers.set(change.key, { answer, at: now() });
      return answer;
    },
  };
}
