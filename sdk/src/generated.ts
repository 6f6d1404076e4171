/**
 * Names, codes and payloads of the wire protocol, rendered from `crates/protocol` by its test
 * `typescript.rs`. Never edit it by hand: the test fails where it differs.
 */

/** A command: what a client asks. */
export type CommandType =
  | 'DRAFT_CREATE'
  | 'DRAFT_UPDATE'
  | 'DRAFT_DELETE'
  | 'DRAFT_CONVERT'
  | 'PENDING_CREATE'
  | 'PENDING_UPDATE'
  | 'PENDING_DELETE'
  | 'SKIP';

/** An event on documents: what has happened. */
export type EventType =
  | 'DRAFT_CREATED'
  | 'DRAFT_UPDATED'
  | 'DRAFT_DELETED'
  | 'DRAFT_CONVERTED'
  | 'PENDING_CREATED'
  | 'PENDING_UPDATED'
  | 'PENDING_DELETED';

/** A frame from the server besides events. */
export type ControlType =
  | 'WELCOME'
  | 'SNAPSHOT'
  | 'ACK'
  | 'REJECTED'
  | 'ERROR'
  | 'AUTHENTICATED'
  | 'TOKEN_EXPIRING'
  | 'RECONNECT'
  | 'PONG';

/** Why a command was not applied. */
export type RejectionCode =
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'VERSION_CONFLICT'
  | 'INVALID'
  | 'TOO_LARGE'
  | 'QUOTA'
  | 'FORBIDDEN'
  | 'OUT_OF_ORDER'
  | 'MUTATION_REUSED'
  | 'RATE_LIMITED'
  | 'UNAVAILABLE';

/** The codes that use up no `mutationId`. */
export const PASSING_CODES: readonly string[] = [
  'OUT_OF_ORDER',
  'MUTATION_REUSED',
  'RATE_LIMITED',
  'UNAVAILABLE',
];

/** Why a frame was not taken for a command. */
export type ErrorCode =
  | 'BAD_FRAME'
  | 'NO_CLIENT_ID'
  | 'BAD_TOKEN'
  | 'WRONG_USER';

/** Why a connection is closed. */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  ProtocolError: 1002,
  Unsupported: 1003,
  BadUtf8: 1007,
  Policy: 1008,
  TooBig: 1009,
  Internal: 1011,
  Restart: 1012,
  TryAgainLater: 1013,
  HeartbeatTimeout: 4000,
  SlowConsumer: 4001,
  RateLimit: 4002,
  Replaced: 4003,
  TokenExpired: 4500,
  TokenRevoked: 4501,
  Disconnected: 4502,
} as const;

/** Limits of the protocol, and the defaults of those that `WELCOME` tells. */
export const LIMITS = {
  frameBytes: 524288,
  documentBytes: 262144,
  inFlight: 64,
  dataLevels: 62,
  snapshotPartBytes: 262144,
  syncWaitMs: 30000,
} as const;

/** The payloads of frames from the server, by type. */
export interface Payloads {
  WELCOME: {
    at?: string;
    clientId: string;
    connectionId: string;
    epoch?: string;
    expiresAt: string;
    expiresInMs: number;
    heartbeatMs: number;
    lastMutationId: number;
    limits: {
      documentBytes: number;
      frameBytes: number;
      inFlight: number;
    };
    recovery: string;
    seq?: number;
    userId: string;
  };
  SNAPSHOT: {
    drafts: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    }[];
    more: boolean;
    pending: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    }[];
    reason: string;
  };
  ACK: {
    duplicate?: boolean;
    id?: string;
    mutationId: null | number;
    outcome?: string;
    seq?: number;
    version?: number;
  };
  REJECTED: {
    code: string;
    document?: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    };
    duplicate?: boolean;
    expected?: number;
    message: string;
    mutationId: null | number;
    retryAfterMs?: number;
  };
  ERROR: {
    code: string;
    message: string;
  };
  AUTHENTICATED: {
    expiresAt: string;
    expiresInMs: number;
  };
  TOKEN_EXPIRING: {
    expiresAt: string;
    expiresInMs: number;
  };
  RECONNECT: {
    afterMs: number;
    reason: string;
  };
  DRAFT_CREATED: {
    document: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    };
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
  DRAFT_UPDATED: {
    document: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    };
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
  DRAFT_DELETED: {
    id: string;
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
  PENDING_CREATED: {
    document: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    };
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
  PENDING_UPDATED: {
    document: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    };
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
  PENDING_DELETED: {
    id: string;
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
  DRAFT_CONVERTED: {
    document: {
      createdAt: string;
      data: Record<string, unknown>;
      id: string;
      updatedAt: string;
      version: number;
    };
    draftId: string;
    origin: {
      clientId?: string;
      mutationId?: number;
      service?: string;
    };
  };
}
