// A TCP proxy between a client and the gateway: a network that can be cut, swallow what is sent, or hold an upgrade back.

import { once } from "node:events";
import net from "node:net";

export class Proxy {
  /** Listens on a free port before the gateway at that URL. */
  static async before(url) {
    const proxy = new Proxy(new URL(url));
    await once(proxy.server.listen(0, "127.0.0.1"), "listening");
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  constructor(gateway) {
    this.gateway = gateway;
    this.held = [];
    this.pairs = new Set();
    this.isCut = false;
    this.swallows = false;
    this.holdsUpgrades = false;
    this.onCut = () => {};
    // How many bytes still pass, either way, before the network is cut in the midst of a frame or a head.
    this.budget = Infinity;
    this.server = net.createServer((client) => this.accept(client));
  }

  accept(client) {
    if (this.isCut) {
      client.destroy();
      return;
    }
    const upstream = net.connect(this.gateway.port, this.gateway.hostname);
    const pair = { client, upstream, isDead: this.swallows };
    this.pairs.add(pair);
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.setNoDelay(true);
      // Errors are how a cut looks from within.
      from.on("error", () => {});
      from.on("close", () => {
        // Over a dead network neither side hears of the other's end.
        if (!pair.isDead) to.destroy();
        if (client.destroyed && upstream.destroyed) this.pairs.delete(pair);
      });
    }
    upstream.on("data", (chunk) => pair.isDead || this.carry(chunk, client));
    client.once("data", (head) => this.forward(head, pair));
  }

  /** Sends on what the client said first, at once or when upgrades are let through. */
  forward(head, { client, upstream }) {
    const go = () => {
      this.carry(head, upstream);
      client.on("data", (chunk) => this.carry(chunk, upstream)).resume();
    };
    if (this.holdsUpgrades && /^upgrade: websocket/im.test(head.toString("latin1"))) {
      client.pause();
      this.held.push(go);
    } else {
      go();
    }
  }

  /** Passes on what one side sent, as far as the network still holds. */
  carry(chunk, to) {
    to.write(chunk.subarray(0, this.budget));
    this.budget -= chunk.length;
    if (this.budget < 0) this.cut();
  }

  /** Lets held upgrades through, and those to come. */
  releaseUpgrades() {
    this.holdsUpgrades = false;
    for (const go of this.held.splice(0)) go();
  }

  /** Cuts every connection, with a reset, and refuses further ones. */
  cut() {
    this.isCut = true;
    this.budget = Infinity;
    for (const { client, upstream } of this.pairs) for (const socket of [client, upstream]) socket.resetAndDestroy();
    this.onCut();
  }

  /** Swallows whatever the gateway sends from now on, and tells neither side of the other's end. */
  swallow() {
    this.swallows = true;
    for (const pair of this.pairs) pair.isDead = true;
  }

  /** Cuts the clients off; the gateway hears nothing of it and may send on. */
  cutSilently() {
    this.swallow();
    this.isCut = true;
    for (const { client } of this.pairs) client.resetAndDestroy();
  }

  /** Lets connections to come work again; those that were swallowed stay so. */
  restore() {
    this.isCut = false;
    this.swallows = false;
  }

  close() {
    this.cut();
    this.server.close();
  }
}
