// JSON Merge Patch (RFC 7396). It never changes the target.

export function mergePatch(target, patch) {
  if (!isObject(patch)) return patch;
  const result = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
