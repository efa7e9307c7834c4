/** A TCP connection with a place in its middle: counts what passes, and can be cut. */
import { connect, createServer } from 'node:net';

/** Passes everything on to a port, counts what goes there, and can cut all connections. */
export class CountingProxy {
  /** To the port, and back. */
  sentBytes = 0;
  answeredBytes = 0;
  port = 0;
  target = 0;
  #sockets = new Set();
  #server = createServer((from) => {
    const to = connect(this.target, '127.0.0.1');
    from.on('data', (piece) => {
      this.sentBytes += piece.length;
    });
    to.on('data', (piece) => {
      this.answeredBytes += piece.length;
    });
    for (const [one, other] of [
      [from, to],
      [to, from],
    ]) {
      this.#sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', (failed) => {
        this.#sockets.delete(one);
        // What it had sent before it ended still arrives.
        if (failed) other.destroy();
        else other.end();
      });
    }
  });

  listen() {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        this.port = this.#server.address().port;
        resolve();
      });
    });
  }

  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
