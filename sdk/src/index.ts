/**
 * The client of draftwire: a user's drafts and pending orders in step on every device.
 *
 * | file | owns |
 * |---|---|
 * | `client.ts` | the public face, whose space is open, who leads |
 * | `space.ts`, `replica.ts`, `command.ts` | one user's state: server documents, layers, queue |
 * | `store.ts`, `storage.ts`, `indexeddb.ts`, `node.ts` | what is kept on the device |
 * | `connection.ts`, `session.ts`, `backoff.ts`, `tokens.ts` | reconnecting; one connection |
 * | `link.ts`, `polling.ts`, `frames.ts` | WebSocket, HTTP, and what a frame may say |
 * | `tabs.ts` | the tabs of a browser |
 * | `react.ts`, `testing.ts` | hooks; a server in memory for tests |
 */

export type * from './api.js';
export { createClient } from './client.js';
export { NotReadyError } from './errors.js';
export { CloseCode, type CommandType, type EventType, type RejectionCode } from './generated.js';
export type { Host } from './host.js';
export { indexedDBStorage } from './indexeddb.js';
export { memoryStorage, type Storage, type StoredRecord } from './storage.js';
