/**
 * The network between one device and its server: a TCP proxy that can be cut, or swallow what the
 * server answers. Owns the sockets; never looks into what they carry.
 */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Opens a network to a port of this machine. */
export async function openNetwork(targetPort) {
  const sockets = new Set();
  const deaf = new Set();
  let isCut = false;
  let isDeaf = false;

  const keep = (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket) && deaf.delete(socket));
  };
  const server = createServer((device) => {
    if (isCut) return device.destroy();
    const target = connect(targetPort, '127.0.0.1');
    keep(device);
    keep(target);
    device.on('data', (bytes) => {
      if (isDeaf) deaf.add(device);
      target.write(bytes);
    });
    target.on('data', (bytes) => deaf.has(device) || device.write(bytes));
    device.on('close', () => target.destroy());
    target.on('close', () => device.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const network = {
    url: `http://127.0.0.1:${server.address().port}`,
    isCut: () => isCut,
    /** Ends every connection and takes no new one. */
    cut() {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    /** What the device sends from now on still arrives; no answer to it comes back. */
    deafen() {
      isDeaf = true;
    },
    mend() {
      isCut = false;
      isDeaf = false;
      // A connection that has lost bytes in the middle is none.
      for (const device of deaf) device.destroy();
    },
    close() {
      network.cut();
      server.close();
    },
  };
  return network;
}
