/**
 * In the app that brings the new code to installed ones. Owns the choice at each start; the rest is
 * done by the one that was chosen.
 */

import { createOrders as createOld } from '../../before/client/orders.js';
import { createOrders as createNew } from '../client/orders.js';

/**
 * The old client where changes of it still wait, so that they go out under the keys they have had;
 * else the new one. Takes the options of both.
 */
export function chooseOrders(oldOptions, newOptions) {
  const old = createOld(oldOptions);
  return old.status().waiting > 0 ? old : createNew(newOptions);
}
