/**
 * The changes that the backend has not answered, in order, kept on the device. Owns the queue and
 * the list of refused changes; never sends anything.
 */

/** Opens the queue of a user. */
export function openQueue(storage, name) {
  const kept = JSON.parse(storage.getItem(name) ?? '{"waiting":[],"refused":[]}');
  let { waiting, refused } = kept;

  /** First on disk, then in memory: a full disk is the caller's error, and nothing has changed. */
  function save(next) {
    storage.setItem(name, JSON.stringify(next));
    ({ waiting, refused } = next);
  }

  return {
    waiting: () => waiting,
    refused: () => refused,

    /** Adds a change; its key makes it safe to send it again. */
    add(change) {
      save({ waiting: [...waiting, { key: crypto.randomUUID(), ...change }], refused });
    },

    /** Takes out what was answered; what was refused goes to the list. */
    settle(answers) {
      const errors = new Map(answers.map(({ key, error }) => [key, error]));
      const lost = waiting.filter(({ key }) => errors.get(key));
      save({
        waiting: waiting.filter(({ key }) => !errors.has(key)),
        refused: [
          ...refused,
          ...lost.map((change) => ({ ...change, code: errors.get(change.key) })),
        ],
      });
    },

    /** Forgets a refused change. */
    discard(key) {
      save({ waiting, refused: refused.filter((change) => change.key !== key) });
    },
  };
}
