/**
 * Brings one user's old rows into draftwire. Owns that step of the move; may be run again
 * within a day, and then neither changes nor brings back what draftwire has already taken.
 */

/** Copies a user's drafts and pending orders; how many were new. */
export async function importUser({ url, getToken }, store, userId) {
  let imported = 0;
  for (const collection of ['drafts', 'pending']) {
    const rows = store.list(userId, collection);
    rows.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
    for (const { id, data } of rows) {
      const response = await fetch(`${url}/api/users/${encodeURIComponent(userId)}/${collection}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await getToken()}`,
          'content-type': 'application/json',
          'idempotency-key': `import-${collection}-${id}`,
        },
        body: JSON.stringify({ id, data }),
      });
      // Already there: an earlier run brought it, more than a day ago.
      if (!response.ok && response.status !== 409) {
        throw new Error(`${collection}/${id}: draftwire has answered ${response.status}`);
      }
      if (response.ok) imported += 1;
    }
  }
  return imported;
}
