/**
 * Takes pending orders in. Owns that step of the business; documents are read and written through
 * draftwire's HTTP interface, with an administrator's token.
 */

/** Marks a user's new pending orders as received; how many there were. */
export async function takeOrders({ url, getToken }, userId) {
  const orders = `${url}/api/users/${encodeURIComponent(userId)}/pending`;

  async function call(method, address, body) {
    const token = await getToken();
    const response = await fetch(address, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`draftwire has answered ${response.status}`);
    return response.json();
  }

  const { items } = await call('GET', orders);
  const fresh = items.filter(({ data }) => !data.phase);
  for (const { id } of fresh) await call('PATCH', `${orders}/${id}`, { phase: 'received' });
  return fresh.length;
}
