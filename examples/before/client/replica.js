/**
 * What this device knows of the backend's rows, kept on the device, and what the user sees: the
 * rows with the changes of this device on top. Owns cursor and rows; never sends anything.
 */

import { merge } from '../patch.js';

/** Opens the replica of a user. */
export function openReplica(storage, name) {
  const kept = JSON.parse(storage.getItem(name) ?? '{"cursor":null,"rows":[]}');
  let { cursor } = kept;
  let rows = new Map(kept.rows.map((row) => [keyOf(row), row]));

  function save() {
    storage.setItem(name, JSON.stringify({ cursor, rows: [...rows.values()] }));
  }

  /** Takes rows in that are newer than the ones here: a tombstone takes one out. */
  function take(told) {
    for (const row of told) {
      if (row.deleted) rows.delete(keyOf(row));
      else rows.set(keyOf(row), row);
    }
    save();
  }

  return {
    cursor: () => cursor,

    /**
     * Rows that came as answers to own changes. No poll has gone by since the changes were first
     * sent, so the next one brings what has overtaken them, deletes too.
     */
    answered: take,

    /** What a poll has brought; true if any of it was new. */
    polled(told) {
      if (!told.reset && told.cursor === cursor) return false;
      if (told.reset) rows = new Map();
      cursor = told.cursor;
      take(told.rows);
      return true;
    },

    /** What the user sees of a collection. */
    list(collection, waiting) {
      const seen = new Map();
      for (const [key, row] of rows) {
        seen.set(key, { ...row, synced: true });
      }
      for (const change of waiting) overlay(seen, change);
      return [...seen.values()]
        .filter((row) => row.collection === collection)
        .sort((a, b) => compare(a.createdAt, b.createdAt) || compare(a.id, b.id));
    },
  };
}

const keyOf = ({ collection, id }) => `${collection}/${id}`;
const compare = (a, b) => (a < b ? -1 : Number(a > b));

/** Lets a change that waits be seen. One whose document is gone shows nothing. */
function overlay(seen, { type, collection, id, data, patch, pendingId, at }) {
  const key = keyOf({ collection, id });
  const row = seen.get(key);
  if (type === 'create') {
    if (!row) seen.set(key, { collection, id, data, createdAt: at, synced: false });
  } else if (row && type === 'update') {
    seen.set(key, { ...row, data: merge(row.data, patch), synced: false });
  } else if (row && type === 'convert') {
    const pending = { collection: 'pending', id: pendingId, data: row.data, createdAt: at };
    seen.delete(key);
    seen.set(keyOf(pending), { ...pending, synced: false });
  } else {
    seen.delete(key);
  }
}
