/**
 * JSON merge patches (RFC 7396), for client and server. Owns the merge per field; never knows what
 * a draft is.
 */

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `target` after the patch; neither is changed. */
export function merge(target, patch) {
  if (!isObject(patch)) return patch;
  const merged = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
}
